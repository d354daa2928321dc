"""Reading and writing `data/predictions/<run>.h5`: the predictions of one run for its validation and test samples.

The columns have a row per sample: `sample_id` (N,), `part` (N,) 'validation' or 'test', `label` (N,) index into the
classes, `group` (N,) '' for none, `probabilities` (N, C) float32.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.core.errors import UserError
from stages.core.files import written_whole

PARTS = ("validation", "test")
TEXTS = ("sample_id", "part", "group")
DTYPES = {"label": np.int64, "probabilities": np.float32}
Columns = Mapping[str, np.ndarray]


def write(path: Path, columns: Columns, attributes: dict[str, Any]) -> None:
    """Write the file atomically; equal content gives equal bytes."""
    with written_whole(path) as temporary, h5py.File(temporary, "w") as file:
        for name in TEXTS:
            # Fixed-width UTF-8: the heap of HDF5's variable-length strings would take more space here.
            encoded = [str(value or "").encode() for value in columns[name]]
            width = max((len(value) for value in encoded), default=0) or 1
            data = np.array(encoded, dtype=h5py.string_dtype("utf-8", width))
            file.create_dataset(name, data=data, track_times=False)
        for name, dtype in DTYPES.items():
            file.create_dataset(name, data=np.asarray(columns[name], dtype), track_times=False)
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]


def read(path: Path) -> Columns:
    """Return the columns of the file. Raises `UserError` if it is missing or not a predictions file."""
    try:
        with h5py.File(path, "r") as file:
            return {name: file[name].asstr()[...] for name in TEXTS} | {name: file[name][...] for name in DTYPES}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` first") from None
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a predictions file ({error})") from None
