"""Reading a packed archive in place: bounded, one line for damage, safe in worker processes."""

import io
import multiprocessing
import os
import random
import struct
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from stages.core.errors import UserError
from stages.corpora.archive import members
from stages.corpora.archive.members import names, open_member, read
from stages.corpora.archive.pack import pack

FILES = {f"train/{number % 7}/{number:04}.jpg": random.Random(number).randbytes(900 + number) for number in range(60)}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write(tmp_path / "packed.zip", FILES)


def write(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def edit(archive: Path, offset: int, content: bytes) -> None:
    whole = bytearray(archive.read_bytes())
    whole[offset : offset + len(content)] = content
    archive.write_bytes(whole)


def test_reads_what_pack_wrote(tmp_path: Path):
    for name, content in FILES.items():
        (tmp_path / "corpus" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "corpus" / name).write_bytes(content)
    (tmp_path / "corpus" / "train" / "disgust").mkdir()
    pack(tmp_path / "corpus", tmp_path / "packed.zip")
    assert names(tmp_path / "packed.zip") == sorted([*FILES, "train/disgust/"])
    assert all(read(tmp_path / "packed.zip", name) == content for name, content in FILES.items())
    assert read(tmp_path / "packed.zip", "train/disgust/") == b""


def test_a_rewritten_archive_is_read_anew(tmp_path: Path):
    assert names(write(tmp_path / "a.zip", {"old.jpg": b"1"})) == ["old.jpg"]
    assert names(write(tmp_path / "a.zip", {"newer.jpg": b"22"})) == ["newer.jpg"]
    assert read(tmp_path / "a.zip", "newer.jpg") == b"22"


def test_opens_the_archive_once(archive: Path, monkeypatch: pytest.MonkeyPatch):
    opened, real = [], zipfile.ZipFile
    monkeypatch.setattr(members.zipfile, "ZipFile", lambda path: opened.append(path) or real(path))
    for name in names(archive):
        read(archive, name)
    assert len(opened) == 1


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_read_at_once(method: str, archive: Path):
    wanted = [*FILES] * 20
    assert read(archive, wanted[0])  # a forked worker inherits the parent's open file
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        found = list(pool.map(partial(read, archive), wanted, chunksize=50))
    assert found == [FILES[name] for name in wanted]


def test_open_member_streams(tmp_path: Path):
    rows = b"".join(b"%d,1 2 3,Training\n" % number for number in range(5000))
    archive = write(tmp_path / "a.zip", {"fer2013.csv": rows})
    with open_member(archive, "fer2013.csv") as stream:
        assert list(io.TextIOWrapper(stream, "ascii"))[4999] == "4999,1 2 3,Training\n"
    with open_member(archive, "fer2013.csv") as stream:
        assert stream.read(7) == rows[:7]
    with pytest.raises(UserError, match="too big"), open_member(archive, "fer2013.csv", max_bytes=100):
        pass


def test_the_callers_own_errors_pass_through(archive: Path):
    for error in (ValueError("a row"), FileNotFoundError(2, "no such file", "other")):
        with pytest.raises(type(error)), open_member(archive, next(iter(FILES))):
            raise error


def test_refuses_what_is_missing(archive: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"no such member.*60 names.*'nobody\.jpg'"):
        read(archive, "nobody.jpg")
    with pytest.raises(UserError, match="No such file"):
        names(tmp_path / "no.zip")


def test_refuses_members_over_the_bound(archive: Path):
    name = next(iter(FILES))
    assert len(read(archive, name, max_bytes=900)) == 900
    with pytest.raises(UserError, match=r"too big; allowed: at most 899 bytes; received: '900 bytes'"):
        read(archive, name, max_bytes=899)


def test_refuses_damage_in_one_line(archive: Path, tmp_path: Path):
    name = next(iter(FILES))
    edit(archive, 100, b"damaged")
    for attempt in (partial(read, archive, name), partial(read_stream, archive, name)):
        with pytest.raises(UserError, match=r"packed\.zip: 'train/0/0000\.jpg': damaged or cut short") as error:
            attempt()
        assert "\n" not in str(error.value)
    os.truncate(archive, 20_000)
    with pytest.raises(UserError, match="damaged or cut short"):
        names(archive)
    (tmp_path / "words.zip").write_bytes(b"words")
    with pytest.raises(UserError, match="damaged or cut short"):
        names(tmp_path / "words.zip")


def test_reads_past_an_extra_field(tmp_path: Path):
    info = zipfile.ZipInfo("a.bin")
    info.extra = struct.pack("<HH4s", 0x7075, 4, b"more")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, b"content")
    assert read(tmp_path / "a.zip", "a.bin") == b"content"


@pytest.mark.parametrize(
    ("offset", "content"), [(0, b"XX"), (26, b"\xff\xff"), (31, b"changed")], ids=["signature", "length", "content"]
)
def test_refuses_a_member_that_its_directory_does_not_describe(offset: int, content: bytes, tmp_path: Path):
    archive = write(tmp_path / "a.zip", {"a": b"?" * 40, "b": b"!" * 40})
    edit(archive, offset, content)
    with pytest.raises(UserError, match="'a': damaged or cut short"):
        read(archive, "a")
    assert read(archive, "b") == b"!" * 40


def test_refuses_an_encrypted_member(tmp_path: Path):
    archive = write(tmp_path / "a.zip", {"a": b"secret"})
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        edit(archive, archive.read_bytes().index(header) + flags, b"\x01")
    with pytest.raises(UserError, match=r"'a': damaged or cut short.*encrypted"):
        read(archive, "a")


def read_stream(archive: Path, name: str) -> bytes:
    with open_member(archive, name) as stream:
        return stream.read()


@pytest.mark.parametrize("claimed", [10, 2_000_000])
def test_refuses_a_claimed_size_that_is_a_lie(claimed: int, tmp_path: Path):
    archive = write(tmp_path / "a.zip", {"a.bin": bytes(1_000_000)}, zipfile.ZIP_DEFLATED)
    edit(archive, archive.read_bytes().index(b"PK\x01\x02") + 24, struct.pack("<L", claimed))
    with pytest.raises(UserError, match="damaged or cut short"):
        read(archive, "a.bin")


def test_refuses_methods_whose_output_has_no_bound(tmp_path: Path):
    with pytest.raises(UserError, match="stored or deflated"):
        read(write(tmp_path / "a.zip", {"a.bin": b"1"}, zipfile.ZIP_BZIP2), "a.bin")


def test_many_small_members_cost_little(tmp_path: Path):
    archive = write(tmp_path / "a.zip", {f"{number}.jpg": b"x" * 1500 for number in range(4000)})
    started = time.perf_counter()
    for name in names(archive):
        read(archive, name)
    assert time.perf_counter() - started < 2  # 0.1 s on an idle machine
