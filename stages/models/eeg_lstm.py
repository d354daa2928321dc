"""LSTM over the windows of an EEG trial, with a classifier on its state after the last window, padded or true."""

import torch
from torch import nn

from stages.params.options import Fraction, PositiveInt

LAYOUT = ("time", "feature")


def build(
    input_shape: tuple[int, int],
    n_classes: int,
    *,
    hidden: PositiveInt = 64,
    layers: PositiveInt = 1,
    bidirectional: bool = False,
    dropout: Fraction = 0.5,
    use_length: bool = False,
) -> nn.Module:
    """Return the network for `input_shape` (time, feature), standardised: 96,581 weights for (74, 310), 5 classes.

    `hidden`: units of each direction. `dropout`: between layers and before the classifier. `use_length`: false reads
    padding like true windows, as published; true takes the state after each trial's last true window.
    """
    recurrent = Recurrent(input_shape[1], hidden, layers, bidirectional, dropout)
    classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(recurrent.n_features, n_classes))
    return EegLSTM(recurrent, classifier, use_length)


class EegLSTM(nn.Module):
    """The network. Shapes in the comments: B trials of T windows, padded ones included, and F features."""

    def __init__(self, recurrent: nn.Module, classifier: nn.Module, use_length: bool) -> None:
        super().__init__()
        self.recurrent, self.classifier, self.use_length = recurrent, classifier, use_length

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, T, F); `length` (B,) true windows in 1..T, None: all T."""
        if length is None or not self.use_length:
            length = torch.full((x.shape[0],), x.shape[1], dtype=torch.int64, device=x.device)
        valid = torch.arange(x.shape[1], device=x.device) < length[:, None]  # (B, T)
        x = x.masked_fill(~valid[:, :, None], 0)  # a gradient of 0 times an infinity would be NaN
        return self.classifier(self.recurrent(x, valid))  # (B, T, F) → (B, n_features) → (B, n_classes)


class Recurrent(nn.Module):
    """LSTM. ONNX has no packed sequences, so the backward direction reads each trial's valid steps in reverse order."""

    def __init__(self, n_in: int, hidden: int, n_layers: int, bidirectional: bool, dropout: float) -> None:
        super().__init__()
        self.hidden, self.n_features = hidden, hidden * (2 if bidirectional else 1)
        inputs = [n_in] + [self.n_features] * (n_layers - 1)
        self.onward = nn.ModuleList(nn.LSTM(n, hidden, batch_first=True) for n in inputs)
        self.back = nn.ModuleList(nn.LSTM(n, hidden, batch_first=True) for n in inputs if bidirectional)
        self.dropout = nn.Dropout(dropout)

    def forward(self, y: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return each direction's state after its last valid step: (B, T, n_in), (B, T) → (B, n_features)."""
        step = torch.arange(y.shape[1], device=y.device)
        mirror = torch.where(valid, valid.sum(1, keepdim=True) - 1 - step, step)[..., None]  # (B, T, 1)
        for i, onward in enumerate(self.onward):
            y = self.dropout(y) if i else y
            states = [onward(y)[0]]  # (B, T, n_in) → (B, T, hidden)
            if self.back:
                mirrored = self.back[i](y.gather(1, mirror.expand_as(y)))[0]  # (B, T, n_in) → (B, T, hidden)
                states.append(mirrored.gather(1, mirror.expand_as(mirrored)))
            y = torch.cat(states, dim=2)  # (B, T, n_features)
        last = states[0].gather(1, mirror[:, :1].expand(-1, -1, self.hidden))[:, 0]  # (B, T, hidden) → (B, hidden)
        return torch.cat((last, *(mirrored[:, 0] for mirrored in states[1:])), dim=1)  # (B, n_features)
