"""The Keras-style CNN for 48x48 faces: padded 3x3 convolutions, ReLU before each batch normalisation."""

import torch
from torch import nn

from stages.params.options import Fraction

LAYOUT = ("channel", "height", "width")
HALVINGS = {"height": 3, "width": 3}  # how many times an axis is halved


def build(input_shape: tuple[int, int, int], n_classes: int, *, dropout: Fraction = 0.25) -> nn.Module:
    """Return the network for `input_shape` (channel, height, width): 2,784,647 values for (1, 48, 48), 7 classes."""
    return KerasCNN(input_shape, n_classes, dropout)


def _convolution(n_in: int, n_out: int) -> nn.Sequential:
    # Keras's epsilon, but PyTorch's momentum: with Keras's 0.99, the running averages are still half their initial
    # values after 75 steps.
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(n_out, eps=1e-3))


def _dense(n_in: int, n_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.ReLU(), nn.BatchNorm1d(n_out, eps=1e-3), nn.Dropout(dropout))


class KerasCNN(nn.Module):
    """The network. Shapes in the comments are those of a 48x48 image."""

    def __init__(self, input_shape: tuple[int, int, int], n_classes: int, dropout: float) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.features = nn.Sequential(
            _convolution(channels, 32),  # (B, 32, 48, 48)
            _convolution(32, 64),  # (B, 64, 48, 48)
            nn.MaxPool2d(2),  # (B, 64, 24, 24)
            _convolution(64, 128),  # (B, 128, 24, 24)
            nn.MaxPool2d(2),  # (B, 128, 12, 12)
            _convolution(128, 256),  # (B, 256, 12, 12)
            nn.MaxPool2d(2),  # (B, 256, 6, 6)
        )
        n_features = 256 * (height // 8) * (width // 8)
        if not n_features:
            raise ValueError(f"images of {height}x{width} px are too small; allowed: at least 8 a side")
        self.head = nn.Sequential(_dense(n_features, 256, dropout), _dense(256, 128, dropout))
        self.classifier = nn.Linear(128, n_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):  # Keras's defaults: Glorot-uniform weights, biases at zero
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, channel, height, width); images have no `length`."""
        x = self.features(x).flatten(1)  # (B, 256, 6, 6) → (B, 9216)
        return self.classifier(self.head(x))
