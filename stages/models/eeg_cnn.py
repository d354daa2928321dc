"""CNN that reads a padded EEG trial as an image: rows are windows, columns electrodes, channels frequency bands.

Neighbours on the electrode axis are mostly neighbours on the scalp, because montages list electrodes row by row from
front to back, each row from left to right. The last feature map is averaged over time, padding included, but not over
electrodes.
"""

import torch
from torch import nn

from stages.params.options import Fraction, PositiveInt, PositiveInts

LAYOUT = ("time", "feature")
HALVINGS = {"time": "widths", "electrode": "widths"}  # an axis is halved for each entry


def build(
    input_shape: tuple[int, int],
    n_classes: int,
    *,
    widths: PositiveInts = [16, 32],  # noqa: B006 (a literal: options are read off the source)
    kernel_windows: PositiveInt = 3,
    kernel_electrodes: PositiveInt = 5,
    hidden: PositiveInt = 128,
    dropout: Fraction = 0.5,
    n_bands: PositiveInt = 5,
) -> nn.Module:
    """Return the network for `input_shape` (time, electrode · `n_bands`): 71,189 weights for (74, 310), 5 classes.

    `widths`: channels of each block, which halves both axes. `hidden`: units of the dense layer. `dropout`: before and
    after that layer. Raises ValueError for a shape that does not fit `n_bands` or the number of blocks.
    """
    if input_shape[1] % n_bands:
        raise ValueError(f"input is {tuple(input_shape)}; allowed: features a multiple of {n_bands}")
    n_windows, n_electrodes = input_shape[0], input_shape[1] // n_bands
    side = 2 ** len(widths)
    if min(n_windows, n_electrodes) < side:
        axes = f"{n_windows} windows and {n_electrodes} electrodes"
        raise ValueError(f"widths has {len(widths)} entries, each halving {axes}; allowed: fewer")
    inputs, kernel = [n_bands, *widths[:-1]], (kernel_windows, kernel_electrodes)
    blocks = nn.Sequential()  # (B, n_in, T, E) → (B, n_out, T / 2, E / 2) each
    for n_in, n_out in zip(inputs, widths, strict=True):
        # No bias: the batch normalisation that follows would cancel it.
        convolution = nn.Conv2d(n_in, n_out, kernel, padding="same", bias=False)
        blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2)))
    dense = nn.Linear(widths[-1] * (n_electrodes // side), hidden)
    head = (nn.Dropout(dropout), dense, nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, n_classes))
    return EegCNN(n_bands, blocks, nn.Sequential(*head))


class EegCNN(nn.Module):
    """The network. Shapes in comments: B trials of 74 windows, 62 electrodes, 5 bands; two blocks, the last 32 wide."""

    def __init__(self, n_bands: int, blocks: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.n_bands, self.blocks, self.head = n_bands, blocks, head

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, T, feature); `length` is not used: padding is read as published."""
        # `reshape` and not `unflatten`, which would fix the batch size in ONNX.
        x = x.reshape(*x.shape[:2], -1, self.n_bands)  # (B, 74, 310) → (B, 74, 62, 5)
        x = x.permute(0, 3, 1, 2)  # (B, 74, 62, 5) → (B, 5, 74, 62), channels last in memory
        x = self.blocks(x).mean(dim=2)  # (B, 5, 74, 62) → (B, 32, 18, 15) → (B, 32, 15)
        return self.head(x.flatten(1))  # (B, 480) → (B, n_classes)
