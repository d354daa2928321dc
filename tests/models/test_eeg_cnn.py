"""The CNN: windows as rows, electrodes as columns, bands as channels; an average over time, padding included."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.models.eeg_cnn import build

SHAPE = (16, 12 * 5)


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"widths": [3, 4], "hidden": 8, **options})


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize("n_bands", [5, 4, 1])
def test_features_are_electrode_by_electrode(n_bands: int):
    model, x, images = small(n_bands=n_bands).eval(), torch.randn(2, *SHAPE), []
    model.blocks.register_forward_pre_hook(lambda _, inputs: images.append(inputs[0]))
    model(x)
    assert images[0].shape == (2, n_bands, 16, 60 // n_bands)
    for trial, band, window, electrode in np.ndindex(*images[0].shape):
        assert images[0][trial, band, window, electrode] == x[trial, window, electrode * n_bands + band]


def test_average_is_over_time_but_not_over_electrodes():
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
    # Kernels of 3x4 without bias, a normalisation of two values per channel; 3 of 12 electrodes are left.
    blocks = 5 * 3 * 12 + 6 + 3 * 4 * 12 + 8
    assert weights(small(kernel_windows=3, kernel_electrodes=4)) == blocks + 4 * 3 * 8 + 8 + 8 * 4 + 4
    assert weights(build((74, 310), 5)) == 71_189


def test_kernel_sizes_are_those_of_the_options():
    """One input value changes an output area of the kernel's size."""
    block = small(kernel_windows=3, kernel_electrodes=5).blocks[0][0]
    x = torch.zeros(1, 5, 16, 12)
    x[0, 2, 8, 6] = 1.0
    changed = block(x).abs().sum(dim=1)[0].nonzero()
    assert changed.amin(0).tolist() == [7, 4]
    assert changed.amax(0).tolist() == [9, 8]


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((16, 62), {}, r"input is \(16, 62\); allowed: .* a multiple of 5"),
        ((16, 30), {"widths": [2, 2, 2]}, "widths has 3 entries, each halving 16 windows and 6 electrodes"),
        ((3, 310), {}, "3 windows and 62 electrodes; allowed: fewer"),
    ],
)
def test_invalid_shapes(shape: tuple[int, int], options: dict, words: str):
    with pytest.raises(ValueError, match=words):
        build(shape, 4, **options)
