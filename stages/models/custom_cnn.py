"""The tuned CNN for 48x48 faces: blocks of conv, BN, activation (twice), pool, dropout, then one hidden dense layer.

There are two convolutions before each pooling, as in VGG, so that a residual connection has something to bypass.
"""

from typing import Literal

import torch
from torch import nn

from stages.params.options import Fraction, PositiveInt, PositiveInts

LAYOUT = ("channel", "height", "width")
HALVINGS = {"height": "widths", "width": "widths"}  # an axis is halved for each entry
ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU}


def build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    widths: PositiveInts = [32, 64, 128, 256],  # noqa: B006 (a literal: options are read off the source)
    activation: Literal["relu", "leaky_relu", "elu"] = "leaky_relu",
    dropout: Fraction = 0.25,
    hidden: PositiveInt = 256,
    hidden_dropout: Fraction = 0.5,
    residual: bool = False,
) -> nn.Module:
    """Return the network for `input_shape` (channel, height, width); raises ValueError for one that does not fit.

    `widths`: channels of each block, which halves the image. `dropout`: of whole channels after each block.
    `hidden_dropout`: of units of the hidden layer, of size `hidden`. `residual`: adds each block's input, with a
    1x1 convolution to the block's width (He et al. 2016), before the pooling.
    """
    channels, height, width = input_shape
    inputs = [channels, *widths[:-1]]
    act = ACTIVATIONS[activation]
    blocks = [Block(n_in, n_out, act, dropout, residual) for n_in, n_out in zip(inputs, widths, strict=True)]
    side = 2 ** len(widths)
    n_features = widths[-1] * (height // side) * (width // side)
    if not n_features:
        raise ValueError(f"widths has {len(widths)} entries, each halving {height}x{width} px; allowed: fewer")
    head = (nn.Linear(n_features, hidden), nn.BatchNorm1d(hidden), act(), nn.Dropout(hidden_dropout))
    return CustomCNN(nn.Sequential(*blocks), nn.Sequential(*head, nn.Linear(hidden, n_classes)))


class CustomCNN(nn.Module):
    """The network. Shapes in the comments are those of a 48x48 image and four blocks, the last 256 wide."""

    def __init__(self, blocks: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.blocks, self.head = blocks, head

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, channel, height, width); images have no `length`."""
        x = self.blocks(x)  # (B, 1, 48, 48) → (B, 256, 3, 3)
        return self.head(x.flatten(1))  # (B, 2304) → (B, n_classes)


class Block(nn.Module):
    """conv, BN, activation, conv, BN (+ input), activation, pool, dropout: (B, n_in, H, W) → (B, n_out, H/2, W/2)."""

    def __init__(self, n_in: int, n_out: int, act: type[nn.Module], dropout: float, residual: bool) -> None:
        super().__init__()
        # No bias: the batch normalisation that follows would cancel it.
        self.convolutions = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            act(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.shortcut = nn.Conv2d(n_in, n_out, 1, bias=False) if residual else None
        self.after = nn.Sequential(act(), nn.MaxPool2d(2), nn.Dropout2d(dropout))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.convolutions(x)  # (B, n_out, H, W)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        return self.after(y)  # (B, n_out, H/2, W/2)
