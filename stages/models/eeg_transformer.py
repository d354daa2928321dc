"""Transformer encoder over the windows of an EEG trial, averaged over all windows or over the true ones.

Vaswani et al. 2017, with the normalisation before each sublayer (Xiong et al. 2020), which needs no warm-up.
"""

import torch
from torch import nn
from torch.nn import functional as F

from stages.params.options import Fraction, PositiveInt

LAYOUT = ("time", "feature")


def build(
    input_shape: tuple[int, int],
    n_classes: int,
    *,
    width: PositiveInt = 64,
    heads: PositiveInt = 4,
    layers: PositiveInt = 1,
    feedforward: PositiveInt = 128,
    dropout: Fraction = 0.3,
    use_length: bool = False,
) -> nn.Module:
    """Return the network for `input_shape` (time, feature): 87,301 weights for (74, 310), 5 classes and two layers.

    `width`: features of each window inside the encoder, divided among the `heads`. `feedforward`: units of the dense
    layer in each encoder layer. `dropout`: everywhere except on the attention weights. `use_length`: false reads
    padding like true windows; true attends to each trial's true windows only. Raises ValueError if `width` is no
    multiple of `heads`.
    """
    if width % heads:
        raise ValueError(f"width is {width}; allowed: a multiple of heads, {heads}")
    # SiLU, because with ReLU or GELU PyTorch takes a fast path without gradients that cannot be exported to ONNX.
    layer = nn.TransformerEncoderLayer(width, heads, feedforward, dropout, F.silu, batch_first=True, norm_first=True)
    layer.self_attn.dropout = 0.0  # dropout would disable the fused kernel, which takes half the time on a CPU
    encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
    classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, n_classes))
    return EegTransformer(nn.Linear(input_shape[1], width), nn.Dropout(dropout), encoder, classifier, use_length)


class EegTransformer(nn.Module):
    """The network. Shapes in the comments: B trials of T windows, padded ones included, and F features."""

    def __init__(
        self, project: nn.Linear, dropout: nn.Module, encoder: nn.Module, classifier: nn.Module, use_length: bool
    ) -> None:
        super().__init__()
        self.project, self.dropout, self.encoder, self.classifier = project, dropout, encoder, classifier
        self.use_length = use_length

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, T, F); `length` (B,) true windows in 1..T, None: all T."""
        if length is None or not self.use_length:
            length = torch.full((x.shape[0],), x.shape[1], dtype=torch.int64, device=x.device)
        valid = torch.arange(x.shape[1], device=x.device) < length[:, None]  # (B, T)
        y = self.project(x.masked_fill(~valid[:, :, None], 0))  # (B, T, F) → (B, T, width)
        y = self.dropout(y + positions(y.shape[1], y.shape[2]).to(y))
        y = self.encoder(y, src_key_padding_mask=~valid)  # (B, T, width)
        weight = valid.to(y.dtype) / length[:, None]  # (B, T)
        return self.classifier((y * weight[:, :, None]).sum(dim=1))  # (B, T, width) → (B, width) → (B, n_classes)


def positions(n_steps: int, width: int) -> torch.Tensor:
    """Return positional encodings (n_steps, width): sines in even columns, cosines in odd (Vaswani, sec. 3.5)."""
    column = torch.arange(width)
    angle = torch.arange(n_steps)[:, None] / 10_000 ** ((column - column % 2) / width)  # (n_steps, width)
    return torch.where(column % 2 == 0, angle.sin(), angle.cos())
