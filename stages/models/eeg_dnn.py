"""Dense layers over a whole padded EEG trial, with separate weights for every window, padded ones included."""

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
    """Return the network for `input_shape` (time, feature), standardised: 367,445 weights for (74, 310), 5 classes.

    `hidden`: units of each layer, followed by batch normalisation, ReLU and `dropout`. Each feature of each window is
    also normalised at the input, because zero padding far from a feature's mean would dominate the sums otherwise.
    """
    widths = [input_shape[0] * input_shape[1], *hidden]
    layers = nn.Sequential(nn.BatchNorm1d(widths[0], affine=False))
    for n_in, n_out in pairwise(widths):
        # No bias: the batch normalisation that follows would cancel it.
        layers.extend([nn.Linear(n_in, n_out, bias=False), nn.BatchNorm1d(n_out), nn.ReLU(), nn.Dropout(dropout)])
    return EegDNN(layers.append(nn.Linear(hidden[-1], n_classes)))


class EegDNN(nn.Module):
    """The network. It has no time axis, so it cannot mask padding."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, T, feature); `length` is not used."""
        return self.layers(x.flatten(1))  # (B, T, feature) → (B, T · feature) → (B, n_classes)
