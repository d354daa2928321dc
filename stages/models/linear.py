"""A linear classifier: multinomial logistic regression on all values of a sample."""

import torch
from torch import nn

from stages.params.options import Fraction

LAYOUT = ("statistic", "unit")


def build(input_shape: tuple[int, int], n_classes: int, *, dropout: Fraction = 0.3) -> nn.Module:
    """Return the classifier for `input_shape` (statistic, unit), standardised. `dropout`: of the input values."""
    return Linear(input_shape[0] * input_shape[1], n_classes, dropout)


class Linear(nn.Module):
    """Starts from zero, so that all classes are equally likely before training."""

    def __init__(self, n_values: int, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout, self.classifier = nn.Dropout(dropout), nn.Linear(n_values, n_classes)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, statistic, unit); the values have no `length`."""
        return self.classifier(self.dropout(x.flatten(1)))  # (B, S, U) → (B, S · U) → (B, n_classes)
