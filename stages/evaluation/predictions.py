"""`data/predictions/<run>.h5`: what one run said about each validation and test sample."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from stages.core.errors import UserError
from stages.core.files import written_whole

PARTS = ("validation", "test")
_TEXTS = ("sample_id", "part", "group")
Attribute = str | bool | int | float | list[str]


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row per sample, all of length N; `probabilities` (N, C) in the order of `attributes['classes']`."""

    sample_id: np.ndarray  # (N,) str
    part: np.ndarray  # (N,) 'validation' | 'test'
    label: np.ndarray  # (N,) int, index into the classes
    group: np.ndarray  # (N,) str, '' for none
    probabilities: np.ndarray  # (N, C) float32
    attributes: dict[str, Attribute]

    @property
    def classes(self) -> list[str]:
        return list(self.attributes["classes"])

    def part_only(self, part: str) -> "Predictions":
        """The rows of one part, in their order."""
        if part not in PARTS:
            raise ValueError(f"part must be one of {PARTS}; received {part!r}")
        held = self.part == part
        rows = {name: getattr(self, name)[held] for name in (*_TEXTS, "label", "probabilities")}
        return replace(self, **rows)


def write(
    path: Path,
    *,
    sample_id: Sequence[str],
    part: Sequence[str],
    label: np.ndarray,
    group: Sequence[str | None],
    probabilities: np.ndarray,
    attributes: dict[str, Attribute],
) -> None:
    """Write the file whole or not at all; the same content gives the same bytes. `attributes` must hold `classes`."""
    texts = {"sample_id": sample_id, "part": part, "group": [name or "" for name in group]}
    label, probabilities = np.asarray(label, dtype=np.int64), np.asarray(probabilities, dtype=np.float32)
    _check(texts, label, probabilities, attributes)
    with written_whole(path) as temporary, h5py.File(temporary, "w") as file:
        for name, values in texts.items():
            _write_texts(file, name, values)
        file.create_dataset("label", data=label, track_times=False)
        file.create_dataset("probabilities", data=probabilities, track_times=False)
        for name in sorted(attributes):
            file.attrs[name] = attributes[name]


def read(path: Path) -> Predictions:
    """Read the file back. A missing or foreign file is the user's mistake."""
    try:
        with h5py.File(path, "r") as file:
            arrays = {name: file[name].asstr()[...] for name in _TEXTS}
            arrays |= {name: file[name][...] for name in ("label", "probabilities")}
            return Predictions(**arrays, attributes={name: _plain(value) for name, value in file.attrs.items()})
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` first") from None
    except (OSError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a predictions file ({error})") from None


def _check(texts: dict, label: np.ndarray, probabilities: np.ndarray, attributes: dict) -> None:
    expected = (len(label), len(attributes["classes"]))
    if probabilities.shape != expected:
        raise ValueError(f"probabilities must be {expected}; received {probabilities.shape}")
    for name, values in texts.items():
        if len(values) != len(label):
            raise ValueError(f"{name} must hold {len(label)} values; received {len(values)}")
    if unknown := set(texts["part"]) - set(PARTS):
        raise ValueError(f"part must be one of {PARTS}; received {sorted(unknown)}")
    if len(set(texts["sample_id"])) != len(label):
        raise ValueError("sample_id must be unique; some ids occur twice")


def _write_texts(file: h5py.File, name: str, values: Sequence[str]) -> None:
    """Fixed-width UTF-8: HDF5's variable-length strings live in a heap that costs more than it saves here."""
    encoded = [str(value).encode() for value in values]
    if any(b"\0" in value for value in encoded):
        raise ValueError(f"{name} must not hold NUL characters")
    width = max((len(value) for value in encoded), default=0) or 1
    data = np.array(encoded, dtype=h5py.string_dtype("utf-8", width))
    file.create_dataset(name, data=data, track_times=False)


def _plain(value: object) -> Attribute:
    """HDF5 hands back numpy scalars and arrays."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
