"""Window features of EEG trials (62 electrodes × 5 bands in SEED-V), padded or cut to a fixed number of windows.

The kind of padding is an experiment: zeros are the same for every trial, whereas the mean of a trial repeats
information about that trial. Values keep their units; the model standardises all windows, padded ones included, with
the statistics of the true windows of the training part. Models that use the true length never read the padding.
"""

from typing import Literal

import numpy as np

from stages.core.records import DamagedSample
from stages.params.options import PositiveInt

LAYOUT = ("time", "feature")
SIZES = {"time": "max_windows"}  # axis → the setting that gives its length
DTYPE = "float32"
SCALE_FACTOR = 1.0
ADD_OFFSET = 0.0
MIXED_UNITS = "warn"  # if subjects differ by decades: values may be nats or another unit
WORKERS = "threads"  # padding takes some 50 µs a trial: too little to be worth starting a process


def compute(
    signal: np.ndarray, rate_hz: float | None, *, padding: Literal["zero", "average"], max_windows: PositiveInt
) -> tuple[np.ndarray, int]:
    """Return the trial as (max_windows, features) float32 in the units of `signal`, and its number of windows.

    `signal` is (windows, features) float64; windows beyond `max_windows` are cut off, but counted. `padding` fills the
    rest with 0, or with the mean of each feature over the windows that are kept. Raises `DamagedSample` for a trial
    without windows, and for values that are not finite as float32.
    """
    if not len(signal):
        raise DamagedSample("the trial has no windows")
    with np.errstate(over="ignore"):  # overflows are counted in the next line
        kept = signal[:max_windows].astype(DTYPE)
    if n_bad := np.count_nonzero(~np.isfinite(kept)):
        raise DamagedSample(f"{n_bad} values that are no finite float32 numbers")
    x = np.zeros((max_windows, signal.shape[1]), DTYPE)
    x[: len(kept)] = kept
    if padding == "average":
        x[len(kept) :] = kept.mean(axis=0, dtype=np.float64)  # (features,)
    return x, len(signal)


def samples_per_chunk(settings: dict) -> int:
    """Return how many trials a worker processes at a time."""
    return 32


def output_rate_hz(settings: dict) -> None:
    """Return None: the rate of the windows is a property of each recording, not of the settings."""
