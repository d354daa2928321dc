"""Recordings in several files: BrainVision's .vhdr, .eeg and .vmrk, EEGLAB's .set and .fdt, and split FIF.

A header names its other files, and those names are not trusted: other files are looked for in the folder of the header
only, and copied under names that are given here.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath
from typing import IO

from stages.core.records import DamagedSample

Beside = Mapping[str, Callable[[], AbstractContextManager[IO[bytes]]]]  # {file name: opens it}

MAX_HEADER_BYTES = 8 << 20
_BLOCK_BYTES = 1 << 20
_DATA = re.compile(r"^\s*DataFile\s*=\s*(.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_MARKERS = re.compile(r"^\s*MarkerFile\s*=\s*(.*?)\s*$", re.MULTILINE | re.IGNORECASE)
_NO_MARKERS = b"Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n[Marker Infos]\n"
# Parts of a split FIF: 'x_raw-1.fif' after 'x_raw.fif', 'x_split-02_eeg.fif' after 'x_split-01_eeg.fif'.
_PART = re.compile(
    r"(?P<base>.*?)-(?P<number>\d{1,3})\.fif|(?P<before>.*_split-)(?P<split>\d+)(?P<after>_.*\.fif)", re.I
)


def copy_recording(stream: IO[bytes], name: str, beside: Beside, folder: Path) -> Path:
    """Copy the recording `name` and what belongs to it into `folder`, and return the path of its first file.

    `beside`: the files in its own folder. Raises `DamagedSample` if the samples of a BrainVision recording are missing.
    """
    suffix = PurePosixPath(name).suffix.lower()
    path = folder / (_plain(name) if suffix == ".fif" else f"recording{suffix}")
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, _BLOCK_BYTES)
    for other in companions(name, beside):
        if suffix != ".vhdr":
            _copy(beside[other], folder / (_plain(other) if suffix == ".fif" else "recording.fdt"))
    if suffix == ".vhdr":
        _copy_brainvision(path, name, beside)
    return path


def companions(name: str, names: Iterable[str]) -> list[str]:
    """Return those of `names`, files of one folder, that hold more of the recording `name`, by their names."""
    stem, suffix = PurePosixPath(name).stem.lower(), PurePosixPath(name).suffix.lower()
    if suffix == ".fif":
        return sorted(other for other in names if other != name and first_part(other, [name]) == name)
    suffixes = {".set": (".fdt",), ".vhdr": (".eeg", ".dat", ".vmrk", ".avg", ".seg")}.get(suffix, ())
    return sorted(n for n in names if PurePosixPath(n).stem.lower() == stem and n.lower().endswith(suffixes or "/"))


def first_part(name: str, names: Iterable[str]) -> str | None:
    """Return that of `names` which is the first part of the split FIF `name`; None for other files."""
    if not (match := _PART.fullmatch(name)):
        return None
    first = f"{match['base']}.fif"
    if match["split"]:
        first = f"{match['before']}{1:0{len(match['split'])}d}{match['after']}"
    return first if first != name and first in names else None


def belongs_to_another(name: str, names: Iterable[str]) -> bool:
    """Return whether a file is read with another of `names`, the files of its folder."""
    path = PurePosixPath(name)
    heads = {f"{path.stem}{suffix}".lower() for suffix in (".set", ".vhdr")}
    same_stem = [other for other in names if other.lower() in heads]
    return first_part(name, names) is not None or any(name in companions(other, [name]) for other in same_stem)


def _copy_brainvision(path: Path, name: str, beside: Beside) -> None:
    """Copy samples and markers, and let the header name the copies. Missing markers are left out."""
    if path.stat().st_size > MAX_HEADER_BYTES:
        raise DamagedSample(f"a header of {path.stat().st_size} bytes; allowed: {MAX_HEADER_BYTES}")
    header = path.read_bytes().decode("latin-1")
    samples = _stated(_DATA, header, name, beside, (".eeg", ".dat", ".avg", ".seg"))
    if samples is None:
        stated = match[1] if (match := _DATA.search(header)) else "no DataFile"
        raise DamagedSample(f"its samples are not beside it; allowed: {stated[:60]!r} in its folder; received: none")
    data_path, marker_path = path.with_suffix(".eeg"), path.with_suffix(".vmrk")
    _copy(beside[samples], data_path)
    markers = _stated(_MARKERS, header, name, beside, (".vmrk",))
    if markers:
        _copy(beside[markers], marker_path)
        content = marker_path.read_bytes().decode("latin-1")
        marker_path.write_bytes(_DATA.sub(f"DataFile={data_path.name}", content).encode("latin-1"))
    else:
        marker_path.write_bytes(_NO_MARKERS)
    header = _DATA.sub(f"DataFile={data_path.name}", header)
    marker_line = f"MarkerFile={marker_path.name}"
    header = _MARKERS.sub(marker_line, header) if _MARKERS.search(header) else _after_data(header, marker_line)
    path.write_bytes(header.encode("latin-1"))


def _after_data(header: str, line: str) -> str:
    return _DATA.sub(lambda match: f"{match[0]}\n{line}", header)


def _stated(pattern: re.Pattern, header: str, name: str, beside: Beside, suffixes: tuple[str, ...]) -> str | None:
    """Return the file beside that the header names; else, for renamed files, the one with the header's own stem."""
    match, stem = pattern.search(header), PurePosixPath(name).stem
    stated = [match[1].replace("\\", "/").split("/")[-1].replace("$b", stem).lower()] if match else []
    stated += [f"{stem}{suffix}".lower() for suffix in suffixes]
    lower = {other.lower(): other for other in beside if other.lower().endswith(suffixes)}
    return next((lower[each] for each in stated if each in lower), None)


def _plain(name: str) -> str:
    return PurePosixPath(name).name


def _copy(opened: Callable[[], AbstractContextManager[IO[bytes]]], target: Path) -> None:
    with opened() as stream, target.open("wb") as file:
        shutil.copyfileobj(stream, file, _BLOCK_BYTES)
