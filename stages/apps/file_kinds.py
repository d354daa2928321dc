"""What a file is by how it begins: told of one that a run does not take. Nothing is read on the strength of it."""

import re
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
# How it begins, and what it is: the first that fits.
_BEGINNINGS: tuple[tuple[bytes, FileKind], ...] = (
    (rb"\xff\xd8\xff", FileKind("a JPEG picture", "image")),
    (rb"\x89PNG", FileKind("a PNG picture", "image")),
    (rb"GIF8", FileKind("a GIF", "image", f"{_CONVERT}, or {_VIDEO}")),
    (rb"RIFF.{4}WEBP", FileKind("a WebP picture", "image", _CONVERT)),
    (rb"BM.{4}\0{4}", FileKind("a BMP picture", "image", _CONVERT)),
    (rb"II\*\0|MM\0\*", FileKind("a TIFF picture", "image", _CONVERT)),
    (rb".{4}ftyp(hei|hev|mif|msf|avif)", FileKind("a HEIC or AVIF picture", "image", _CONVERT)),
    (rb".{4}ftypM4A", FileKind("M4A audio", "audio", "save it as WAV, FLAC, MP3 or Ogg")),
    (rb".{4}ftyp", FileKind("an MP4 video", "video", _VIDEO)),
    (rb"\x1aE\xdf\xa3", FileKind("a Matroska or WebM video", "video", _VIDEO)),
    (rb"RIFF.{4}AVI ", FileKind("an AVI video", "video", _VIDEO)),
    (rb"RIFF.{4}WAVE", FileKind("WAV audio", "audio")),
    (rb"fLaC", FileKind("FLAC audio", "audio")),
    (rb"OggS", FileKind("Ogg audio", "audio")),
    (rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", FileKind("MP3 audio", "audio")),
    (rb"\x93NUMPY", FileKind("an array of NumPy", "windows")),
    (rb"PK\x03\x04", FileKind("a zip or npz", "windows")),
    (rb"0 {7}", FileKind("an EDF recording", "recording")),
    (rb"\xffBIOSEMI", FileKind("a BDF recording", "recording")),
    (rb"%PDF", FileKind("a PDF", "document")),
)


def misfit(path: Path, kind: str) -> str:
    """What is wrong with a file that a run of this kind was given, where it is of another one; else ''."""
    try:
        with path.open("rb") as stream:
            beginning = stream.read(BEGINNING_BYTES)
    except OSError:
        return ""
    found = next((what for begins, what in _BEGINNINGS if re.match(begins, beginning, re.DOTALL)), None)
    if found is None or (found.kind == kind and not found.hint):
        return ""
    hint = f"; {found.hint}" if found.kind == kind or (found.kind, kind) == ("video", "image") else ""
    return f"{found.name}; allowed: {TAKES[kind]}, as this run takes them{hint}"
