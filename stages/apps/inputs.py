"""What a user hands over: files and folders, found and decoded as the kind of signal that a run takes. All hostile."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.checks import UserError, refuse
from stages.core.records import DamagedSample
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
class Signal:
    """One sample of a file, decoded as `core.records.Record` has it. `part`: which one, '' where it is the only one."""

    part: str
    values: np.ndarray
    rate_hz: float | None


def find_files(given: list[Path], kind: str) -> list[Path]:
    """Files as given; of folders, all below that are of this kind by their suffix, sorted. Raises `UserError`."""
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += _below(path, kind)
        elif path.is_file():
            found.append(path)
        else:
            what = "neither a file nor a folder" if path.exists() else "no such file or folder"
            refuse(what, where=str(path), allowed=f"{kind}: files, or folders of them", received=path.name)
    return found


def read_signals(path: Path, kind: str, longest_s: float | None = None) -> Iterator[Signal]:
    """The samples of one file; a recording in stretches of `longest_s`. Raises `DamagedSample` or `UserError`."""
    if kind == "recording":
        return _recording(path, longest_s)
    return _READ[kind](path)


def _below(folder: Path, kind: str) -> list[Path]:
    names = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES[kind] and path.is_file())
    found = [path for path in names if not is_hidden(path.relative_to(folder).as_posix())]
    if not found:
        refuse(f"holds no {kind} files", where=str(folder), allowed=", ".join(SUFFIXES[kind]), received=folder.name)
    return found


def _content(path: Path) -> bytes:
    if path.stat().st_size > members.MAX_SAMPLE_BYTES:
        raise DamagedSample(f"{path.stat().st_size} bytes; allowed: at most {members.MAX_SAMPLE_BYTES}")
    return path.read_bytes()


def _image(path: Path) -> Iterator[Signal]:
    yield Signal("", *images.decode_image(_content(path)))


def _clip(path: Path) -> Iterator[Signal]:
    yield Signal("", *audio.decode_audio(_content(path)))


def _windows(path: Path) -> Iterator[Signal]:
    """Arrays (windows, features): a subject of SEED-V, trial by trial, each array of any other npz, or one npy."""
    content = _content(path)
    if not content.startswith(_ZIP):
        yield Signal("", _array(content), None)
        return
    names = [name for name in members.names(path) if name.endswith(".npy")]
    if not names:
        raise DamagedSample("an npz without an array")
    if "data.npy" in names and _holds_bytes(members.read(path, "data.npy")):
        trials = load_arrays(npz.stored_bytes(content, "data", path, path.name), str(path))
        yield from (Signal(f"trial {number}", _checked(trials[number]), None) for number in sorted(trials))
    else:
        yield from (Signal(name.removesuffix(".npy"), _array(members.read(path, name)), None) for name in names)


def _holds_bytes(content: bytes) -> bool:
    """Whether an npy is bytes, as SEED-V pickles its trials, rather than numbers."""
    try:
        version = np.lib.format.read_magic(stream := io.BytesIO(content))
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, kind = read(stream)
    except Exception:  # of a hostile header: whatever Python's parser and NumPy's dtype raise
        raise DamagedSample("an array with a damaged header") from None
    return kind.kind in "SV" or kind in (np.uint8, np.int8)


def _array(content: bytes) -> np.ndarray:
    try:
        return _checked(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    except DamagedSample:
        raise
    except Exception as error:  # as above
        reason = " ".join(str(error).split())[:100]
        raise DamagedSample(f"not a whole array of numbers ({type(error).__name__}: {reason})") from None


def _checked(values: np.ndarray) -> np.ndarray:
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DamagedSample(f"an array {values.shape} of type {values.dtype}; allowed: numbers (windows, features)")
    return values.astype(np.float64)


def _recording(path: Path, longest_s: float | None) -> Iterator[Signal]:
    """Stretches that follow each other, the last one shorter. Too short ones are the feature's to refuse."""
    suffix = path.suffix.lower()
    if suffix not in recordings.SUFFIXES:
        raise DamagedSample(f"a recording by no known suffix; allowed: {', '.join(recordings.SUFFIXES)}")
    if path.stat().st_size > recordings.MAX_BYTES:
        raise DamagedSample(f"{path.stat().st_size} bytes; allowed: at most {recordings.MAX_BYTES}")
    with path.open("rb") as stream:
        opened = recordings.open_recording(stream, suffix)
    step_s = longest_s or opened.duration_s
    count = max(1, int(np.ceil(opened.duration_s / step_s - 1e-9)))
    for start_s in (number * step_s for number in range(count)):
        end_s = min(start_s + step_s, opened.duration_s)
        yield Signal(f"{start_s:g}–{end_s:g} s" if count > 1 else "", *opened.stretch(start_s, end_s - start_s))


_READ: dict[str, Callable[[Path], Iterator[Signal]]] = {"image": _image, "audio": _clip, "windows": _windows}


def require_writable(path: Path | None, option: str) -> None:
    """Before the work, not after it. Raises `UserError`."""
    if path is None:
        return
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder, not a file" if path.is_dir() else "its folder does not exist"
        refuse(what, where=option, allowed="a file that can be written", received=str(path))
    trial = path.with_name(f".{path.name}.trial")
    try:
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise UserError(f"{option}: {path}: cannot be written: {error.strerror}") from None
