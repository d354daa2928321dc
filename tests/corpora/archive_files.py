"""Archives and folders with given files, and checks that all tests of corpora share."""

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
    """Write a zip of `files` in the given order, names unchanged; `fields` are set on every header."""
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x", (2024, 5, 6, 7, 8, 10))
            info.filename, info.compress_type = name, method
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w", prefix: str = "", **fields: object) -> Path:
    with tarfile.open(path, mode) as archive:
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


def packed(tmp_path: Path, files: dict[str, bytes]) -> Path:
    """Return the files as `download` stores them: one packed zip."""
    tmp_path.mkdir(exist_ok=True)
    archive = tmp_path / "raw.zip"
    pack(make_zip(tmp_path / "source.zip", files), archive)
    return archive


def pack_error(source: Path, output: Path, *words: str) -> str:
    """Return the one line with which `pack` refuses; no file may be left in the folder of the output."""
    line = one_line(lambda: pack(source, output), *words)
    assert str(source) in line or " MB free" in line
    assert not output.parent.exists() or not list(output.parent.iterdir())
    return line


def one_line(call: Callable[[], object], *words: str) -> str:
    """Return the message of the `UserError` that `call` raises: a single line that contains all `words`."""
    with pytest.raises(UserError) as error:
        call()
    line = str(error.value)
    assert "\n" not in line
    for word in words:
        assert word in line
    return line


def contents(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def run_stages(corpus: str, params: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run download, prepare and split of a corpus, whose files are written beside `params`: x.h5 and split.json."""
    from stages import download, prepare, split

    folder = params.parent
    common = [corpus, "--params", params, "--archive", folder / "raw.zip"]
    for stage, output in ((download, "-"), (prepare, "x.h5"), (split, "split.json")):
        outputs = [] if output == "-" else ["--output", folder / output]
        monkeypatch.setattr("sys.argv", ["stage", *map(str, (*common, *outputs))])
        stage.main()
