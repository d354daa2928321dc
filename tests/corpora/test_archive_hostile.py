"""Packing what was made to do harm: each refusal is one line that names the member, and leaves nothing."""

import bz2
import os
import struct
import tarfile
import warnings
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from archive_forms import FILES, NOISE, make_folder, make_tar, make_zip, refused

from stages.corpora.archive import pack as pack_module
from stages.corpora.archive import sources
from stages.corpora.archive.pack import pack


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "corpus.zip"


UNSAFE = [
    *("../up.jpg", "a/../../up.jpg", "/etc/passwd", "C:\\x.jpg", "C:x.jpg", "..\\up.jpg", "a\\..\\..\\up.jpg"),
    *("a\0b.jpg", "a\nb.jpg", "a\x1b[2Jb.jpg", "", "a//b.jpg", "a/./b.jpg", ".", "..", "x" * 1025, "a/" * 2000 + "b"),
]


@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: repr(name)[:20])
def test_refuses_unsafe_names(name: str, tmp_path: Path, output: Path):
    refused(make_zip(tmp_path / "a.zip", {"ok.jpg": b"1", name: b"2"}), output, "unsafe member name", "allowed")
    if name and "\0" not in name:  # a tar's name ends there
        source = make_tar(tmp_path / "a.tar", {"ok.jpg": b"1", name: b"2"})
        refused(source, output, "unsafe member name", "allowed")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zip", "a.tar", "out"}


def test_refuses_names_that_are_no_text(tmp_path: Path, output: Path):
    (tmp_path / "folder").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "folder") + b"/\xff.jpg")).write_bytes(b"1")
    refused(tmp_path / "folder", output, "unsafe member name")


def test_refuses_the_same_name_twice(tmp_path: Path, output: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("a.jpg", b"1")
        archive.writestr("a.jpg", b"2")
    refused(tmp_path / "a.zip", output, "'a.jpg'", "same name twice")
    refused(make_zip(tmp_path / "b.zip", {"a.jpg": b"1", "./a.jpg": b"2"}), output, "same name twice")
    refused(make_zip(tmp_path / "c.zip", {"a": b"1", "a/b.jpg": b"2"}), output, "a file and a folder at once")


def test_refuses_encrypted_members(tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.jpg": b"1"})
    content = bytearray(source.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    source.write_bytes(content)
    refused(source, output, "'a.jpg'", "encrypted")


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o140666])
def test_refuses_links_and_devices_in_a_zip(mode: int, tmp_path: Path, output: Path):
    for system in (0, 3):
        source = make_zip(tmp_path / "a.zip", {"l.jpg": b"/etc/passwd"}, external_attr=mode << 16, create_system=system)
        refused(source, output, "'l.jpg'", "link or device")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_refuses_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path, output: Path):
    source = make_tar(tmp_path / "a.tar.gz", {"l.jpg": b""}, "w:gz", type=kind, linkname="/etc/passwd")
    refused(source, output, "'l.jpg'", "link or device")


def test_refuses_links_out_of_a_folder_and_special_files(tmp_path: Path, output: Path):
    outside = make_folder(tmp_path / "outside", {"secret.txt": b"1"})
    folder = make_folder(tmp_path / "folder", {"a/one.wav": b"1"})
    link = folder / "link.wav"
    for target in (outside / "secret.txt", outside, folder / "a", folder / "nowhere", link):
        link.symlink_to(target)
        refused(folder, output, "'link.wav'", "link")
        link.unlink()
    os.mkfifo(folder / "pipe.wav")
    refused(folder, output, "'pipe.wav'", "pipe")


def test_an_unreadable_subfolder_is_not_left_out(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make_folder(tmp_path / "folder", {"a/one.wav": b"1"})
    monkeypatch.setattr(sources.os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError(13, "denied", path)))
    refused(folder, output, "cannot be read", "denied")


def test_refuses_members_over_the_cap(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "huge.wav").touch()
    os.truncate(tmp_path / "folder" / "huge.wav", pack_module.MAX_MEMBER_BYTES + 1)
    refused(tmp_path / "folder", output, "'huge.wav'", "too big", str(4 << 30))
    monkeypatch.setattr(pack_module, "MAX_MEMBER_BYTES", 2999)
    refused(make_zip(tmp_path / "a.zip", NOISE), output, "too big", "2999", "3000")
    refused(make_tar(tmp_path / "a.tar", NOISE), output, "too big", "2999", "3000")


@pytest.mark.parametrize("claimed", [10, 2999, 3001, 50_000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_refuses_a_claimed_size_that_is_a_lie(claimed: int, method: int, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.bin": NOISE["1.bin"]}, method)
    content = bytearray(source.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, claimed)
    source.write_bytes(content)
    refused(source, output, "'a.bin'")


def test_refuses_a_file_that_changes_while_it_is_read(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make_folder(tmp_path / "folder", {"a.csv": b"12345"})
    monkeypatch.setattr(pack_module, "require_free_space", lambda *_: (folder / "a.csv").write_bytes(b"123456"))
    refused(folder, output, "not what it claims", "5 bytes", "6 bytes or more")
    monkeypatch.setattr(pack_module, "require_free_space", lambda *_: (folder / "a.csv").write_bytes(b"1"))
    refused(folder, output, "not what it claims", "6 bytes", "1 bytes")


def test_refuses_bombs(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "RATIO_MATTERS_BYTES", 5_000_000)
    refused(make_zip(tmp_path / "a.zip", {"zeros.csv": bytes(20_000_000)}), output, "'zeros.csv'", "zip bomb", "1000:1")
    refused(make_tar(tmp_path / "a.tar.gz", {"zeros.csv": bytes(20_000_000)}, "w:gz"), output, "zip bomb")
    (tmp_path / "b.tar.bz2").write_bytes(bz2.compress(bytes(20_000_000)))
    refused(tmp_path / "b.tar.bz2", output, "zip bomb")
    monkeypatch.setattr(sources, "MAX_RATIO", 100)
    many = {f"{number}.csv": bytes(1_000_000) for number in range(9)}  # each below the size that matters
    refused(make_zip(tmp_path / "c.zip", many), output, "zip bomb")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_methods_whose_output_has_no_bound(method: int, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.csv": bytes(1000)}, method)
    refused(source, output, "'a.csv'", "stored or deflated", zipfile.compressor_names[method])


@pytest.mark.parametrize("size", [1 << 30, -512, -(1 << 40)])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_refuses_tar_headers_that_would_fill_memory_or_loop(size: int, kind: bytes, tmp_path: Path, output: Path):
    info = tarfile.TarInfo("a.bin")
    info.size, info.type = size, kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    (tmp_path / "a.tar").write_bytes(header + bytes(2048))
    refused(tmp_path / "a.tar", output, "damaged or cut short")


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_refuses_more_than_the_disk_takes(form: str, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_zip(tmp_path / "a.zip", FILES) if form == "zip" else make_tar(tmp_path / "a.tar.gz", FILES, "w:gz")
    usage = namedtuple("usage", "total used free")(10**6, 10**6 - 9000, 9000)
    monkeypatch.setattr("stages.core.files.shutil.disk_usage", lambda _: usage)
    refused(source, output, "are free")


def test_a_full_disk_while_writing_is_not_called_damage(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_zip(tmp_path / "a.zip", FILES)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile._ZipWriteFile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        pack(source, output)
    assert not list(output.parent.iterdir())
