"""Reading and writing `data/predictions/<run>.h5`: the predictions of one run for its validation and test samples.

The columns have a row per sample: `sample_id` (N,), `part` (N,) 'validation' or 'test', `label` (N,) index into the
classes, `group` (N,) '' for none, `probabilities` (N, C) float32. `groupings/<kind>` (N,) holds the name of each
sample's speaker, gender and so on, '' where unknown. The attributes tell the run and its origin.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.core.errors import UserError
from stages.core.files import written_whole

PARTS = ("validation", "test")
TEXTS = ("sample_id", "part", "group")
GROUPINGS = "groupings"
DTYPES = {"label": np.int64, "probabilities": np.float32}
Columns = Mapping[str, np.ndarray]


Groupings = dict[str, Sequence[str | None]]


def write(path: Path, columns: Columns, groupings: Groupings, attributes: dict[str, Any]) -> None:
    """Write the file atomically; equal content gives equal bytes."""
    texts = {name: columns[name] for name in TEXTS} | {f"{GROUPINGS}/{kind}": groupings[kind] for kind in groupings}
    with written_whole(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_group(GROUPINGS)
        for name, values in texts.items():
            # Fixed-width UTF-8: the heap of HDF5's variable-length strings would take more space here.
            encoded = [str(value or "").encode() for value in values]
            width = max((len(value) for value in encoded), default=0) or 1
            data = np.array(encoded, dtype=h5py.string_dtype("utf-8", width))
            file.create_dataset(name, data=data, track_times=False)
        for name, dtype in DTYPES.items():
            file.create_dataset(name, data=np.asarray(columns[name], dtype), track_times=False)
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]


def read(path: Path) -> Columns:
    """Return the columns of the file. Raises `UserError` if it is missing or not a predictions file."""
    return read_with_origin(path)[0]


def read_with_origin(path: Path) -> tuple[Columns, Groupings, dict[str, Any]]:
    """Return columns, groupings and attributes of the file. Raises `UserError` as `read` does."""
    try:
        with h5py.File(path, "r") as file:
            columns = {name: file[name].asstr()[...] for name in TEXTS} | {name: file[name][...] for name in DTYPES}
            groupings = {kind: values.asstr()[...] for kind, values in file[GROUPINGS].items()}
            return columns, groupings, dict(file.attrs)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` first") from None
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a predictions file ({error})") from None
