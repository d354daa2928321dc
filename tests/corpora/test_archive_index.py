"""A folder that is read in place: the list of its files, reading through it, and files that have changed."""

import re
import zipfile
import zlib
from pathlib import Path

import pytest

from stages.core import lookup
from stages.core.errors import UserError
from stages.corpora import image_folder
from stages.corpora.archive import members
from stages.corpora.archive.pack import pack
from stages.serving.run_files import load_run

FILES = {"b/2.txt": b"two", "a/1.bin": bytes(range(256)) * 40, "a/.DS_Store": b"x"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "corpus/empty").mkdir()
    return tmp_path / "corpus"


@pytest.fixture
def listed(folder: Path) -> Path:
    pack(folder, folder.parent / "listed.zip", in_place=True)
    return folder.parent / "listed.zip"


def test_list_by_hand(folder: Path, listed: Path):
    crc = {name: f"{zlib.crc32(content):08x}" for name, content in FILES.items()}
    lines = [
        f"files of {folder}",
        f"{crc['a/1.bin']} 10240 a/1.bin",
        f"{crc['b/2.txt']} 3 b/2.txt",
        "00000000 0 empty/",
    ]
    assert listed.read_text().splitlines() == lines


def test_reads_what_a_copy_would_give(folder: Path, listed: Path, tmp_path: Path):
    copy = tmp_path / "copy.zip"
    pack(folder, copy)
    assert members.names(listed) == members.names(copy) == ["a/1.bin", "b/2.txt", "empty/"]
    for name in ("a/1.bin", "b/2.txt"):
        for read in (members.read, members.start, members.fingerprint):
            assert read(listed, name) == read(copy, name)
        with members.open_member(listed, name) as stream:
            assert stream.read() == FILES[name]


def test_readers_find_the_same_samples(tmp_path: Path):
    image_folder.synthesise(tmp_path / "faces", size=32, seed=7, size_px=24)
    pack(tmp_path / "faces", tmp_path / "copy.zip")
    pack(tmp_path / "faces", tmp_path / "listed.zip", in_place=True)
    copied, listed = (
        [
            (record.sample_id, record.label, record.partition, record.group)
            for record in lookup.read("image_folder", file)
        ]
        for file in (tmp_path / "copy.zip", tmp_path / "listed.zip")
    )
    assert len(copied) == 32
    assert listed == copied


@pytest.mark.parametrize(
    ("content", "received"), [(None, "no file"), (b"longer", "another size"), (b"TWO", "other bytes")]
)
def test_a_changed_file_is_one_line(folder: Path, listed: Path, content: bytes | None, received: str):
    (folder / "b/2.txt").unlink() if content is None else (folder / "b/2.txt").write_bytes(content)
    line = f"2.txt: changed since `download` listed it; allowed: the same 3 bytes, .*download.*; received: {received}"
    with pytest.raises(UserError, match=line):
        members.read(listed, "b/2.txt")
    if received != "other bytes":  # a stream is not read twice for its checksum
        with pytest.raises(UserError, match=line), members.open_member(listed, "b/2.txt"):
            pass


def test_archives_are_not_read_in_place(tmp_path: Path, folder: Path):
    pack(folder, tmp_path / "several/part.zip") if (tmp_path / "several").mkdir() is None else None
    for source, received in ((tmp_path / "several", "a folder of archives"), (tmp_path / "several/part.zip", "a file")):
        with pytest.raises(
            UserError, match=rf"cannot be read in place; allowed: a folder of files; received: '{received}"
        ):
            pack(source, tmp_path / "listed.zip", in_place=True)
        assert not (tmp_path / "listed.zip").exists()


def test_a_list_from_elsewhere_is_no_run(folder: Path, listed: Path):
    """It could name any file of this computer."""
    for name in ("model.json", "best.safetensors"):
        (folder / name).write_text("secret")
    pack(folder, listed, in_place=True)
    with pytest.raises(UserError, match=re.escape(f"{listed}: not a packed run")):
        load_run(str(listed))
    assert not zipfile.is_zipfile(listed)
