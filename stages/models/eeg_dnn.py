"""Dense layers over a whole padded EEG trial: every window has weights of its own, those of padding too."""

from itertools import pairwise

import torch
from torch import nn

from stages.params.options import Fraction, PositiveInts

LAYOUT = ("time", "feature")


def build(
    input_shape: tuple[int, int],
    n_classes: int,
    *,
    hidden: PositiveInts = [16, 16],  # noqa: B006 (a literal: options are read off the source)
    dropout: Fraction = 0.3,
) -> nn.Module:
    """`input_shape` (time, feature), standardised. 367,445 weights for (74, 310) and 5 classes.

    `hidden`: units of each layer, followed by batch normalisation, ReLU and `dropout`. The input is normalised too,
    each feature of each window: zeros far from a feature's mean would else drown what the windows tell.
    """
    if len(input_shape) != 2:
        raise ValueError(f"input has {len(input_shape)} axes, {tuple(input_shape)}; allowed: 2, (time, feature)")
    widths = [input_shape[0] * input_shape[1], *hidden]
    layers = [part for n_in, n_out in pairwise(widths) for part in _dense(n_in, n_out, dropout)]
    normalise = nn.BatchNorm1d(widths[0], affine=False)
    return EegDNN(nn.Sequential(normalise, *layers, nn.Linear(hidden[-1], n_classes)))


def _dense(n_in: int, n_out: int, dropout: float) -> list[nn.Module]:
    # No bias: the batch normalisation that follows would cancel it.
    return [nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU(), nn.Dropout(dropout)]


class EegDNN(nn.Module):
    """It has no notion of time, and so none of a length: what padding holds is part of what it reads."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, feature) → logits (B, n_classes); `length` is not used."""
        return self.layers(x.flatten(1))  # (B, T, feature) → (B, T · feature) → (B, n_classes)
