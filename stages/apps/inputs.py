"""What a user hands over: files and folders, found and decoded as the kind of signal that a run takes. All hostile."""

import io
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from stages.core.errors import printable, refuse
from stages.core.records import DamagedSample, Signal
from stages.corpora.archive import members
from stages.corpora.archive.clips import is_hidden
from stages.corpora.decoding import audio, images, npz, recordings
from stages.corpora.decoding.pickles import load_arrays

SUFFIXES = {
    "image": images.SUFFIXES,
    "audio": audio.SUFFIXES,
    "windows": (".npz", ".npy"),
    "recording": recordings.SUFFIXES,
}
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Sample:
    """One of a file. `part`: which one, '' where it is the only one; `load()` decodes it as `core.records.Record` does.

    Of several, one may be damaged: `load` raises `DamagedSample`, and the others are still there.
    """

    part: str
    load: Callable[[], Signal]


def find_files(given: list[Path], kind: str) -> list[Path]:
    """Files as given; of folders, all below that are of this kind by their suffix, sorted; each once.

    Folders below that cannot be read are among them, so that they are told of. Raises `UserError`.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += _below(path, kind)
        elif path.is_file():
            found.append(path)
        else:
            what = "neither a file nor a folder" if path.exists() else "no such file or folder"
            refuse(what, where=str(path), allowed=f"{kind}: files, or folders of them", received=path.name)
    return list(dict.fromkeys(found))


def read_samples(path: Path, kind: str, windows: tuple[int, float] | None = None) -> Iterator[Sample]:
    """Those of one file. Raises `DamagedSample` or `UserError` for one that holds none.

    A recording comes in stretches of as many `windows` at most, of so many seconds each; what is left over at its end,
    less than a window, is in none.
    """
    if kind == "recording":
        return _stretches(path, *windows)
    return _trials(path) if kind == "windows" else iter([Sample("", lambda: _DECODE[kind](_content(path)))])


def _below(folder: Path, kind: str) -> list[Path]:
    closed: list[Path] = []
    inside = os.walk(folder, onerror=lambda error: closed.append(Path(error.filename)))
    names = (Path(at, name) for at, _, files in inside for name in files)
    found = [path for path in names if path.suffix.lower() in SUFFIXES[kind] and _may_be_read(path)]
    shown = [path for path in found + closed if not is_hidden(path.relative_to(folder).as_posix())]
    found = sorted([folder] if folder in closed else shown)
    if not found:
        refuse(f"holds no {kind} files", where=str(folder), allowed=", ".join(SUFFIXES[kind]), received=folder.name)
    return found


def _may_be_read(path: Path) -> bool:
    """Neither a pipe nor a device; of one that cannot be looked at, reading tells why."""
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113 - pathlib raises where these say no


def _content(path: Path) -> bytes:
    if path.stat().st_size > members.MAX_SAMPLE_BYTES:
        raise DamagedSample(f"{path.stat().st_size} bytes; allowed: at most {members.MAX_SAMPLE_BYTES}")
    return path.read_bytes()


def _trials(path: Path) -> Iterator[Sample]:
    """Arrays (windows, features): a subject of SEED-V, trial by trial, each array of any other npz, or one npy."""
    content = _content(path)
    if not content.startswith(_ZIP):
        yield Sample("", lambda: _array(content))
        return
    names = [name for name in members.names(path) if name.endswith(".npy")]
    if not names:
        raise DamagedSample("an npz without an array")
    if "data.npy" in names and _holds_bytes(members.read(path, "data.npy")):
        trials = load_arrays(npz.stored_bytes(content, "data", path, path.name), str(path))
        yield from (Sample(f"trial {number}", partial(_checked, trials[number])) for number in sorted(trials))
    else:
        yield from (Sample(printable(name.removesuffix(".npy")), partial(_member, path, name)) for name in names)


def _member(npz_file: Path, name: str) -> Signal:
    return _array(members.read(npz_file, name))


def _holds_bytes(content: bytes) -> bool:
    """Whether an npy is bytes, as SEED-V pickles its trials, rather than numbers."""
    try:
        version = np.lib.format.read_magic(stream := io.BytesIO(content))
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, kind = read(stream)
    except Exception:  # of a hostile header: whatever Python's parser and NumPy's dtype raise
        raise DamagedSample("an array with a damaged header") from None
    return kind.kind in "SV" or kind in (np.uint8, np.int8)


def _array(content: bytes) -> Signal:
    try:
        return _checked(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    except DamagedSample:
        raise
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:100]
        raise DamagedSample(f"not a whole array of numbers ({type(error).__name__}: {reason})") from None


def _checked(values: np.ndarray) -> Signal:
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DamagedSample(f"an array {values.shape} of type {values.dtype}; allowed: numbers (windows, features)")
    return values.astype(np.float64), None


def _stretches(path: Path, max_windows: int, window_s: float) -> Iterator[Sample]:
    """They follow each other, the last one shorter. A whole recording that is too short is the feature's to refuse."""
    suffix = path.suffix.lower()
    if suffix not in recordings.SUFFIXES:
        raise DamagedSample(f"a recording by no known suffix; allowed: {', '.join(recordings.SUFFIXES)}")
    if path.stat().st_size > recordings.MAX_BYTES:
        raise DamagedSample(f"{path.stat().st_size} bytes; allowed: at most {recordings.MAX_BYTES}")
    with path.open("rb") as stream:
        opened = recordings.open_recording(stream, suffix)
    step_s = max_windows * window_s
    count = max(1, math.ceil((opened.duration_s + 1e-6) // window_s / max_windows))
    for start_s in (number * step_s for number in range(count)):
        end_s = min(start_s + step_s, opened.duration_s)
        part = f"{start_s:g}–{end_s:g} s" if count > 1 else ""
        yield Sample(part, partial(opened.stretch, start_s, end_s - start_s))


_DECODE: dict[str, Callable[[bytes], Signal]] = {"image": images.decode_image, "audio": audio.decode_audio}
