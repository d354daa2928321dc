"""EEG trials as window features (62 electrodes x 5 bands in SEED-V), padded or cut to one number of windows.

With what to pad is an experiment: zeros are one constant for every trial, the trial's own mean tells once more what
its windows told. Values keep their raw units; the model standardises all windows, padded ones too, with statistics of
the training part's true windows. Models that use the true length read no padding at all.
"""

from typing import Literal

import numpy as np

from stages.core.records import DamagedSample
from stages.params.options import PositiveInt

LAYOUT = ("time", "feature")
SIZES = {"time": "max_windows"}  # which setting tells how long an axis is
DTYPE = "float32"
SCALE_FACTOR = 1.0
ADD_OFFSET = 0.0
# Padding takes some 50 µs a trial: not worth the start of a process.
WORKERS, SAMPLES_PER_CHUNK = "threads", 32


def compute(
    signal: np.ndarray, rate_hz: float | None, *, padding: Literal["zero", "average"], max_windows: PositiveInt
) -> tuple[np.ndarray, int]:
    """(windows, features) float64 → (max_windows, features) float32 in the same units, and its true windows.

    A longer trial loses its end. `padding`: 0, or each feature's mean over the windows that this trial keeps.
    Raises `DamagedSample` for a trial without a window, and for values that are no finite float32.
    """
    if not len(signal):
        raise DamagedSample("a trial without a window")
    with np.errstate(over="ignore"):  # the next line tells
        kept = signal[:max_windows].astype(DTYPE)
    if n_bad := np.count_nonzero(~np.isfinite(kept)):
        raise DamagedSample(f"{n_bad} values that are no finite float32")
    x = np.zeros((max_windows, signal.shape[1]), DTYPE)
    x[: len(kept)] = kept
    if padding == "average":
        x[len(kept) :] = kept.mean(axis=0, dtype=np.float64)  # (features,), of this trial alone
    return x, len(kept)


def samples_per_chunk(settings: dict) -> int:
    """How many trials a worker takes at a time."""
    return SAMPLES_PER_CHUNK


def output_rate_hz(settings: dict) -> None:
    """Windows per second: no setting tells, each recording has its own."""
