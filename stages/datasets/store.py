"""The prepared dataset as one HDF5 file; only this module names its keys.

x (N, …) chunked by sample     length (N,) true time steps, 0 for images     label (N,) index into `classes`
group, sample_id (N,) text     extra (N,) further metadata of a sample (gender …), as JSON
soft_label (N, classes) shares of the annotators' votes or of a teacher, only if there are any
attributes: classes, corpus, name, source, synthetic, layout, scale_factor, add_offset, rate_hz, group_kind,
            normalize_groups, feature (JSON), rejected (damaged samples and reasons), cut, longest, teachers
"""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.core.errors import UserError, WriteError
from stages.core.files import written_whole

CHUNK_BYTES = 256 * 1024
MAX_GROUP_NAMES = 12  # an extra column with more names describes single samples, not groups
_TEXT = h5py.string_dtype("utf-8")
_COLUMNS = {"length": np.int32, "label": np.int16, "group": _TEXT, "sample_id": _TEXT, "extra": _TEXT}


@dataclass(frozen=True)
class Description:
    """Contents and origin of the arrays. The stored value of x is (signal - add_offset) / scale_factor.

    `rate_hz`: time steps per second, None for images. `group_kind`: 'speaker' or 'subject'. `normalize_groups`:
    statistics that were normalised over all samples of each group ('none', 'mean', 'mean_sd'). `cut`: number of samples
    longer than x, which lost their end. `longest`: true time steps of the longest of them, 0 if there is none.
    `teachers`: runs whose answers are in the training labels, with their weights.
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
    cut: int
    longest: int
    teachers: list[str] = field(default_factory=list)


def _to_attribute(value: Any) -> Any:
    if isinstance(value, list):
        return np.array(value, dtype=_TEXT)
    if isinstance(value, dict):
        return json.dumps(value)
    return h5py.Empty("f8") if value is None else value


def _from_attribute(value: Any) -> Any:
    if isinstance(value, h5py.Empty):
        return None
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


class Writer:
    """Append samples to a file that grows on disk, not in memory."""

    def __init__(self, file: h5py.File) -> None:
        self._file = file

    def append(self, x: np.ndarray, **columns: list[Any]) -> None:
        """Append `x` (n, …) as stored, with a list of n values for each of length, label, group, sample_id, extra.

        A corpus with votes also has soft_label, n lists of one share per class.
        """
        if "x" not in self._file:
            self._create(x, columns.get("soft_label"))
        start = len(self._file["x"])
        for key, values in {"x": x, **columns}.items():
            self._file[key].resize(start + len(x), axis=0)
            self._file[key][start:] = values

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return the shape of one sample, without the sample axis."""
        return self._file["x"].shape[1:]

    def blocks(self, size: int) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the appended samples in blocks of `size`: index of the first sample, x, length, group."""
        for start in range(0, len(self._file["x"]), size):
            block = slice(start, start + size)
            group = np.array(self._file["group"].asstr()[block])
            yield start, self._file["x"][block], self._file["length"][block], group

    def replace(self, start: int, x: np.ndarray) -> None:
        """Overwrite the samples from index `start` on."""
        self._file["x"][start : start + len(x)] = x

    def _create(self, x: np.ndarray, soft_label: list[list[float]] | None) -> None:
        per_chunk, shape = max(1, CHUNK_BYTES // max(1, x[0].nbytes)), x.shape[1:]
        self._file.create_dataset("x", (0, *shape), x.dtype, maxshape=(None, *shape), chunks=(per_chunk, *shape))
        for key, dtype in _COLUMNS.items():
            self._file.create_dataset(key, (0,), dtype, maxshape=(None,), chunks=(4096,))
        if soft_label is not None:
            n = len(soft_label[0])
            self._file.create_dataset("soft_label", (0, n), np.float32, maxshape=(None, n), chunks=(4096, n))

    def copy(self, store: "Store", soft_label: np.ndarray) -> None:
        """Copy all samples of another file, with these labels (N, n_classes) for training."""
        for key in ("x", *_COLUMNS):
            store.copy(key, self._file)
        self._file.create_dataset("soft_label", data=soft_label.astype(np.float32), chunks=True)

    def describe(self, description: Description) -> None:
        """Write the attributes."""
        for key, value in asdict(description).items():
            self._file.attrs[key] = _to_attribute(value)


@contextmanager
def create(path: Path) -> Iterator[Writer]:
    """Create a dataset file atomically. Raises `UserError` for a failed write, whose h5py message is unclear."""
    with written_whole(path) as temporary:
        hooks = sys.excepthook, sys.unraisablehook
        # After a failed write, h5py fails again for each object that it closes, and would print a traceback each time.
        sys.excepthook = sys.unraisablehook = lambda *_: None
        try:
            with h5py.File(temporary, "w", libver="v110") as file:
                yield Writer(file)
        except (OSError, RuntimeError) as error:
            reason = re.search(r"error message = '(.*?)'", str(error))
            if not reason:
                raise
            hooks = sys.excepthook, sys.unraisablehook  # stay silent: h5py closes the rest when the process ends
            raise WriteError(f"{path}: could not be written: {reason[1]}") from None
        finally:
            sys.excepthook, sys.unraisablehook = hooks


class Store:
    """A prepared dataset opened for reading: `with Store(path) as store: store.read(indices)`."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = h5py.File(path, "r")
            attributes = {f.name: _from_attribute(self._file.attrs[f.name]) for f in fields(Description)}
            self.description = Description(**attributes | {"feature": json.loads(attributes["feature"])})
            self._x = self._file["x"]
            self.label = self._file["label"][:].astype(np.int64)
            self.soft_label = self._file["soft_label"][:] if "soft_label" in self._file else None
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
        """Return the shape of one sample, without the sample axis."""
        return self._x.shape[1:]

    @property
    def samples_per_chunk(self) -> int:
        """Return the number of samples in one chunk of the file, which is read as a whole."""
        return self._x.chunks[0]

    def copy(self, key: str, file: h5py.File) -> None:
        """Copy one array, as it is stored, into another file."""
        self._file.copy(key, file)

    def read_packed(self, indices: np.ndarray) -> np.ndarray:
        """Return (n, …) as stored, in the order of `indices`; each chunk of the file is read once."""
        indices = np.asarray(indices, dtype=np.int64)
        result = np.empty((len(indices), *self.sample_shape), self._x.dtype)
        order = np.argsort(indices, kind="stable")
        chunk_of = indices[order] // self.samples_per_chunk
        for positions in np.split(order, np.flatnonzero(np.diff(chunk_of)) + 1):
            if len(positions):  # np.split returns one empty part if there are no indices
                first, last = indices[positions[0]], indices[positions[-1]]
                result[positions] = self._x[first : last + 1][indices[positions] - first]
        return result

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Return (n, …) float32 in the units of the feature (faces: [0, 1])."""
        packed = self.read_packed(indices).astype(np.float32)
        return packed * np.float32(self.description.scale_factor) + np.float32(self.description.add_offset)

    def groupings(self, indices: np.ndarray) -> dict[str, list[str]]:
        """Return {kind: name of each sample of `indices`, '' where unknown}, such as speaker, gender and intensity.

        Kinds with a single name, and extra columns with more than `MAX_GROUP_NAMES` names, are left out.
        """
        columns = {self.description.group_kind or "group": [self.group[index] for index in indices]}
        extras = [self.extra[index] for index in indices]
        for kind in sorted({key for extra in extras for key in extra}):
            names = [str(extra.get(kind, "")) for extra in extras]
            if len(set(names)) <= MAX_GROUP_NAMES:
                columns[kind] = names
        return {kind: names for kind, names in columns.items() if len(set(names) - {""}) > 1}
