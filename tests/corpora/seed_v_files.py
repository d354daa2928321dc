"""Small SEED-V subjects for the tests of EEG readers."""

import io
import pickle

import numpy as np

# The released README: labels of the trials in sessions 1, 2 and 3, 0 disgust, 1 fear, 2 sad, 3 neutral, 4 happy.
RELEASED = [4, 1, 3, 2, 0] * 3 + [2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0] * 2

Trials = dict[int, np.ndarray]


def trials(n_windows: int = 2) -> tuple[Trials, Trials]:
    """Return `data` and `label` of one subject; all values of the data differ."""
    values = np.arange(45 * n_windows * 310, dtype=np.float64).reshape(45, n_windows, 310) / 1000
    label = {trial: np.full(n_windows, code) for trial, code in enumerate(RELEASED)}
    return dict(enumerate(values)), label


def npz(data: object = None, label: object = None, protocol: int = 3) -> bytes:
    """Return a subject's file as released: both dicts pickled, saved by np.savez as one value of bytes each."""
    default_data, default_label = trials()
    return saved(
        data=pickle.dumps(default_data if data is None else data, protocol),
        label=pickle.dumps(default_label if label is None else label, protocol),
    )


def saved(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()
