"""The prepared dataset as one HDF5 file: the only file that names its keys.

x (N, …) chunked by sample     length (N,) true time steps, 0 for images     label (N,) index into `classes`
group, sample_id (N,) text     extra (N,) what else the reader knows of a sample (gender …), as JSON
attributes: classes, corpus, name, source, synthetic, layout, scale_factor, add_offset, rate_hz, group_kind,
            normalize_groups, feature (JSON), rejected (damaged samples and why)
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.core.errors import UserError
from stages.core.files import written_whole

CHUNK_BYTES = 256 * 1024
_TEXT = h5py.string_dtype("utf-8")
_COLUMNS = {"length": np.int32, "label": np.int16, "group": _TEXT, "sample_id": _TEXT, "extra": _TEXT}


@dataclass(frozen=True)
class Description:
    """What the arrays hold and where they come from. The stored value of x is (signal - add_offset) / scale_factor.

    `rate_hz`: time steps per second, None for images. `group_kind`: what a group is ('speaker', 'subject').
    `normalize_groups`: what was made 0 and 1 over all samples of each group ('none', 'mean', 'mean_sd').
    """

    classes: list[str]
    corpus: str
    name: str
    source: str
    synthetic: bool
    layout: list[str]
    scale_factor: float
    add_offset: float
    rate_hz: float | None
    group_kind: str | None
    feature: dict[str, Any]
    normalize_groups: str
    rejected: list[str]


def _to_attribute(value: Any) -> Any:
    if isinstance(value, list):
        return np.array(value, dtype=_TEXT)
    if isinstance(value, dict):
        return json.dumps(value)
    return h5py.Empty("f8") if value is None else value


def _from_attribute(value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value


class Writer:
    """Appends samples; the file grows on disk, never in memory."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file

    def append(self, x: np.ndarray, **columns: list[Any]) -> None:
        """`x` (n, …) packed, with one list of n values for each of length, label, group, sample_id, extra."""
        if "x" not in self._file:
            self._create(x)
        start = len(self._file["x"])
        for key, values in {"x": x, **columns}.items():
            self._file[key].resize(start + len(x), axis=0)
            self._file[key][start:] = values

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the sample axis."""
        return self._file["x"].shape[1:]

    def blocks(self, size: int) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """What was appended, `size` samples at a time: the first one's number, x, length, group."""
        for start in range(0, len(self._file["x"]), size):
            at = slice(start, start + size)
            group = np.array(self._file["group"].asstr()[at])
            yield start, self._file["x"][at], self._file["length"][at], group

    def replace(self, start: int, x: np.ndarray) -> None:
        """Overwrite the samples from number `start` on."""
        self._file["x"][start : start + len(x)] = x

    def _create(self, x: np.ndarray) -> None:
        per_chunk = max(1, CHUNK_BYTES // max(1, x[0].nbytes))
        shape = x.shape[1:]
        self._file.create_dataset("x", (0, *shape), x.dtype, maxshape=(None, *shape), chunks=(per_chunk, *shape))
        for key, dtype in _COLUMNS.items():
            self._file.create_dataset(key, (0,), dtype, maxshape=(None,), chunks=(4096,))

    def describe(self, description: Description) -> None:
        """Write the attributes."""
        for key, value in asdict(description).items():
            self._file.attrs[key] = _to_attribute(value)


@contextmanager
def create(path: Path) -> Iterator[Writer]:
    """A new dataset file, whole or not at all. Raises `UserError` when the disk refuses (h5py words it obscurely)."""
    with written_whole(path) as temporary:
        hooks = sys.excepthook, sys.unraisablehook
        # h5py fails again for each object it lets go of in a file it cannot write, and would print a traceback each.
        sys.excepthook = sys.unraisablehook = lambda *_: None
        try:
            with h5py.File(temporary, "w", libver="v110") as file:
                yield Writer(file)
        except (OSError, RuntimeError) as error:
            told = re.search(r"error message = '(.*?)'", str(error))
            if not told:
                raise
            hooks = sys.excepthook, sys.unraisablehook  # stay silent: it lets go of the rest as the process ends
            raise UserError(f"{path}: could not be written: {told[1]}") from None
        finally:
            sys.excepthook, sys.unraisablehook = hooks


class Store:
    """Read access. `with Store(path) as store: store.read(indices)`."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = h5py.File(path, "r")
            attributes = {f.name: _from_attribute(self._file.attrs[f.name]) for f in fields(Description)}
            self.description = Description(**attributes | {"feature": json.loads(attributes["feature"])})
            self._x = self._file["x"]
            self.label = self._file["label"][:].astype(np.int64)
            self.length = self._file["length"][:].astype(np.int64)
            self.group = list(self._file["group"].asstr()[:])
            self.sample_id = list(self._file["sample_id"].asstr()[:])
            self.extra = [json.loads(text) for text in self._file["extra"].asstr()[:]]
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; run `dvc repro` first") from None
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path}: not a prepared dataset ({error.__class__.__name__})") from None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self.label)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the sample axis."""
        return self._x.shape[1:]

    @property
    def samples_per_chunk(self) -> int:
        """Samples that are read from disk together."""
        return self._x.chunks[0]

    def read_packed(self, indices: np.ndarray) -> np.ndarray:
        """(n, …) as stored, in the order of `indices`; reads each chunk of the file once."""
        indices = np.asarray(indices, dtype=np.int64)
        result = np.empty((len(indices), *self.sample_shape), self._x.dtype)
        order = np.argsort(indices, kind="stable")
        chunk_of = indices[order] // self.samples_per_chunk
        for positions in np.split(order, np.flatnonzero(np.diff(chunk_of)) + 1):
            if len(positions):  # of no indices, np.split makes one empty part
                first, last = indices[positions[0]], indices[positions[-1]]
                result[positions] = self._x[first : last + 1][indices[positions] - first]
        return result

    def read(self, indices: np.ndarray) -> np.ndarray:
        """(n, …) float32 in the feature's own units (faces: [0, 1])."""
        packed = self.read_packed(indices).astype(np.float32)
        return packed * np.float32(self.description.scale_factor) + np.float32(self.description.add_offset)
