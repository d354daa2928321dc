"""Convolutions over the electrodes of each EEG window, an LSTM over the windows, and a classifier on its last state.

Neighbours on the electrode axis are mostly neighbours on the scalp, because montages list electrodes row by row from
front to back, each row from left to right.
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
    """Return the network for `input_shape` (time, electrode · `n_bands`): 80,373 weights for (74, 310), 5 classes.

    `widths`: channels of each convolution, which halves the electrodes. `hidden`, `layers`: of the LSTM. `dropout`:
    before the LSTM, between its layers and after it. `use_length`: false reads padding like true windows, as published;
    true takes the state after each trial's last true window. Raises ValueError for a shape that does not fit `n_bands`
    or `widths`.
    """
    if input_shape[1] % n_bands:
        raise ValueError(f"input is {tuple(input_shape)}; allowed: features a multiple of {n_bands}")
    n_electrodes = input_shape[1] // n_bands
    n_left = n_electrodes // 2 ** len(widths)
    if not n_left:
        raise ValueError(f"widths has {len(widths)} entries, each halving {n_electrodes} electrodes; allowed: fewer")
    inputs = [n_bands, *widths[:-1]]
    convolutions = nn.Sequential()  # within each window, (B, n_in, T, E) → (B, n_out, T, E / 2) each
    for n_in, n_out in zip(inputs, widths, strict=True):
        # No batch normalisation, because padding would enter its statistics.
        convolution = nn.Conv2d(n_in, n_out, (1, kernel_electrodes), padding="same")
        convolutions.append(nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d((1, 2))))
    inner_dropout = dropout if layers > 1 else 0.0  # PyTorch warns about a dropout in an LSTM of one layer
    lstm = nn.LSTM(widths[-1] * n_left, hidden, layers, batch_first=True, dropout=inner_dropout)
    classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, n_classes))
    return EegCNNLSTM(n_bands, convolutions.append(nn.Dropout(dropout)), lstm, classifier, use_length)


class EegCNNLSTM(nn.Module):
    """The network. Shapes in comments: B trials of 74 windows, 62 electrodes, 5 bands; two convolutions, 16 wide."""

    def __init__(
        self, n_bands: int, convolutions: nn.Module, lstm: nn.LSTM, classifier: nn.Module, use_length: bool
    ) -> None:
        super().__init__()
        self.n_bands, self.use_length = n_bands, use_length
        self.convolutions, self.lstm, self.classifier = convolutions, lstm, classifier

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, T, feature); `length` (B,) true windows in 1..T, None: all T."""
        if length is None or not self.use_length:
            length = torch.full((x.shape[0],), x.shape[1], dtype=torch.int64, device=x.device)
        valid = torch.arange(x.shape[1], device=x.device) < length[:, None]  # (B, 74)
        x = x.masked_fill(~valid[:, :, None], 0)  # a gradient of 0 times an infinity would be NaN
        # `reshape` and not `unflatten`, which would fix the batch size in ONNX.
        x = x.reshape(*x.shape[:2], -1, self.n_bands)  # (B, 74, 310) → (B, 74, 62, 5)
        x = x.permute(0, 3, 1, 2)  # (B, 74, 62, 5) → (B, 5, 74, 62), channels last in memory
        x = self.convolutions(x)  # (B, 5, 74, 62) → (B, 16, 74, 15)
        x = x.permute(0, 2, 3, 1).flatten(2)  # (B, 16, 74, 15) → (B, 74, 15, 16) → (B, 74, 240)
        states, _ = self.lstm(x)  # (B, 74, 240) → (B, 74, hidden)
        last = (length - 1)[:, None, None].expand(-1, -1, states.shape[2])  # (B, 1, hidden)
        return self.classifier(states.gather(1, last)[:, 0])  # (B, hidden) → (B, n_classes)
