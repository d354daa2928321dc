"""Clips and corpora of clips, wrapped as people find them, and what the tests of all speech readers share."""

import io
import random
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile
from archive_forms import make_zip

from stages.corpora.archive.pack import pack

Seen = tuple[str, str, str | None, dict[str, str]]


def tone(seconds: float = 0.05, rate_hz: int = 16_000, channels: int = 1) -> np.ndarray:
    """(samples, channels): another pitch in every channel."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.stack([0.5 * np.sin(2 * np.pi * 220 * (k + 1) * time_s) for k in range(channels)], axis=1)


def encoded(samples: np.ndarray, rate_hz: int = 16_000, form: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=form, subtype=subtype)
    return stream.getvalue()


CLIP = encoded(tone())


def corpus(tmp_path: Path, names: Iterable[str], content: bytes = CLIP) -> Path:
    """The clips as `download` leaves them: one packed zip."""
    archive = tmp_path / "raw.zip"
    pack(make_zip(tmp_path / "source.zip", dict.fromkeys(names, content)), archive)
    return archive


def seen(reader: ModuleType, archive: Path) -> list[Seen]:
    return [(record.sample_id, record.label, record.group, record.extra) for record in reader.read(archive)]


def wrapped(path: Path, names: list[str], seed: int) -> Path:
    """The same clips in other letter case, further down, in another order, some of them twice, beside junk."""
    rng = random.Random(seed)
    outer = rng.choice(["", "archive/", "Some Corpus (1)/data/"])
    copied = rng.sample(names, len(names) // 2)
    placed = [outer + name for name in names] + [f"{outer}zz copy/{name}" for name in copied]
    rng.shuffle(placed)
    how = rng.choice([str.upper, str.lower, str.title, str])
    files = {how(name): CLIP for name in placed}
    files |= {f"{outer}.DS_Store": b"junk", "__MACOSX/._x.wav": b"junk", f"{outer}._y.wav": b"junk"}
    return make_zip(path, files | {f"{outer}.hidden/z.wav": b"junk", f"{outer}README.txt": b"read me"})


def check_wrappings(reader: ModuleType, tmp_path: Path, names: list[str]) -> None:
    """Whatever the clips are wrapped in, the reader sees the same records in the same order."""
    plain = seen(reader, corpus(tmp_path, names))
    assert len(plain) == len(names)
    for seed in range(24):
        assert seen(reader, wrapped(tmp_path / f"{seed}.zip", names, seed)) == plain


def check_doubled(reader: ModuleType, tmp_path: Path, name: str, copy: str) -> None:
    """Of two copies the one that sorts first is read."""
    found = list(reader.read(make_zip(tmp_path / "doubled.zip", {copy: b"copy", name: b"first"})))
    assert [record.read_bytes() for record in found] == [b"first"]


def whole(reader: ModuleType, tmp_path: Path, names: Iterable[str]) -> list[Seen]:
    """All records of a corpus of the real size; no byte of a clip is looked at."""
    return seen(reader, make_zip(tmp_path / "whole.zip", dict.fromkeys(names, b""), method=0))
