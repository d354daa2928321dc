"""The CNN-LSTM against a computation window by window, with packed sequences for the LSTM."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stages.models.eeg_cnn_lstm import build

SHAPE = (25, 12 * 5)
LENGTH = torch.tensor([25, 1, 13, 24, 2])


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"widths": [3, 4], "hidden": 6, "dropout": 0.0, **options})


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def by_window(model: nn.Module, window: torch.Tensor, n_bands: int = 5) -> torch.Tensor:
    """Return the LSTM's input for one window (features,)."""
    y = window.reshape(-1, n_bands).T[None]  # (1, bands, electrodes)
    for block in list(model.convolutions)[:-1]:
        y = F.max_pool1d(F.relu(F.conv1d(y, block[0].weight[:, :, 0], block[0].bias, padding=2)), 2)
    return y[0].T.flatten()  # electrode by electrode


def expected_logits(model: nn.Module, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    windows = torch.stack([torch.stack([by_window(model, window) for window in trial]) for trial in x])
    packed = nn.utils.rnn.pack_padded_sequence(windows, length, batch_first=True, enforce_sorted=False)
    return model.classifier(model.lstm(packed)[1][0][-1])


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("use_length", [True, False])
def test_logits_equal_those_of_single_windows_and_packed_sequences(use_length: bool, layers: int):
    model, x = small(use_length=use_length, layers=layers), torch.randn(5, *SHAPE)
    expected = expected_logits(model, x, LENGTH if use_length else torch.full((5,), 25))
    torch.testing.assert_close(model(x, LENGTH), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("n_bands", [5, 4, 1])
def test_features_are_electrode_by_electrode(n_bands: int):
    model, x, images = small(n_bands=n_bands), torch.randn(2, *SHAPE), []
    model.convolutions.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0]))
    model(x)
    assert images[0].shape == (2, n_bands, 25, 60 // n_bands)
    for trial, band, window, electrode in np.ndindex(*images[0].shape):
        assert images[0][trial, band, window, electrode] == x[trial, window, electrode * n_bands + band]


def test_widths_by_hand():
    # Kernels of 3 with biases; 3 of 12 electrodes are left; four gates per layer with input, state and two biases.
    convolutions = 5 * 3 * 3 + 3 + 3 * 4 * 3 + 4
    lstm = 4 * 6 * (4 * 3 + 6 + 2) + 4 * 6 * (6 + 6 + 2)
    assert weights(small(kernel_electrodes=3, layers=2)) == convolutions + lstm + 6 * 4 + 4
    assert weights(build((74, 310), 5)) == 80_373


def test_invalid_shapes():
    with pytest.raises(ValueError, match=r"input is \(25, 62\); allowed: .* a multiple of 5"):
        build((25, 62), 4)
    with pytest.raises(ValueError, match="widths has 3 entries, each halving 6 electrodes; allowed: fewer"):
        build((25, 30), 4, widths=[2, 2, 2])
