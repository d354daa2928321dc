"""Convolutions over the electrodes of each EEG window, an LSTM over the windows, its state after the last of them.

Neighbours along the electrode axis are mostly neighbours on the scalp: montages list electrodes row by row from front
to back, each row from left to right.
"""

import torch
from torch import nn

from stages.params.options import Fraction, PositiveInt, PositiveInts

LAYOUT = ("time", "feature")
HALVINGS = {"electrode": "widths"}  # an axis is halved for each entry


def build(
    input_shape: tuple[int, int],
    n_classes: int,
    *,
    widths: PositiveInts = [16, 16],  # noqa: B006 (a literal: options are read off the source)
    kernel_electrodes: PositiveInt = 5,
    hidden: PositiveInt = 64,
    layers: PositiveInt = 1,
    dropout: Fraction = 0.2,
    n_bands: PositiveInt = 5,
    use_length: bool = False,
) -> nn.Module:
    """`input_shape` (time, electrode · `n_bands`), standardised. 80,373 weights for (74, 310) and 5 classes.

    One convolution per entry of `widths`, its number of channels, halving the electrodes. `hidden`, `layers`: of the
    LSTM. `dropout`: before it, between its layers and after it. `use_length`: false reads padding as if it were
    windows, as published; true stops at each trial's last true window. Raises ValueError for a shape that does not go
    with `n_bands` or `widths`.
    """
    if len(input_shape) != 2 or input_shape[1] % n_bands:
        raise ValueError(f"input is {tuple(input_shape)}; allowed: (time, feature), features a multiple of {n_bands}")
    n_electrodes = input_shape[1] // n_bands
    n_left = n_electrodes // 2 ** len(widths)
    if not n_left:
        raise ValueError(f"widths has {len(widths)} entries, each halving {n_electrodes} electrodes; allowed: fewer")
    inputs = [n_bands, *widths[:-1]]
    convolutions = [_convolution(*sizes, kernel_electrodes) for sizes in zip(inputs, widths, strict=True)]
    between = dropout if layers > 1 else 0.0  # PyTorch warns of dropout between the layers of one
    lstm = nn.LSTM(widths[-1] * n_left, hidden, layers, batch_first=True, dropout=between)
    classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, n_classes))
    return EegCNNLSTM(n_bands, nn.Sequential(*convolutions, nn.Dropout(dropout)), lstm, classifier, use_length)


def _convolution(n_in: int, n_out: int, kernel: int) -> nn.Sequential:
    """(B, n_in, T, E) → (B, n_out, T, E / 2), no window seeing another."""
    # No batch normalisation: padding would enter its statistics.
    return nn.Sequential(nn.Conv2d(n_in, n_out, (1, kernel), padding="same"), nn.ReLU(), nn.MaxPool2d((1, 2)))


class EegCNNLSTM(nn.Module):
    """Shapes in the comments: B trials of 74 windows, 62 electrodes, 5 bands; two convolutions, the last 16 wide."""

    def __init__(
        self, n_bands: int, convolutions: nn.Module, lstm: nn.LSTM, classifier: nn.Module, use_length: bool
    ) -> None:
        super().__init__()
        self.n_bands, self.use_length = n_bands, use_length
        self.convolutions, self.lstm, self.classifier = convolutions, lstm, classifier

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """(B, T, feature), (B,) true windows in 1..T or None for T each → logits (B, n_classes)."""
        if length is None or not self.use_length:
            length = torch.full((x.shape[0],), x.shape[1], dtype=torch.int64, device=x.device)
        valid = torch.arange(x.shape[1], device=x.device) < length[:, None]  # (B, 74)
        x = x.masked_fill(~valid[:, :, None], 0)  # a gradient of 0 times an infinity would be no number
        # No `unflatten`, which in ONNX would fix the batch.
        x = x.reshape(*x.shape[:2], -1, self.n_bands)  # (B, 74, 310) → (B, 74, 62, 5)
        x = x.permute(0, 3, 1, 2)  # (B, 74, 62, 5) → (B, 5, 74, 62), channels last in memory
        x = self.convolutions(x)  # (B, 5, 74, 62) → (B, 16, 74, 15)
        x = x.permute(0, 2, 3, 1).flatten(2)  # (B, 16, 74, 15) → (B, 74, 15, 16) → (B, 74, 240)
        states, _ = self.lstm(x)  # (B, 74, 240) → (B, 74, hidden); no state has read what comes after it
        last = (length - 1)[:, None, None].expand(-1, -1, states.shape[2])  # (B, 1, hidden)
        return self.classifier(states.gather(1, last)[:, 0])  # (B, hidden) → (B, n_classes)
