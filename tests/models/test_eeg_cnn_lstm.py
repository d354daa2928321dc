"""The CNN-LSTM against the same computed window by window and packed; no window sees another before the LSTM."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from stages.models.eeg_cnn_lstm import build

SHAPE = (25, 12 * 5)
LENGTH = torch.tensor([25, 1, 13, 24, 2])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"widths": [3, 4], "hidden": 6, "dropout": 0.0, **options})


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def by_window(model: nn.Module, window: torch.Tensor, n_bands: int = 5) -> torch.Tensor:
    """What the LSTM should read of one window (features,)."""
    y = window.reshape(-1, n_bands).T[None]  # (1, bands, electrodes)
    for block in list(model.convolutions)[:-1]:
        y = F.max_pool1d(F.relu(F.conv1d(y, block[0].weight[:, :, 0], block[0].bias, padding=2)), 2)
    return y[0].T.flatten()  # electrode by electrode


def expected_of(model: nn.Module, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    read = torch.stack([torch.stack([by_window(model, window) for window in trial]) for trial in x])
    packed = nn.utils.rnn.pack_padded_sequence(read, length, batch_first=True, enforce_sorted=False)
    return model.classifier(model.lstm(packed)[1][0][-1])


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("use_length", [True, False])
def test_as_window_by_window_and_packed(use_length: bool, layers: int):
    model, x = small(use_length=use_length, layers=layers), torch.randn(5, *SHAPE)
    expected = expected_of(model, x, LENGTH if use_length else torch.full((5,), 25))
    torch.testing.assert_close(model(x, LENGTH), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(model(x), expected_of(model, x, torch.full((5,), 25)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("n_bands", [5, 4, 1])
def test_features_are_electrode_by_electrode(n_bands: int):
    model, x, seen = small(n_bands=n_bands), torch.randn(2, *SHAPE), []
    model.convolutions.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(x)
    assert seen[0].shape == (2, n_bands, 25, 60 // n_bands)
    for trial, band, window, electrode in np.ndindex(*seen[0].shape):
        assert seen[0][trial, band, window, electrode] == x[trial, window, electrode * n_bands + band]


def test_no_window_sees_another():
    model, x = small(), torch.randn(1, *SHAPE).requires_grad_()
    seen = []
    model.lstm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(x)
    seen[0][0, 7].sum().backward()
    assert x.grad[0].any(dim=1).nonzero().flatten().tolist() == [7]


def test_widths_by_hand():
    # kernels of 3 and biases; 3 of 12 electrodes left; per layer four gates of input, state and two biases
    convolutions = 5 * 3 * 3 + 3 + 3 * 4 * 3 + 4
    lstm = 4 * 6 * (4 * 3 + 6 + 2) + 4 * 6 * (6 + 6 + 2)
    assert weights(small(kernel_electrodes=3, layers=2)) == convolutions + lstm + 6 * 4 + 4


def test_default_size():
    assert weights(build((74, 310), 5)) == 80_373


def test_dropout():
    model = small(layers=2, dropout=0.3)
    assert [part.p for part in model.modules() if isinstance(part, nn.Dropout)] == [0.3, 0.3]
    assert model.lstm.dropout == 0.3


def test_shapes_it_does_not_take():
    with pytest.raises(ValueError, match=r"input is \(25, 62\); allowed: \(time, feature\), features a multiple of 5"):
        build((25, 62), 4)
    with pytest.raises(ValueError, match="widths has 3 entries, each halving 6 electrodes; allowed: fewer"):
        build((25, 30), 4, widths=[2, 2, 2])
    assert build((1, 20), 4)(torch.rand(1, 1, 20)).shape == (1, 4)
