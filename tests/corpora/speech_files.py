"""Clips and speech corpora in the wrappings that people download, and checks that all tests of speech readers share."""

import io
import random
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import soundfile
from archive_files import make_zip, packed

Summary = tuple[str, str, str | None, dict[str, str]]


def tone(seconds: float = 0.05, rate_hz: int = 16_000, channels: int = 1) -> np.ndarray:
    """Return (samples, channels) with a different pitch in every channel."""
    time_s = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.stack([0.5 * np.sin(2 * np.pi * 220 * (k + 1) * time_s) for k in range(channels)], axis=1)


def encoded(samples: np.ndarray, rate_hz: int = 16_000, form: str = "WAV", subtype: str | None = None) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=form, subtype=subtype)
    return stream.getvalue()


CLIP = encoded(tone())


def corpus(tmp_path: Path, names: Iterable[str]) -> Path:
    return packed(tmp_path, dict.fromkeys(names, CLIP))


def summaries(reader: ModuleType, archive: Path) -> list[Summary]:
    return [(record.sample_id, record.label, record.group, record.extra) for record in reader.read(archive)]


def wrapped(path: Path, names: list[str], seed: int) -> Path:
    """Write the clips in another letter case, folder and order, some of them twice, beside files that are no clips."""
    rng = random.Random(seed)
    outer = rng.choice(["", "archive/", "Some Corpus (1)/data/"])
    copied = rng.sample(names, len(names) // 2)
    paths = [outer + name for name in names] + [f"{outer}zz copy/{name}" for name in copied]
    rng.shuffle(paths)
    change_case = rng.choice([str.upper, str.lower, str.title, str])
    files = {change_case(name): CLIP for name in paths}
    files |= {f"{outer}.DS_Store": b"junk", "__MACOSX/._x.wav": b"junk", f"{outer}._y.wav": b"junk"}
    return make_zip(path, files | {f"{outer}.hidden/z.wav": b"junk", f"{outer}README.txt": b"read me"})
