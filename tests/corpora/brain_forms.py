"""Subjects of SEED-V as small as the reader takes them, and what the tests of the EEG readers share."""

import io
import pickle
from pathlib import Path

import numpy as np
from archive_forms import make_zip

from stages.corpora.archive.pack import pack

# The released README: labels of the trials in sessions 1, 2 and 3, 0 disgust, 1 fear, 2 sad, 3 neutral, 4 happy.
RELEASED = [4, 1, 3, 2, 0] * 3 + [2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0] * 2

Trials = dict[int, np.ndarray]


def trials(n_windows: int = 2) -> tuple[Trials, Trials]:
    """`data` and `label` of one subject, every value another one."""
    values = np.arange(45 * n_windows * 310, dtype=np.float64).reshape(45, n_windows, 310) / 1000
    label = {trial: np.full(n_windows, code) for trial, code in enumerate(RELEASED)}
    return dict(enumerate(values)), label


def npz(data: object = None, label: object = None, protocol: int = 3, **arrays: object) -> bytes:
    """A subject's file as released: both dicts pickled, saved by np.savez as one value of bytes each."""
    whole = trials()
    pickled = {
        "data": pickle.dumps(whole[0] if data is None else data, protocol),
        "label": pickle.dumps(whole[1] if label is None else label, protocol),
    }
    return saved(**(pickled | arrays))


def saved(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{key: value for key, value in arrays.items() if value is not None})
    return stream.getvalue()


def corpus(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """The files as `download` leaves them: one packed zip."""
    tmp_path.mkdir(exist_ok=True)
    archive = tmp_path / "raw.zip"
    pack(make_zip(tmp_path / "source.zip", files), archive)
    return archive
