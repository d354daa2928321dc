"""What a file is by how it begins: told of one that a run does not take. Nothing is read on the strength of it."""

from dataclasses import dataclass
from pathlib import Path

TAKES = {
    "image": "pictures (JPEG, PNG)",
    "audio": "audio (WAV, FLAC, MP3, Ogg)",
    "windows": "EEG features (npz, npy)",
    "recording": "EEG recordings (EDF, BDF, CNT, FIF, SET)",
}
BEGINNING_BYTES = 16


@dataclass(frozen=True)
class FileKind:
    """`kind` as a run's, 'video' or 'document'; `hint`: what to do with one of a kind's formats that is not read."""

    name: str
    kind: str
    hint: str = ""


_CONVERT = "save it as PNG or JPEG"
_VIDEO = "python -m stages.apps.live --video takes it"
# (where, how it begins there, what it is): the first that fits. RIFF and ISO's boxes tell what they hold further on.
_BEGINNINGS: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\xff\xd8\xff", FileKind("a JPEG picture", "image")),
    (0, b"\x89PNG", FileKind("a PNG picture", "image")),
    (0, b"GIF8", FileKind("a GIF", "image", f"{_CONVERT}, or {_VIDEO}")),
    (8, b"WEBP", FileKind("a WebP picture", "image", _CONVERT)),
    (0, b"BM", FileKind("a BMP picture", "image", _CONVERT)),
    (0, b"II*\0", FileKind("a TIFF picture", "image", _CONVERT)),
    (0, b"MM\0*", FileKind("a TIFF picture", "image", _CONVERT)),
    (4, b"ftypheic", FileKind("a HEIC picture", "image", _CONVERT)),
    (4, b"ftypheix", FileKind("a HEIC picture", "image", _CONVERT)),
    (4, b"ftypmif1", FileKind("a HEIF picture", "image", _CONVERT)),
    (4, b"ftypavif", FileKind("an AVIF picture", "image", _CONVERT)),
    (4, b"ftypM4A", FileKind("M4A audio", "audio", "save it as WAV, FLAC, MP3 or Ogg")),
    (4, b"ftyp", FileKind("an MP4 video", "video", _VIDEO)),
    (0, b"\x1aE\xdf\xa3", FileKind("a Matroska or WebM video", "video", _VIDEO)),
    (8, b"AVI ", FileKind("an AVI video", "video", _VIDEO)),
    (8, b"WAVE", FileKind("WAV audio", "audio")),
    (0, b"fLaC", FileKind("FLAC audio", "audio")),
    (0, b"OggS", FileKind("Ogg audio", "audio")),
    (0, b"ID3", FileKind("MP3 audio", "audio")),
    (0, b"\x93NUMPY", FileKind("an array of NumPy", "windows")),
    (0, b"PK\x03\x04", FileKind("a zip or npz", "windows")),
    (0, b"0       ", FileKind("an EDF recording", "recording")),
    (0, b"\xffBIOSEMI", FileKind("a BDF recording", "recording")),
    (0, b"%PDF", FileKind("a PDF", "document")),
)


def misfit(path: Path, kind: str) -> str:
    """What is wrong with a file that a run of this kind was given, where it is of another one; else ''."""
    try:
        with path.open("rb") as stream:
            beginning = stream.read(BEGINNING_BYTES)
    except OSError:
        return ""
    fitting = (what for at, begins, what in _BEGINNINGS if beginning[at:].startswith(begins))
    found = next(fitting, None)
    if found is None or (found.kind == kind and not found.hint):
        return ""
    hint = f"; {found.hint}" if found.kind == kind or (found.kind, kind) == ("video", "image") else ""
    return f"{found.name}; allowed: {TAKES[kind]}, as this run takes them{hint}"
