"""EEG trials are padded from their own windows only, cut at the end, and refused when damaged."""

import numpy as np
import pytest

from stages.core.records import DamagedSample
from stages.features import eeg

PADDINGS = ["zero", "average"]


def trial(windows: int = 20, seed: int = 0, features: int = 310) -> np.ndarray:
    return np.random.default_rng(seed).normal(20, 3, (windows, features))


def compute(signal: np.ndarray, padding: str, max_windows: int = 74) -> tuple[np.ndarray, int]:
    return eeg.compute(signal, 0.25, padding=padding, max_windows=max_windows)


@pytest.mark.parametrize(("padding", "fill"), [("zero", [0, 0]), ("average", [3, 3])])
def test_padding_by_hand(padding: str, fill: list[int]):
    x, length = compute(np.array([[1.0, 2.0], [5.0, 4.0]]), padding, 4)
    assert x.tolist() == [[1, 2], [5, 4], fill, fill]
    assert length == 2


def test_windows_cut_off_do_not_enter_the_average():
    x, length = compute(np.array([[1.0], [2.0], [900.0]]), "average", 2)
    assert (x.tolist(), length) == ([[1], [2]], 3)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("windows", [1, 2, 73, 74, 75, 200])
def test_true_windows_are_unchanged_and_shape_is_fixed(windows: int, padding: str):
    signal = trial(windows)
    before = signal.copy()
    x, length = compute(signal, padding)
    assert length == windows
    np.testing.assert_array_equal(x[:length], signal[:74].astype(np.float32))
    np.testing.assert_array_equal(signal, before)
    assert x.shape == (74, 310)
    assert x.dtype == np.dtype(eeg.DTYPE) == np.float32
    assert x.flags.c_contiguous
    assert isinstance(length, int)


def test_average_of_large_values_keeps_all_digits():
    signal = np.full((5000, 1), 1e6) + np.arange(5000)[:, None] % 2  # a sum in float32 would lose them
    assert compute(signal, "average", 5001)[0][-1, 0] == np.float32(1e6 + 0.5)


def test_rejects_a_trial_without_windows():
    with pytest.raises(DamagedSample, match="no windows"):
        compute(np.zeros((0, 310)), "zero")


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_rejects_values_that_are_not_finite(value: float, padding: str):
    signal = trial()
    signal[3, 7:9] = value
    with pytest.raises(DamagedSample, match="2 values that are no finite float32"):
        compute(signal, padding)
