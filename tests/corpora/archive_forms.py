"""The same files in every form a user may bring, and what the tests of the archive room share."""

import io
import random
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.core.errors import UserError
from stages.corpora.archive.pack import pack

FILES = {
    "train/happy/b.jpg": b"\xff\xd8happy" * 40,
    "train/happy/a.jpg": b"\xff\xd8other" * 900,
    "train/fear/é.jpg": bytes(range(256)),
    "empty.txt": b"",
    "fer2013.csv": b"emotion,pixels,Usage\n" * 1000,
}
NOISE = {f"{number}.bin": random.Random(number).randbytes(3000) for number in range(9)}


def make_zip(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED, **fields: int) -> Path:
    """A zip of `files` in the order given; `fields` are set on every header (names are not cleaned)."""
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x", (2024, 5, 6, 7, 8, 10))
            info.filename, info.compress_type = name, method
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], how: str = "w", prefix: str = "", **fields: object) -> Path:
    with tarfile.open(path, how) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(prefix + name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def make_folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def refused(source: Path, output: Path, *words: str) -> str:
    """The one line that `pack` refuses with; nothing may be left where the output would be."""
    line = one_line(lambda: pack(source, output), *words)
    assert str(source) in line or "are free" in line
    assert nothing_left(output)
    return line


def one_line(call: Callable[[], object], *words: str) -> str:
    """The `UserError` that `call` raises: a single line that holds all `words`."""
    with pytest.raises(UserError) as error:
        call()
    line = str(error.value)
    assert "\n" not in line
    for word in words:
        assert word in line
    return line


def nothing_left(output: Path) -> bool:
    return not output.parent.exists() or not list(output.parent.iterdir())


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}
