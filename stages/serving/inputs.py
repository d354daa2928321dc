"""Finds and decodes a user's files as the kind of signal that a run reads. All of them are untrusted."""

import io
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from stages.core.errors import printable, refuse, warn
from stages.core.records import DamagedSample, Signal
from stages.corpora.archive import members
from stages.corpora.archive.clips import is_hidden
from stages.corpora.decoding import audio, images, npz, recordings
from stages.corpora.decoding.beside import belongs_to_another
from stages.corpora.decoding.pickles import load_arrays

SUFFIXES = {
    "image": images.SUFFIXES,
    "audio": audio.SUFFIXES,
    "windows": (".npz", ".npy"),
    "recording": recordings.SUFFIXES,
}
_ZIP = b"PK\x03\x04"
MAX_IMAGE_BYTES = 512 << 20  # 108 megapixels as PNG take 300 MB
MAX_LISTED = 8  # number of suffixes that a message lists
READABLE = {
    "image": f"pictures ({images.ALLOWED})",
    "audio": "audio (WAV, FLAC, MP3, Ogg)",
    "windows": "EEG features (npz, npy)",
    "recording": "EEG recordings (EDF, BDF, CNT, FIF, SET, BrainVision, GDF)",
    "video": "a whole video (MP4, Matroska, WebM, AVI, GIF and others that FFmpeg reads)",
}
_CONVERT = "save it as PNG or JPEG"
_VIDEO = "python -m stages.apps.live --video reads it"
# First bytes of a file, its format, its kind, and what to do with a format that is not read. The first match wins.
_SIGNATURES: tuple[tuple[bytes, str, str, str], ...] = (
    (rb"\xff\xd8\xff", "a JPEG picture", "image", ""),
    (rb"\x89PNG", "a PNG picture", "image", ""),
    (rb"GIF8", "a GIF", "image", f"{_CONVERT}, or {_VIDEO}"),
    (rb"RIFF.{4}WEBP", "a WebP picture", "image", ""),
    (rb"BM.{4}\0{4}", "a BMP picture", "image", ""),
    (rb"II[*+]\0|MM\0[*+]", "a TIFF picture", "image", ""),
    (rb".{4}ftyp(hei|hev|mif|msf)", "a HEIC picture", "image", ""),
    (rb".{4}ftypavi", "an AVIF picture", "image", _CONVERT),
    (rb".{4}ftypM4A", "M4A audio", "audio", "ffmpeg -i clip.m4a clip.wav converts it"),
    (rb".{4}ftyp", "an MP4 video", "video", _VIDEO),
    (rb"\x1aE\xdf\xa3", "a Matroska or WebM video", "video", _VIDEO),
    (rb"RIFF.{4}AVI ", "an AVI video", "video", _VIDEO),
    (rb"RIFF.{4}WAVE", "WAV audio", "audio", ""),
    (rb"fLaC", "FLAC audio", "audio", ""),
    (rb"OggS", "Ogg audio", "audio", ""),
    (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", "MP3 audio", "audio", ""),
    (rb"\x93NUMPY", "a NumPy array", "windows", ""),
    (rb"PK\x03\x04", "a zip or npz", "windows", ""),
    (rb"0 {7}", "an EDF recording", "recording", ""),
    (rb"\xffBIOSEMI", "a BDF recording", "recording", ""),
    (rb"GDF ", "a GDF recording", "recording", ""),
    (rb"Brain ?Vision", "a BrainVision header", "recording", ""),
    (rb"%PDF", "a PDF", "document", ""),
)


@dataclass(frozen=True)
class Sample:
    """One sample of a file.

    `part`: which sample, '' where it is the only one. `load()` decodes it as `core.records.Record` does, and raises
    `DamagedSample` for a damaged one, which leaves the other samples readable.
    """

    part: str
    load: Callable[[], Signal]


def kind_of_files(given: list[Path]) -> str:
    """Return 'audio' if the first file, or file of a folder, that is a picture or audio is audio; else 'image'."""
    for path in given:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            for kind in ("image", "audio"):
                if file.suffix.lower() in SUFFIXES[kind]:
                    return kind
    return "image"


def find_files(given: list[Path], kind: str) -> list[Path]:
    """Return the given files and, of given folders, all files with a suffix of this kind, sorted, each once.

    Unreadable subfolders are in the list, too, so that they are reported. Raises `UserError` for a missing path and a
    folder without such files. Warns of the other files in a folder, counted by suffix.
    """
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            found += _files_below(path, kind)
        elif path.is_file():
            found.append(path)
        else:
            what = "neither a file nor a folder" if path.exists() else "no such file or folder"
            refuse(what, where=str(path), allowed=f"{kind}: files, or folders of them", received=path.name)
    return list(dict.fromkeys(found))


def read_samples(path: Path, kind: str, windows: tuple[int, float] | None = None) -> Iterator[Sample]:
    """Yield the samples of one file. Raises `DamagedSample` or `UserError` for a file that holds none.

    `windows` (max_windows, window_s): a recording is cut into stretches of at most max_windows * window_s seconds; a
    remainder shorter than one window is left out.
    """
    if kind == "recording":
        return _stretches(path, *windows)
    if kind == "windows":
        return _trials(path)
    decode = {"image": partial(images.decode_image, shrink=True), "audio": audio.decode_audio}[kind]
    if _is_zip(path):
        return _members(path, kind, decode)
    max_bytes = MAX_IMAGE_BYTES if kind == "image" else members.MAX_SAMPLE_BYTES
    return iter([Sample("", lambda: decode(_content(path, max_bytes)))])


def _files_below(folder: Path, kind: str) -> list[Path]:
    unreadable: list[Path] = []
    walk = os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename)))
    paths = (Path(parent, name) for parent, _, files in walk for name in files)
    visible = [path for path in paths if not is_hidden(path.relative_to(folder).as_posix())]
    visible = _without_companions(visible) if kind == "recording" else visible
    # No pipe and no device; an inaccessible path stays, so that reading it reports the reason.
    found = [path for path in visible if path.suffix.lower() in SUFFIXES[kind]]
    found = [path for path in found if os.path.isfile(path) or not os.path.exists(path)]  # noqa: PTH110, PTH113 - pathlib raises where these return False
    if folder in unreadable:
        return [folder]
    closed = [path for path in unreadable if not is_hidden(path.relative_to(folder).as_posix())]
    _report_others(str(folder), kind, visible, bool(found or closed))
    return sorted(found + closed)


def _without_companions(paths: list[Path]) -> list[Path]:
    """Return the paths without files that are read with another: samples, markers, further parts of a recording."""
    names: dict[Path, list[str]] = defaultdict(list)
    for path in paths:
        names[path.parent].append(path.name)
    return [path for path in paths if not belongs_to_another(path.name, names[path.parent])]


def _report_others(where: str, kind: str, names: Iterable[PurePath], has_any: bool) -> None:
    """Warn of files that are passed over for their suffix. Raises `UserError` where no other file is left."""
    suffixes = Counter(path.suffix.lower() or "without suffix" for path in names)
    others = [(count, suffix) for suffix, count in suffixes.most_common() if suffix not in SUFFIXES[kind]]
    text = ", ".join(f"{count:,} {printable(suffix)}" for count, suffix in others[:MAX_LISTED])
    text += f" and {len(others) - MAX_LISTED} more suffixes" if len(others) > MAX_LISTED else ""
    allowed = ", ".join(SUFFIXES[kind])
    elsewhere = [READABLE[other] for other in SUFFIXES if other != kind and suffixes.keys() & {*SUFFIXES[other]}]
    hint = f"; for {elsewhere[0]}, name a recogniser of theirs with --run, in a command of its own" if elsewhere else ""
    if not has_any:
        refuse(f"holds no {kind} files{hint}", where=where, allowed=allowed, received=text or "no file")
    if others:
        total = sum(count for count, _ in others)
        files = f"{total:,} files" if total > 1 else "1 file"
        warn(f"{printable(where)}: {files} passed over for the suffix ({text}); read: {allowed}{hint}")


def _is_zip(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_ZIP)) == _ZIP


def _members(archive: Path, kind: str, decode: Callable[[bytes], Signal]) -> Iterator[Sample]:
    """Yield the files of this kind in a zip, read in place."""
    names = [PurePosixPath(name) for name in members.names(archive) if not (name.endswith("/") or is_hidden(name))]
    found = [name for name in names if name.suffix.lower() in SUFFIXES[kind]]
    _report_others(str(archive), kind, names, bool(found))
    for name in found:
        yield Sample(printable(str(name)), lambda name=name: decode(members.read(archive, str(name))))


def _content(path: Path, max_bytes: int = members.MAX_SAMPLE_BYTES) -> bytes:
    if path.stat().st_size > max_bytes:
        raise DamagedSample(f"{path.stat().st_size} bytes; allowed: at most {max_bytes}")
    return path.read_bytes()


def _trials(path: Path) -> Iterator[Sample]:
    """Yield arrays (windows, features): the trials of a SEED-V subject, each array of another npz, or one npy."""
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
        for name in names:
            yield Sample(printable(name.removesuffix(".npy")), lambda name=name: _array(members.read(path, name)))


def _holds_bytes(content: bytes) -> bool:
    """Return whether an npy holds bytes, as SEED-V pickles its trials, rather than numbers."""
    try:
        _, dtype = npz.npy_header(io.BytesIO(content))
    except ValueError:
        raise DamagedSample("an array with a damaged header") from None
    return dtype.kind in "SV" or dtype in (np.uint8, np.int8)


def _array(content: bytes) -> Signal:
    try:
        return _checked(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
    except DamagedSample:
        raise
    except Exception as error:  # NumPy and Python's parser raise errors of many classes for a hostile header
        reason = " ".join(str(error).split())[:100]
        raise DamagedSample(f"not a whole array of numbers ({type(error).__name__}: {reason})") from None


def _checked(values: np.ndarray) -> Signal:
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DamagedSample(f"an array {values.shape} of type {values.dtype}; allowed: numbers (windows, features)")
    return values.astype(np.float64), None


def _stretches(path: Path, max_windows: int, window_s: float) -> Iterator[Sample]:
    """Yield consecutive stretches, none across a gap of the recording; the last of each part may be shorter.

    The feature refuses a stretch that is too short.
    """
    suffix = path.suffix.lower()
    if suffix not in recordings.SUFFIXES:
        raise DamagedSample(f"unknown suffix of a recording; allowed: {', '.join(recordings.SUFFIXES)}")
    if path.stat().st_size > recordings.MAX_BYTES:
        raise DamagedSample(f"{path.stat().st_size} bytes; allowed: at most {recordings.MAX_BYTES}")
    beside = {other.name: partial(other.open, "rb") for other in path.parent.iterdir() if other.is_file()}
    with path.open("rb") as stream:
        opened = recordings.open_recording(stream, path.name, beside)
    step_s = max_windows * window_s
    spans = []
    for part in opened.segments:
        count = max(1, math.ceil((part.end_s - part.start_s + 1e-6) // window_s / max_windows))
        starts = [part.start_s + number * step_s for number in range(count)]
        spans += [(start_s, min(start_s + step_s, part.end_s)) for start_s in starts]
    for start_s, end_s in spans:
        name = f"{start_s:g}–{end_s:g} s" if len(spans) > 1 else ""
        yield Sample(name, partial(opened.stretch, start_s, end_s - start_s))


def _is_sound_only(content: bytes) -> bool:
    """Return whether the tracks of an MP4 are sound without pictures (ISO 14496-12, 8.4.3: hdlr boxes)."""
    handlers = re.findall(rb"hdlr.{8}(\w{4})", content, re.DOTALL)
    return b"soun" in handlers and b"vide" not in handlers


def wrong_kind(path: Path, kind: str) -> str:
    """Return what the file is where a run of this `kind` does not read it; '' where it does, or where it is unknown.

    It explains an error: no decision rests on the first bytes.
    """
    name, found, advice, is_zip = signature(path)
    # a zip of such files is read, too
    if not name or (found == kind and not advice) or (is_zip and kind != "recording"):
        return ""
    hint = f"; {advice}" if found == kind or (found, kind) == ("video", "image") else ""
    hint = "; --run with a recogniser of EEG reads it" if found in ("windows", "recording") and not is_zip else hint
    return f"{name}; allowed: {READABLE[kind]}, as this run reads them{hint}"


def signature(path: Path) -> tuple[str, str, str, bool]:
    """Return format, kind, advice, and whether it is a zip, by the first bytes of a file; '' where they are unknown."""
    try:
        with path.open("rb") as stream:
            start = stream.read(16)
            if start[4:8] == b"ftyp" and _is_sound_only(start + stream.read(members.MAX_SAMPLE_BYTES)):
                start = start[:8] + b"M4A "  # phones name other brands
    except OSError:
        return "", "", "", False
    fitting = (found for pattern, *found in _SIGNATURES if re.match(pattern, start, re.DOTALL))
    return *next(fitting, ("", "", "")), start.startswith(_ZIP)
