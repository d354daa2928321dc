"""AdaFNN on every mel band, an FFNN on frames, an LSTM and a Transformer encoder, concatenated before the classifier.

AdaFNN: Yao, Mueller, Wang, "Deep Learning for Functional Data Analysis with Adaptive Basis Layers", ICML 2021, and its
notebook (jwyyy/AdaFNN). The notebook reads one curve per sample on a common time grid; this version reads one curve per
mel band and has a time grid for each clip length.
"""

from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from stages.core.ge2e import HIDDEN, N_MELS, POOLED, SpeakerEncoder
from stages.params.options import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, PositiveInts

LAYOUT = ("time", "mel")


def build(
    input_shape: tuple[int, int],
    n_classes: int,
    *,
    use_adafnn: bool = True,
    use_ffnn: bool = True,
    use_lstm: bool = True,
    use_transformer: bool = True,
    use_embedding: bool = False,
    n_bases: PositiveInt = 4,
    basis_hidden: PositiveInts = [32, 32, 32],  # noqa: B006 (a literal: options are read off the source)
    basis_dropout: Fraction = 0.1,
    head_hidden: PositiveInts = [64],  # noqa: B006
    sparsity_weight: NonNegativeFloat = 0.0,
    orthogonality_weight: NonNegativeFloat = 0.01,
    sampled_bases: PositiveInt = 2,
    sampled_pairs: PositiveInt = 3,
    ffnn_hidden: PositiveInts = [64, 64],  # noqa: B006
    context_frames: NonNegativeInt = 2,
    lstm_hidden: PositiveInt = 48,
    lstm_layers: PositiveInt = 1,
    bidirectional: bool = True,
    transformer_width: PositiveInt = 64,
    transformer_heads: PositiveInt = 4,
    transformer_layers: PositiveInt = 1,
    transformer_feedforward: PositiveInt = 128,
    stride_frames: PositiveInt = 3,
    dropout: Fraction = 0.3,
) -> nn.Module:
    """Return the network for `input_shape` (time, mel), standardised per band. Raises ValueError for invalid options.

    `basis_hidden`: layers of each of the `n_bases` micro-networks. `head_hidden`: layers that read the basis scores.
    `sparsity_weight`, `orthogonality_weight`: the paper's λ1 and λ2, applied to `sampled_bases` bases and
    `sampled_pairs` pairs in each step. `ffnn_hidden`: layers on each frame with `context_frames` frames on either side;
    the LSTM and the Transformer read their output (a linear projection without FFNN), averaged over `stride_frames`.
    `dropout`: everywhere except in the bases and on the attention weights. `use_embedding`: a fifth part, the GE2E
    speaker encoder (`core.ge2e`) with its published weights, which are not trained; it needs the settings of dataset
    `speech_ge2e` in params.yaml.
    """
    sequences = ["lstm"] * use_lstm + ["transformer"] * use_transformer
    n_mels, width, parts = input_shape[1], ffnn_hidden[-1], nn.ModuleDict()
    if use_adafnn:
        hidden = [_layers([1, *basis_hidden], AddNorm, nn.SELU, basis_dropout) for _ in range(n_bases)]
        nodes = [nn.Sequential(*layers, nn.Linear(basis_hidden[-1], 1)) for layers in hidden]
        parts["basis"] = AdaptiveBasis(nodes, sparsity_weight, orthogonality_weight, sampled_bases, sampled_pairs)
        parts["head"] = _layers([n_bases * n_mels, *head_hidden], AddNorm, nn.ReLU, dropout)
    if use_lstm:
        parts["lstm"] = Recurrent(width, lstm_hidden, lstm_layers, bidirectional, dropout)
    if use_transformer:
        sizes = (transformer_width, transformer_heads, transformer_layers, transformer_feedforward)
        parts["transformer"] = Encoder(width, *sizes, dropout)
    if use_ffnn:  # no batch normalisation: padding would enter its statistics
        parts["frames"] = _layers([n_mels * (2 * context_frames + 1), *ffnn_hidden], nn.LayerNorm, nn.ReLU, dropout)
    elif sequences:
        parts["frames"] = nn.Linear(n_mels, width)
    if use_embedding:
        parts["embedding"] = Embedding(n_mels)
    n_features = head_hidden[-1] * use_adafnn + 2 * width * use_ffnn
    n_features += sum(parts[name].n_features for name in (*sequences, *["embedding"] * use_embedding))
    if not n_features:
        names = "use_adafnn, use_ffnn, use_lstm, use_transformer, use_embedding"
        raise ValueError(f"{names} are all false; allowed: one or more true")
    parts["classifier"] = nn.Sequential(nn.Dropout(dropout), nn.Linear(n_features, n_classes))
    return AdaFNN(parts, use_ffnn, context_frames * use_ffnn, stride_frames)


def _layers(widths: list[int], norm: type[nn.Module], act: type[nn.Module], dropout: float) -> nn.Sequential:
    layers = ((nn.Linear(n_in, n_out), norm(n_out), act(), nn.Dropout(dropout)) for n_in, n_out in pairwise(widths))
    return nn.Sequential(*(part for layer in layers for part in layer))


class AdaFNN(nn.Module):
    """The enabled parts. Shapes in comments: B clips of T frames and M mel bands, K bases, S = ⌈T / stride⌉ steps."""

    def __init__(self, parts: nn.ModuleDict, use_ffnn: bool, context: int, stride: int) -> None:
        super().__init__()
        self.parts, self.use_ffnn, self.context, self.stride = parts, use_ffnn, context, stride

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, T, M); `length` (B,) true frames in 1..T, None: all T."""
        length = torch.full((x.shape[0],), x.shape[1], device=x.device) if length is None else length
        if not torch.onnx.is_in_onnx_export():  # an export would fix this batch's longest clip as a constant
            x = x[:, : int(length.max())]  # T from here on: removes the padding that all clips share
        valid = torch.arange(x.shape[1], device=x.device) < length[:, None]  # (B, T)
        x = x.masked_fill(~valid[:, :, None], 0)  # 0 times an infinity would be NaN
        features = []
        if "basis" in self.parts:
            scores = self.parts["basis"](x, length)  # (B, T, M) → (B, K, M)
            features.append(self.parts["head"](scores.flatten(1)))  # (B, K·M) → (B, head)
        if "frames" in self.parts:
            y = self.parts["frames"](with_neighbours(x, self.context))  # (B, T, M) → (B, T, width)
            features += [statistics(y, valid)] if self.use_ffnn else []  # (B, 2 width)
            y, steps = thin(y, valid, self.stride)  # (B, T, width) → (B, S, width)
            features += [self.parts[name](y, steps) for name in ("lstm", "transformer") if name in self.parts]
        if "embedding" in self.parts:
            features.append(self.parts["embedding"](x, valid))  # (B, T, M) → (B, 1024)
        return self.parts["classifier"](torch.cat(features, dim=1))

    def set_input_scale(self, mean: torch.Tensor, sd: torch.Tensor) -> None:
        """Set the mean and standard deviation (M,) with which the input was standardised."""
        if "embedding" in self.parts:
            self.parts["embedding"].encoder.set_input_scale(mean, sd)

    def load_pretrained(self) -> None:
        """Load the encoder's weights, if it is a part. Raises `UserError` if their package is absent."""
        if "embedding" in self.parts:
            self.parts["embedding"].encoder.load_pretrained()

    def penalty(self) -> torch.Tensor:
        """Return AdaFNN's regularisers, a scalar to add to the loss; 0 without AdaFNN."""
        return self.parts["basis"].penalty() if "basis" in self.parts else torch.zeros(())

    @torch.no_grad()
    def bases(self, n_points: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the learnt bases for a plot: times (n_points,) in [0, 1] and values (n_points, K), without dropout."""
        if "basis" not in self.parts:
            return None
        times = torch.linspace(0, 1, n_points)
        return times, deepcopy(self.parts["basis"]).cpu().eval().evaluate(times).T  # (K, n_points) → (n_points, K)


def statistics(y: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return mean and standard deviation over the valid steps (at least one): (B, S, F), (B, S) → (B, 2 F)."""
    weight = valid.to(y.dtype)[:, :, None] / valid.sum(1)[:, None, None]  # (B, S, 1)
    mean = (y * weight).sum(1, keepdim=True)  # (B, 1, F)
    variance = ((y - mean).square() * weight).sum(1)
    return torch.cat((mean[:, 0], (variance + 1e-5).sqrt()), dim=1)


def with_neighbours(x: torch.Tensor, context: int) -> torch.Tensor:
    """Add `context` frames on either side of each, zeros beyond the ends: (B, T, M) → (B, T, (2 · context + 1) · M)."""
    padded = F.pad(x, (0, 0, context, context))
    return torch.cat([padded[:, start : start + x.shape[1]] for start in range(2 * context + 1)], dim=2)


def thin(y: torch.Tensor, valid: torch.Tensor, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Average the valid frames of every `stride` frames: (B, T, F), (B, T) → (B, S, F), (B, S), S = ⌈T / stride⌉."""
    weight = valid.to(y.dtype)[:, None]  # (B, 1, T)
    total = F.avg_pool1d(y.transpose(1, 2) * weight, stride, ceil_mode=True)  # (B, T, F) → (B, F, S)
    count = F.avg_pool1d(weight, stride, ceil_mode=True)  # (B, 1, S), with the same divisor as `total`
    return (total / count.clamp(min=1 / stride)).transpose(1, 2), count[:, 0] > 0


class AddNorm(nn.Module):
    """y + LayerNorm(y) as in the notebook: gain and shift start from N(0, 1), the variance is divided by n - 1."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n, self.gain, self.shift = n, nn.Parameter(torch.randn(n)), nn.Parameter(torch.randn(n))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        normalised = F.layer_norm(y, (self.n,), eps=1e-12)  # the notebook adds 1e-6 to the standard deviation
        return torch.addcmul(y + self.shift, normalised, self.gain * (1 - 1 / self.n) ** 0.5)


def trapezoid_weights(times: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the weights w of the trapezoidal rule, Σ w_j f_j = Σ h_j (f_j + f_{j+1}) / 2: (G, P), (G, P) → (G, P).

    The valid points of each grid come first; the others get weight 0.
    """
    steps = (times[:, 1:] - times[:, :-1]) * valid[:, 1:].to(times.dtype)  # (G, P - 1), the h_j
    return (F.pad(steps, (1, 0)) + F.pad(steps, (0, 1))) / 2


class AdaptiveBasis(nn.Module):
    """The basis layer: K `nodes` (micro-networks R → R of time), scores c_k = <basis_k, curve>, and regularisers."""

    def __init__(
        self, nodes: list[nn.Module], sparsity: float, orthogonality: float, sampled_bases: int, sampled_pairs: int
    ) -> None:
        super().__init__()
        self.nodes, self.sparsity, self.orthogonality = nn.ModuleList(nodes), sparsity, orthogonality
        self.sampled_bases = min(sampled_bases, len(nodes))
        self.sampled_pairs = min(sampled_pairs, len(nodes) * (len(nodes) - 1) // 2)

    def evaluate(self, times: torch.Tensor) -> torch.Tensor:
        """Return the values of all bases at `times` in [0, 1]: (…) → (K, …)."""
        with torch.autocast(times.device.type, enabled=False):  # bfloat16 distinguishes only 128 times in [0.5, 1]
            return torch.stack([node(times[..., None])[..., 0] for node in self.nodes])

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Return scores (B, K, M) for (B, T, M), (B,); frame j is at j / (length - 1), a single frame scores 0."""
        lengths, grid_of_clip = torch.unique(length, return_inverse=True)  # (G,), (B,): equal lengths share a grid
        index = torch.arange(x.shape[1], device=x.device)
        times = (index / (lengths[:, None] - 1).clamp(min=1)).clamp(max=1)  # (G, T); padded frames at 1
        return self.scores(x, times, index < lengths[:, None], grid_of_clip)

    def scores(
        self, x: torch.Tensor, times: torch.Tensor, valid: torch.Tensor, grid_of_clip: torch.Tensor
    ) -> torch.Tensor:
        """Return scores (B, K, M) of `x` (B, T, M) on any grids: `times` ascending in [0, 1] and `valid`, both (G, T).

        `grid_of_clip` (B,) is the index of each clip's grid.
        """
        weighted = self.evaluate(times) * trapezoid_weights(times, valid)  # (G, T) → (K, G, T)
        return weighted.transpose(0, 1)[grid_of_clip] @ x  # (B, K, T) @ (B, T, M) → (B, K, M)

    def penalty(self) -> torch.Tensor:
        """Return λ1 mean ‖b_k‖₁ + λ2 mean |<b_i, b_j>| over sampled bases and pairs, b = basis / (‖basis‖ + 1e-6)."""
        times = torch.linspace(0, 1, 101, device=next(self.parameters()).device)  # any fine grid would do
        w = trapezoid_weights(times[None], times[None] >= 0)  # (1, P)
        bases = self.evaluate(times)  # (P,) → (K, P)
        bases = bases / ((bases.square() * w).sum(1, keepdim=True).sqrt().detach() + 1e-6)  # as in the notebook
        sampled = bases[torch.multinomial(torch.ones(len(bases)), self.sampled_bases)]  # without replacement
        total = self.sparsity * (sampled.abs() * w).sum(1).mean()
        if self.sampled_pairs:
            i, j = torch.multinomial(torch.ones(self.sampled_pairs, len(bases)), 2).T  # (pairs, 2) → (pairs,) twice
            total = total + self.orthogonality * (bases[i] * bases[j] * w).sum(1).abs().mean()
        return total


class Recurrent(nn.Module):
    """LSTM. ONNX has no packed sequences, so the backward direction reads each clip's valid steps in reverse order."""

    def __init__(self, n_in: int, hidden: int, n_layers: int, bidirectional: bool, dropout: float) -> None:
        super().__init__()
        self.hidden, self.n_features = hidden, hidden * (2 if bidirectional else 1)
        inputs = [n_in] + [self.n_features] * (n_layers - 1)
        self.onward = nn.ModuleList(nn.LSTM(n, hidden, batch_first=True) for n in inputs)
        self.back = nn.ModuleList(nn.LSTM(n, hidden, batch_first=True) for n in inputs if bidirectional)
        self.dropout = nn.Dropout(dropout)

    def forward(self, y: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return each direction's state after its last valid step: (B, S, n_in), (B, S) → (B, n_features)."""
        step = torch.arange(y.shape[1], device=y.device)
        mirror = torch.where(valid, valid.sum(1, keepdim=True) - 1 - step, step)[..., None]  # (B, S, 1)
        for i, onward in enumerate(self.onward):
            y = self.dropout(y) if i else y
            states = [onward(y)[0]]  # (B, S, n_in) → (B, S, hidden)
            if self.back:
                mirrored = self.back[i](y.gather(1, mirror.expand_as(y)))[0]  # (B, S, n_in) → (B, S, hidden)
                states.append(mirrored.gather(1, mirror.expand_as(mirrored)))
            y = torch.cat(states, dim=2)  # (B, S, n_features)
        last = states[0].gather(1, mirror[:, :1].expand(-1, -1, self.hidden))[:, 0]  # (B, S, hidden) → (B, hidden)
        return torch.cat((last, *(mirrored[:, 0] for mirrored in states[1:])), dim=1)  # (B, n_features)


class Encoder(nn.Module):
    """Transformer encoder (Vaswani et al. 2017), pooled over the valid steps; no step attends to padding."""

    def __init__(self, n_in: int, width: int, heads: int, n_layers: int, hidden: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"transformer_width is {width}; allowed: a multiple of transformer_heads, {heads}")
        self.n_features, self.project = 2 * width, nn.Linear(n_in, width)
        # SiLU, because with ReLU or GELU PyTorch takes a fast path without gradients that cannot be exported to ONNX.
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, F.silu, batch_first=True, norm_first=True)
        layer.self_attn.dropout = 0.0  # dropout would disable the fused kernel, which takes half the time on a CPU
        self.encoder = nn.TransformerEncoder(layer, n_layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, y: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return mean and standard deviation over the valid steps: (B, S, n_in), (B, S) → (B, 2 width)."""
        y = self.project(y) + positions(y.shape[1], self.project.out_features).to(y)  # (B, S, width)
        return statistics(self.encoder(y, src_key_padding_mask=~valid), valid)


class Embedding(nn.Module):
    """The frozen GE2E speaker encoder, whose pooled states are standardised: (B, T, M), (B, T) → (B, 1024)."""

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        if n_mels != N_MELS:
            raise ValueError(f"n_mels is {n_mels}; allowed with use_embedding: {N_MELS}")
        self.encoder, self.n_features = SpeakerEncoder().requires_grad_(False), len(POOLED) * HIDDEN
        self.standardise = nn.BatchNorm1d(self.n_features, affine=False)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return self.standardise(self.encoder(self.encoder.power(x), valid).flatten(1))


def positions(n_steps: int, width: int) -> torch.Tensor:
    """Return positional encodings (n_steps, width): sines in even columns, cosines in odd (Vaswani, sec. 3.5)."""
    column = torch.arange(width)
    angle = torch.arange(n_steps)[:, None] / 10_000 ** ((column - column % 2) / width)  # (n_steps, width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())
