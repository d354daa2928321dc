"""Reading members and tables in place: bounded, one line for damage, safe in worker processes."""

import io
import multiprocessing
import os
import random
import struct
import zipfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from archive_files import make_folder, make_zip, one_line

from stages.corpora.archive import members, tables
from stages.corpora.archive.members import names, open_member, read
from stages.corpora.archive.pack import pack

FILES = {f"train/{number % 7}/{number:04}.jpg": random.Random(number).randbytes(900 + number) for number in range(60)}
NAME = next(iter(FILES))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write(tmp_path / "packed.zip", FILES)


def write(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return path


def overwrite(archive: Path, offset: int, content: bytes) -> None:
    whole = bytearray(archive.read_bytes())
    whole[offset : offset + len(content)] = content
    archive.write_bytes(whole)


def read_stream(archive: Path, name: str) -> bytes:
    with open_member(archive, name) as stream:
        return stream.read()


def test_reads_packed_members(tmp_path: Path):
    folder = make_folder(tmp_path / "corpus", FILES)
    (folder / "train" / "disgust").mkdir()
    pack(folder, tmp_path / "packed.zip")
    assert names(tmp_path / "packed.zip") == sorted([*FILES, "train/disgust/"])
    assert all(read(tmp_path / "packed.zip", name) == content for name, content in FILES.items())
    assert read(tmp_path / "packed.zip", "train/disgust/") == b""


def test_reads_a_rewritten_archive_again(tmp_path: Path):
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
def test_worker_processes_read_at_the_same_time(method: str, archive: Path):
    wanted = [*FILES] * 20
    assert read(archive, wanted[0])  # a forked worker inherits the parent's open file
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        contents = list(pool.map(partial(read, archive), wanted, chunksize=50))
    assert contents == [FILES[name] for name in wanted]


def test_open_member_streams(tmp_path: Path):
    rows = b"".join(b"%d,1 2 3,Training\n" % number for number in range(5000))
    archive = write(tmp_path / "a.zip", {"fer2013.csv": rows})
    with open_member(archive, "fer2013.csv") as stream:
        assert list(io.TextIOWrapper(stream, "ascii"))[4999] == "4999,1 2 3,Training\n"
    with open_member(archive, "fer2013.csv") as stream:
        assert stream.read(7) == rows[:7]
    one_line(lambda: open_member(archive, "fer2013.csv", max_bytes=100).__enter__(), "too big")


@pytest.mark.parametrize("error", [ValueError("a row"), FileNotFoundError(2, "no such file", "other")])
def test_errors_of_the_caller_pass_through(archive: Path, error: Exception):
    with pytest.raises(type(error)), open_member(archive, NAME):
        raise error


def test_refuses_missing_members_and_archives(archive: Path, tmp_path: Path):
    one_line(lambda: read(archive, "nobody.jpg"), "no such member", "60 names", "'nobody.jpg'")
    one_line(lambda: names(tmp_path / "no.zip"), "No such file")


def test_refuses_members_over_the_limit(archive: Path):
    assert len(read(archive, NAME, max_bytes=900)) == 900
    one_line(lambda: read(archive, NAME, max_bytes=899), "too big", "at most 899 bytes", "900 bytes")


def test_refuses_damage(archive: Path, tmp_path: Path):
    overwrite(archive, 100, b"damaged")
    for function in (read, read_stream):
        one_line(partial(function, archive, NAME), f"packed.zip: {NAME!r}: damaged or cut short")
    os.truncate(archive, 20_000)
    one_line(lambda: names(archive), "damaged or cut short")
    (tmp_path / "words.zip").write_bytes(b"words")
    one_line(lambda: names(tmp_path / "words.zip"), "damaged or cut short")


def test_reads_a_member_with_an_extra_field(tmp_path: Path):
    info = zipfile.ZipInfo("a.bin")
    info.extra = struct.pack("<HH4s", 0x7075, 4, b"more")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as opened:
        opened.writestr(info, b"content")
    assert read(tmp_path / "a.zip", "a.bin") == b"content"


@pytest.mark.parametrize(
    ("offset", "content"), [(0, b"XX"), (26, b"\xff\xff"), (31, b"changed")], ids=["signature", "length", "content"]
)
def test_refuses_a_member_that_differs_from_the_directory(offset: int, content: bytes, tmp_path: Path):
    archive = write(tmp_path / "a.zip", {"a": b"?" * 40, "b": b"!" * 40})
    overwrite(archive, offset, content)
    one_line(lambda: read(archive, "a"), "'a': damaged or cut short")
    assert read(archive, "b") == b"!" * 40


def test_refuses_an_encrypted_member(tmp_path: Path):
    archive = write(tmp_path / "a.zip", {"a": b"secret"})
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        overwrite(archive, archive.read_bytes().index(header) + flags, b"\x01")
    one_line(lambda: read(archive, "a"), "'a': damaged or cut short", "encrypted")


@pytest.mark.parametrize("stated", [10, 2_000_000])
def test_refuses_a_wrong_stated_size(stated: int, tmp_path: Path):
    archive = write(tmp_path / "a.zip", {"a.bin": bytes(1_000_000)}, zipfile.ZIP_DEFLATED)
    overwrite(archive, archive.read_bytes().index(b"PK\x01\x02") + 24, struct.pack("<L", stated))
    one_line(lambda: read(archive, "a.bin"), "damaged or cut short")


def test_reads_columns_in_any_order_and_case(tmp_path: Path):
    archive = make_zip(tmp_path / "a.zip", {"x/T.CSV": "\ufeff B ,a,c\r\n1, 2 ,\r\n\r\n3\r\n".encode()})
    found = list(tables.rows(archive, tables.find(archive, "t.csv"), ("a", "b"), "a,b"))
    assert [row for _, row in found] == [{"b": "1", "a": "2", "c": ""}, {"b": "3", "a": "", "c": ""}]
    assert [where.rpartition(" ")[2] for where, _ in found] == ["2", "4"]


@pytest.mark.parametrize("rows", ["1,2,3\n4,5,6\n", "1,2\n4,5,6\n"])
def test_refuses_cells_beyond_the_last_column(tmp_path: Path, rows: str):
    archive = make_zip(tmp_path / "a.zip", {"t.csv": f"a,b\n{rows}".encode()})
    one_line(lambda: list(tables.rows(archive, "t.csv", ("a", "b"), "a,b")), "not a table", "allowed: a,b")


@pytest.mark.parametrize("blank", ["", ",", ",,,,,", " , ", "\t", ",,,\r", '"",""'])
@pytest.mark.parametrize("end", ["", "\n", "\n\n,,,,\n"])
def test_blank_rows_are_no_rows(tmp_path: Path, blank: str, end: str):
    archive = make_zip(tmp_path / "a.zip", {"t.csv": f"a,b\n{blank}\n1,2\n{blank}\n,3{end}".encode()})
    found = list(tables.rows(archive, "t.csv", ("a", "b"), "a,b"))
    assert [tuple(row.values()) for _, row in found] == [("1", "2"), ("", "3")]
    assert [where.rpartition(" ")[2] for where, _ in found] == ["3", "5"]


def test_keeps_words_that_pandas_reads_as_missing(tmp_path: Path):
    archive = make_zip(tmp_path / "a.zip", {"t.csv": b"a,b\n1,NA\n2,nan\n3,None\n"})
    assert [row["b"] for _, row in tables.rows(archive, "t.csv", ("a", "b"), "a,b")] == ["NA", "nan", "None"]


def test_finds_no_table_and_refuses_two(tmp_path: Path):
    archive = make_zip(tmp_path / "a.zip", {"t.csv": b"", "x/t.csv": b"a", "y.csv.txt": b""})
    assert tables.find(archive, "y.csv") is None
    one_line(lambda: tables.find(archive, "t.csv"), "more than one t.csv", "allowed: one t.csv", "x/t.csv")


def test_finds_the_outermost_copy_that_is_not_hidden(tmp_path: Path):
    files = {"a/b/t.csv": b"x", "y/T.csv": b"x", "z/t.csv": b"x", "__MACOSX/t.csv": b"y", ".git/t.csv": b"z"}
    assert tables.find(make_zip(tmp_path / "a.zip", files), "t.csv") == "y/T.csv"


@pytest.mark.parametrize("file", ["a/1", "./a/1", "a\\1"])
def test_resolves_paths(file: str):
    assert tables.resolve("here", file, {"a/1": "x"}) == "x"
    one_line(lambda: tables.resolve("here", file + "2", {"a/1": "x"}, "tune"), "here: no such tune", "such as x")
