"""A multilayer perceptron on all values of a sample, which is given at several speeds.

In training it reads one speed of each sample, drawn anew in every step; its answer is the mean over all speeds.
"""

from itertools import pairwise

import torch
from torch import nn

from stages.params.options import Fraction, PositiveInts

LAYOUT = ("speed", "statistic", "unit")


def build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    hidden: PositiveInts = [256],  # noqa: B006 (a literal: options are read off the source)
    input_dropout: Fraction = 0.3,
    dropout: Fraction = 0.5,
) -> nn.Module:
    """Return the network for `input_shape` (speed, statistic, unit), standardised.

    `hidden`: units of each hidden layer. `input_dropout`: of the input values; `dropout`: of the hidden units.
    """
    layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(input_dropout)]  # (B, S, U) → (B, S · U)
    for n_in, n_out in pairwise([input_shape[1] * input_shape[2], *hidden]):
        layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
    return Perceptron(nn.Sequential(*layers, nn.Linear(hidden[-1], n_classes)))


class Perceptron(nn.Module):
    """The layers, which have no time steps to read."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, speed, statistic, unit); the values have no `length`."""
        if self.training:
            drawn = torch.randint(x.shape[1], (len(x),), device=x.device)
            return self.layers(x[torch.arange(len(x), device=x.device), drawn])  # (B, V, S, U) → (B, S, U)
        logits = self.layers(x.flatten(0, 1))  # (B, V, S, U) → (B · V, S, U) → (B · V, C)
        return logits.unflatten(0, (-1, x.shape[1])).mean(1)  # (B · V, C) → (B, V, C) → (B, C)
