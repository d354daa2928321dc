"""The CNN: windows down, electrodes across, bands as channels; time averaged over, padding included."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.models.eeg_cnn import build

SHAPE = (16, 12 * 5)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"widths": [3, 4], "hidden": 8, **options})


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize("n_bands", [5, 4, 1])
def test_features_are_electrode_by_electrode(n_bands: int):
    model, x, seen = small(n_bands=n_bands).eval(), torch.randn(2, *SHAPE), []
    model.blocks.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(x)
    assert seen[0].shape == (2, n_bands, 16, 60 // n_bands)
    for trial, band, window, electrode in np.ndindex(*seen[0].shape):
        assert seen[0][trial, band, window, electrode] == x[trial, window, electrode * n_bands + band]


def test_time_is_averaged_over_and_place_is_not():
    model, x = small(), torch.randn(2, *SHAPE)
    model.blocks = model.head = nn.Identity()
    expected = x.numpy().reshape(2, 16, 12, 5).mean(axis=1).transpose(0, 2, 1).reshape(2, 60)
    np.testing.assert_allclose(model(x).numpy(), expected, atol=1e-6)


def test_each_block_halves_windows_and_electrodes():
    model = build((74, 310), 5, widths=[6, 7, 8])
    x = torch.zeros(2, 5, 74, 62)
    for block, width, windows, electrodes in zip(model.blocks, [6, 7, 8], [37, 18, 9], [31, 15, 7], strict=True):
        x = block(x)
        assert x.shape == (2, width, windows, electrodes)


def test_widths_by_hand():
    # kernels of 3x4 without bias, a normalisation of two values a channel; 3 of 12 electrodes left
    blocks = 5 * 3 * 12 + 6 + 3 * 4 * 12 + 8
    assert weights(small(kernel_windows=3, kernel_electrodes=4)) == blocks + 4 * 3 * 8 + 8 + 8 * 4 + 4


def test_default_size():
    assert weights(build((74, 310), 5)) == 71_189


def test_kernels_reach_as_far_as_they_say():
    """Of one block without pooling, the places of its output that one value of the input changes."""
    block = small(kernel_windows=3, kernel_electrodes=5).blocks[0][0]
    x = torch.zeros(1, 5, 16, 12)
    x[0, 2, 8, 6] = 1.0
    reached = block(x).abs().sum(dim=1)[0].nonzero()
    assert reached.amin(0).tolist() == [7, 4]
    assert reached.amax(0).tolist() == [9, 8]


def test_dropout_around_the_dense_layer():
    assert [layer.p for layer in small(dropout=0.1).modules() if isinstance(layer, nn.Dropout)] == [0.1, 0.1]


def test_shapes_it_does_not_take():
    with pytest.raises(ValueError, match=r"input is \(16, 62\); allowed: \(time, feature\), features a multiple of 5"):
        build((16, 62), 4)
    with pytest.raises(
        ValueError, match="widths has 3 blocks, each halving both; 16 windows of 6 electrodes allow few"
    ):
        build((16, 30), 4, widths=[2, 2, 2])
    with pytest.raises(ValueError, match="3 windows of 62 electrodes allow fewer"):
        build((3, 310), 4)
    assert build((4, 20), 4).eval()(torch.rand(1, 4, 20)).shape == (1, 4)
