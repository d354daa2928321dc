"""The GE2E speaker encoder (`core.ge2e`), whose upper layers learn to tell emotions apart, and a linear classifier."""

from typing import Literal

import torch
from torch import nn

from stages.core.ge2e import HIDDEN, N_MELS, POOLED, SpeakerEncoder
from stages.params.options import Fraction

LAYOUT = ("time", "mel")


def build(
    input_shape: tuple[int, int],
    n_classes: int,
    *,
    pretrained: Literal["ge2e", "none"] = "ge2e",
    tuned_layers: Literal[0, 1, 2, 3] = 2,
    dropout: Fraction = 0.3,
) -> nn.Module:
    """Return the network for `input_shape` (time, 40 mel bands in dB); training calls `load_pretrained`.

    The feature has to be feature `mel` with the encoder's settings: see dataset `speech_ge2e` in params.yaml.
    `tuned_layers`: the last so many LSTM layers are trained. `dropout`: before the classifier. Raises ValueError for
    another number of bands.
    """
    if input_shape[1] != N_MELS:
        raise ValueError(f"n_mels is {input_shape[1]}; allowed: {N_MELS}, which the encoder expects")
    return Ge2e(n_classes, pretrained, tuned_layers, dropout)


class Ge2e(nn.Module):
    """The network. Shapes in comments: B clips of T frames."""

    def __init__(self, n_classes: int, pretrained: str, tuned_layers: int, dropout: float) -> None:
        super().__init__()
        self.pretrained, self.encoder = pretrained, SpeakerEncoder()
        for layer in self.encoder.layers[: len(self.encoder.layers) - tuned_layers]:
            layer.requires_grad_(False)
        n_values = len(POOLED) * HIDDEN
        self.standardise = nn.BatchNorm1d(n_values, affine=False)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(n_values, n_classes))

    def set_input_scale(self, mean: torch.Tensor, sd: torch.Tensor) -> None:
        """Set the mean and standard deviation (n_mels,) with which the input was standardised."""
        self.encoder.set_input_scale(mean, sd)

    def load_pretrained(self) -> None:
        """Load the encoder's published weights. Raises `UserError` if their package is absent."""
        if self.pretrained != "none":
            self.encoder.load_pretrained()

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for standardised `x` (B, T, 40); `length` (B,) true frames, None: all T."""
        length = torch.full((x.shape[0],), x.shape[1], device=x.device) if length is None else length
        if not torch.onnx.is_in_onnx_export():  # an export would fix this batch's longest clip as a constant
            x = x[:, : int(length.max())]
        valid = torch.arange(x.shape[1], device=x.device) < length[:, None]  # (B, T)
        x = x.masked_fill(~valid[:, :, None], 0)  # padding may overflow
        pooled = self.encoder(self.encoder.power(x), valid).flatten(1)  # (B, T, 40) → (B, 4, 256) → (B, 1024)
        return self.classifier(self.standardise(pooled))
