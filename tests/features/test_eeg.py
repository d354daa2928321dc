"""EEG trials: padded with what was asked for, of this trial alone; cut at the end; damage named."""

import numpy as np
import pytest
from joblib import Parallel, delayed

from stages.core.records import DamagedSample
from stages.features import eeg

PADDINGS = ["zero", "average"]


def trial(windows: int = 20, seed: int = 0, features: int = 310) -> np.ndarray:
    return np.random.default_rng(seed).normal(20, 3, (windows, features))


def compute(signal: np.ndarray, padding: str, max_windows: int = 74) -> tuple[np.ndarray, int]:
    return eeg.compute(signal, 0.25, padding=padding, max_windows=max_windows)


def test_zero_by_hand():
    x, length = compute(np.array([[1.0, 2.0], [5.0, 4.0]]), "zero", 4)
    assert x.tolist() == [[1, 2], [5, 4], [0, 0], [0, 0]]
    assert length == 2


def test_average_by_hand():
    x, length = compute(np.array([[1.0, 2.0], [5.0, 4.0]]), "average", 4)
    assert x.tolist() == [[1, 2], [5, 4], [3, 3], [3, 3]]
    assert length == 2


def test_average_is_of_each_feature_over_all_its_windows():
    signal = trial(37)
    x, _ = compute(signal, "average")
    expected = [sum(column) / 37 for column in signal.T.tolist()]
    np.testing.assert_allclose(x[37:], np.tile(expected, (37, 1)), rtol=1e-6)


def test_average_is_never_of_another_trial():
    alone = compute(trial(30, seed=1), "average")[0]
    for other in (2, 3):
        compute(trial(50, seed=other) + 100, "average")
    assert compute(trial(30, seed=1), "average")[0].tobytes() == alone.tobytes()


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("windows", [74, 75, 200])
def test_a_long_trial_loses_its_end(windows: int, padding: str):
    signal = trial(windows)
    x, length = compute(signal, padding)
    assert length == 74
    np.testing.assert_array_equal(x, signal[:74].astype(np.float32))


def test_what_is_cut_off_is_in_no_average():
    """There is no padding left to hold it: the last kept window is the trial's own."""
    x, length = compute(np.array([[1.0], [2.0], [900.0]]), "average", 2)
    assert (x.tolist(), length) == ([[1], [2]], 2)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("windows", [1, 2, 73, 74, 90])
def test_true_windows_are_kept_as_they_are(windows: int, padding: str):
    signal = trial(windows)
    x, length = compute(signal, padding)
    assert length == min(windows, 74)
    np.testing.assert_array_equal(x[:length], signal[:length].astype(np.float32))


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("windows", [1, 30, 74, 90])
def test_type_and_layout(windows: int, padding: str):
    x, length = compute(trial(windows), padding)
    assert x.shape == (74, 310)
    assert x.dtype == np.dtype(eeg.DTYPE) == np.float32
    assert x.flags.c_contiguous
    assert isinstance(length, int)
    assert eeg.LAYOUT == ("time", "feature")
    assert (eeg.SCALE_FACTOR, eeg.ADD_OFFSET) == (1.0, 0.0)


@pytest.mark.parametrize("padding", PADDINGS)
def test_any_order_in_memory_and_other_montages(padding: str):
    signal = trial(12, features=32 * 5)
    expected = compute(signal, padding)[0]
    assert expected.shape == (74, 160)
    for same in (np.asfortranarray(signal), np.repeat(signal, 2, axis=0)[::2]):
        np.testing.assert_array_equal(compute(same, padding)[0], expected)


def test_average_of_large_values_has_all_its_digits():
    signal = np.full((5000, 1), 1e6) + np.arange(5000)[:, None] % 2  # as float32, the sum would lose them
    assert compute(signal, "average", 5001)[0][-1, 0] == np.float32(1e6 + 0.5)


def test_a_trial_without_a_window_is_damaged():
    with pytest.raises(DamagedSample, match="a trial without a window"):
        compute(np.zeros((0, 310)), "zero")


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_that_are_no_numbers_are_damage(value: float, padding: str):
    signal = trial()
    signal[3, 7:9] = value
    with pytest.raises(DamagedSample, match="2 values that are no finite float32"):
        compute(signal, padding)


def test_no_setting_tells_the_rate():
    assert eeg.output_rate_hz({"name": "eeg", "padding": "zero", "max_windows": 74}) is None


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_signal_is_left_as_it_was(padding: str):
    signal = trial()
    before = signal.copy()
    x, _ = compute(signal, padding)
    x += 1
    np.testing.assert_array_equal(signal, before)


def test_threads_give_the_same_bytes():
    trials = [trial(windows, seed=windows) for windows in range(1, 90, 3)]
    alone = [compute(signal, "average")[0].tobytes() for signal in trials]
    together = Parallel(4, prefer="threads")(delayed(compute)(signal, "average") for signal in trials)
    assert [x.tobytes() for x, _ in together] == alone
