"""Packing: the same result for every form of source; a damaged or hostile one is one line and leaves no file."""

import bz2
import gzip
import os
import random
import resource
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
from collections import namedtuple
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
from archive_files import FILES, NOISE, contents, make_folder, make_tar, make_zip, pack_error

from stages.core.errors import UserError
from stages.corpora.archive import pack as pack_module
from stages.corpora.archive import sources
from stages.corpora.archive.pack import pack


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "corpus.zip"


def flip(path: Path, start: int) -> None:
    """Invert ten bytes of a file."""
    content = bytearray(path.read_bytes())
    content[start : start + 10] = bytes(byte ^ 255 for byte in content[start : start + 10])
    path.write_bytes(content)


def test_every_form_of_source_gives_the_same_bytes(tmp_path: Path, output: Path):
    shuffled = dict(random.Random(3).sample(sorted(FILES.items()), len(FILES)))
    forms = [
        make_zip(tmp_path / "deflated.zip", FILES),
        make_zip(tmp_path / "stored.zip", shuffled, zipfile.ZIP_STORED, create_system=0, external_attr=0o100600 << 16),
        make_tar(tmp_path / "plain.tar", FILES),
        make_tar(tmp_path / "from_dot.tar.gz", shuffled, "w:gz", prefix="./", mtime=99),
        make_tar(tmp_path / "t.tar.bz2", shuffled, "w:bz2"),
        make_tar(tmp_path / "t.tar.xz", FILES, "w:xz"),
        make_folder(tmp_path / "folder", shuffled),
    ]
    packed = set()
    for form in forms:
        pack(form, output)
        packed.add(output.read_bytes())
    assert len(packed) == 1
    assert contents(output) == FILES
    assert list(contents(output)) == sorted(FILES)
    assert [path.name for path in output.parent.iterdir()] == ["corpus.zip"]


def test_a_folder_of_archives_is_one_corpus(tmp_path: Path, output: Path):
    texts = dict.fromkeys(("README.md", "LICENSE", "more.tar.md5", "desktop.ini", ".DS_Store", "__MACOSX/._more.tar"))
    parts = make_folder(tmp_path / "parts", dict.fromkeys(texts, b"a corpus in three parts"))
    make_zip(parts / "Actors.01-12.ZIP", {"a/1.wav": b"1", "a/": b""})
    make_tar(parts / "Actors.13-24.TAR.gz", {"a/1.wav": b"2"}, "w:gz", prefix="./")
    make_tar(tmp_path / "elsewhere.tar", {"b/3.wav": b"3"})
    (parts / "more.tar").symlink_to(tmp_path / "elsewhere.tar")
    with tarfile.open(parts / "more.tar", "a") as archive:
        archive.addfile(tarfile.TarInfo("empty.txt"))
        folder = tarfile.TarInfo(".")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    pack(parts, output)
    expected = {"Actors.01-12/a/1.wav": b"1", "Actors.13-24/a/1.wav": b"2", "more/b/3.wav": b"3", "more/empty.txt": b""}
    assert contents(output) == expected


@pytest.mark.parametrize("beside", ["a/1.wav", "labels.csv", "faces.csv.gz"])
def test_archives_beside_a_corpus_are_not_opened(beside: str, tmp_path: Path, output: Path):
    folder = make_folder(tmp_path / "corpus", {beside: b"1"})
    make_zip(folder / "all.zip", {"a/1.wav": b"1"})
    pack(folder, output)
    assert set(contents(output)) == {beside, "all.zip"}


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"../1.wav": b""}, "unsafe"),
        ({"/1.wav": b""}, "unsafe"),
        ({"C:x.wav": b"1"}, "unsafe"),
        ({"a.wav": b"1", "./a.wav": b"2"}, "same name twice"),
        ({}, "bad.zip: holds no files"),
        ({"a/": b""}, "bad.zip: holds no files"),
        ({"a.wav": bytes(200_000_000)}, "a zip bomb"),
    ],
)
def test_an_archive_among_several_is_as_untrusted_as_one(files: dict, word: str, tmp_path: Path, output: Path):
    folder = make_folder(tmp_path / "parts", {})
    folder.mkdir()
    make_zip(folder / "good.zip", {"a/1.wav": b"1"})
    make_zip(folder / "bad.zip", files)
    assert word in pack_error(folder, output)


def test_two_archives_of_one_name_are_refused(tmp_path: Path, output: Path):
    folder = tmp_path / "parts"
    folder.mkdir()
    make_zip(folder / "a.zip", {"1.wav": b"1"})
    make_tar(folder / "a.tar", {"2.wav": b"2"})
    assert "two archives of one name; allowed: names that differ; received: 'a.tar and a.zip'" in pack_error(
        folder, output
    )


def test_more_archives_than_open_files(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    source, limits = tmp_path / "several", resource.getrlimit(resource.RLIMIT_NOFILE)
    source.mkdir()
    for number in range(60):
        make_zip(source / f"{number:02}.zip", {"a.txt": b"%d" % number})
    n_open = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 30, limits[1]))
    try:
        pack(source, output)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert contents(output) == {f"{number:02}/a.txt": b"%d" % number for number in range(60)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 259))
    pack_error(
        source, tmp_path / "empty/corpus.zip", "too many archives", "59, by this system's limit", "received: '60'"
    )


def test_the_damaged_archive_among_several_is_named(tmp_path: Path, output: Path):
    folder = tmp_path / "parts"
    folder.mkdir()
    make_zip(folder / "good.zip", {"a/1.wav": b"1"})
    (folder / "bad.zip").write_bytes(make_zip(folder / "bad.zip", NOISE).read_bytes()[:2000])
    assert f"{folder / 'bad.zip'}: damaged or cut short" in pack_error(folder, output)


def test_headers_do_not_depend_on_the_machine(tmp_path: Path, output: Path):
    pack(make_folder(tmp_path / "folder", FILES), output)
    with zipfile.ZipFile(output) as archive:
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert (info.create_system, info.compress_type) == (3, zipfile.ZIP_STORED)
            assert info.external_attr >> 16 == 0o100644


def test_leaves_out_files_of_desktop_systems(tmp_path: Path, output: Path):
    junk = ["__MACOSX/train/._a.jpg", "train/.DS_Store", "Thumbs.db", "train/desktop.ini", "train/._b.jpg"]
    pack(make_zip(tmp_path / "a.zip", {"train/a.jpg": b"1"} | dict.fromkeys(junk, b"junk")), output)
    assert list(contents(output)) == ["train/a.jpg"]


def test_keeps_only_empty_folders(tmp_path: Path, output: Path):
    entries = {"a.csv": b"1", "train/": b"", "train/disgust/": b"", "train/disgust/.DS_Store": b"x", "train/fear/": b""}
    folder = make_folder(tmp_path / "folder", {"a.csv": b"1", "train/disgust/.DS_Store": b"x"})
    (folder / "train" / "fear").mkdir()
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(folder, ".")
    packed = set()
    for form in (make_zip(tmp_path / "a.zip", entries), folder, tmp_path / "a.tar"):
        pack(form, output)
        packed.add(output.read_bytes())
        assert list(contents(output)) == ["a.csv", "train/disgust/", "train/fear/"]
    assert len(packed) == 1


def test_packs_a_csv_as_the_only_member(tmp_path: Path, output: Path):
    pack(make_folder(tmp_path, {"icml_face_data.CSV": b"emotion,pixels\n"}) / "icml_face_data.CSV", output)
    assert contents(output) == {"icml_face_data.CSV": b"emotion,pixels\n"}


def test_follows_links_to_files_inside_the_folder(tmp_path: Path, output: Path):
    folder = make_folder(tmp_path / "folder", {"a/one.wav": b"1"})
    (folder / "two.wav").symlink_to(folder / "a" / "one.wav")
    pack(folder, output)
    assert contents(output) == {"a/one.wav": b"1", "two.wav": b"1"}


@pytest.mark.parametrize("form", ["zip", "tar.xz"])
def test_memory_does_not_grow_with_the_corpus(form: str, tmp_path: Path, output: Path):
    big = {"big.csv": bytes(64 << 20)}
    source = make_zip(tmp_path / "a.zip", big) if form == "zip" else make_tar(tmp_path / "a.tar.xz", big, "w:xz")
    del big
    tracemalloc.start()
    pack(source, output)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    assert output.stat().st_size > 64 << 20


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.txt", b"words", "not an archive"),
        ("a.zip", b"words", "not an archive"),
        ("empty.zip", b"", "not an archive"),
        ("table.tsv", b"1\t2", "not an archive"),
        ("words.csv.gz", gzip.compress(b"emotion,pixels\n", mtime=0), "damaged"),
        ("words.tar", b"words" * 500, "damaged"),
    ],
)
def test_refuses_files_that_are_not_archives(name: str, content: bytes, word: str, tmp_path: Path, output: Path):
    (tmp_path / name).write_bytes(content)
    pack_error(tmp_path / name, output, word, "allowed: ")


def test_refuses_missing_files_and_pipes(tmp_path: Path, output: Path):
    pack_error(tmp_path / "no.zip", output, "no such file", "allowed: a zip, a tar", ".csv")
    os.mkfifo(tmp_path / "pipe")
    pack_error(tmp_path / "pipe", output, "neither a file nor a folder")


@pytest.mark.parametrize("files", [{}, {"train/": b"", ".DS_Store": b"x"}, None])
def test_refuses_an_archive_without_files(tmp_path: Path, output: Path, files: dict[str, bytes] | None):
    (tmp_path / "folder").mkdir()
    source = tmp_path / "folder" if files is None else make_zip(tmp_path / "a.zip", files)
    pack_error(source, output, "holds no files")


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.9])
def test_refuses_a_truncated_archive(mode: str, fraction: float, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a", NOISE) if mode == "zip" else make_tar(tmp_path / "a", NOISE, mode)
    whole = 9 * (512 + 3072) if mode == "w" else source.stat().st_size
    os.truncate(source, int(whole * fraction))
    pack_error(source, output, "damaged or cut short")


@pytest.mark.parametrize("end", ["end of the file", "damaged header"])
def test_refuses_a_tar_that_tarfile_accepts_as_complete(end: str, tmp_path: Path, output: Path):
    source = make_tar(tmp_path / "a.tar", NOISE)
    content = bytearray(source.read_bytes())
    start = 4 * (512 + 3072)
    content[start:] = b"" if end == "end of the file" else b"?" * 512 + content[start + 512 :]
    source.write_bytes(content)
    assert len(tarfile.open(source).getnames()) == 4  # noqa: SIM115
    pack_error(source, output, "damaged or cut short", "end-of-archive")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_flipped_bytes_in_a_zip_name_the_member(method: int, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.bin": b"a", "train/b.bin": NOISE["1.bin"]}, method)
    flip(source, 1500)
    pack_error(source, output, "'train/b.bin'", "damaged or cut short")


def test_random_damage_is_refused_or_harmless(tmp_path: Path, output: Path):
    """The archive is packed or refused in one line; there is no other exception, and no partial file."""
    wholes = [make_zip(tmp_path / "a.zip", NOISE).read_bytes(), make_tar(tmp_path / "a.tar", NOISE).read_bytes()]
    source, rng = tmp_path / "broken", random.Random(7)
    for turn in range(300):
        content = bytearray(wholes[turn % 2])
        headers = range(len(content) - 700, len(content)) if turn % 2 == 0 else range(512)
        for _ in range(3):
            content[rng.choice(headers)] = rng.randrange(256)
        source.write_bytes(content)
        output.unlink(missing_ok=True)
        with suppress(UserError):
            pack(source, output)
            continue
        pack_error(source, output)


UNSAFE = [
    *("../up.jpg", "a/../../up.jpg", "/etc/passwd", "C:\\x.jpg", "C:x.jpg", "..\\up.jpg", "a\\..\\..\\up.jpg"),
    *("a\0b.jpg", "a\nb.jpg", "a\x1b[2Jb.jpg", "", "a//b.jpg", "a/./b.jpg", ".", "..", "x" * 1025, "a/" * 2000 + "b"),
]


@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: repr(name)[:20])
def test_refuses_unsafe_names(name: str, tmp_path: Path, output: Path):
    pack_error(make_zip(tmp_path / "a.zip", {"ok.jpg": b"1", name: b"2"}), output, "unsafe member name", "allowed")
    if name and "\0" not in name:  # in a tar, a name ends there
        source = make_tar(tmp_path / "a.tar", {"ok.jpg": b"1", name: b"2"})
        pack_error(source, output, "unsafe member name", "allowed")
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zip", "a.tar", "out"}


def test_refuses_names_that_are_not_unicode(tmp_path: Path, output: Path):
    (tmp_path / "folder").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "folder") + b"/\xff.jpg")).write_bytes(b"1")
    pack_error(tmp_path / "folder", output, "unsafe member name")


def test_refuses_duplicate_names(tmp_path: Path, output: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("a.jpg", b"1")
        archive.writestr("a.jpg", b"2")
    pack_error(tmp_path / "a.zip", output, "'a.jpg'", "same name twice")
    pack_error(make_zip(tmp_path / "b.zip", {"a.jpg": b"1", "./a.jpg": b"2"}), output, "same name twice")
    pack_error(make_zip(tmp_path / "c.zip", {"a": b"1", "a/b.jpg": b"2"}), output, "both a file and a folder")


def test_refuses_encrypted_members(tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.jpg": b"1"})
    content = bytearray(source.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    source.write_bytes(content)
    pack_error(source, output, "'a.jpg'", "encrypted")


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o140666])
@pytest.mark.parametrize("system", [0, 3])
def test_refuses_links_and_devices_in_a_zip(mode: int, system: int, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"l.jpg": b"/etc/passwd"}, external_attr=mode << 16, create_system=system)
    pack_error(source, output, "'l.jpg'", "link or device")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_refuses_links_and_devices_in_a_tar(kind: bytes, tmp_path: Path, output: Path):
    source = make_tar(tmp_path / "a.tar.gz", {"l.jpg": b""}, "w:gz", type=kind, linkname="/etc/passwd")
    pack_error(source, output, "'l.jpg'", "link or device")


def test_refuses_links_out_of_a_folder_and_special_files(tmp_path: Path, output: Path):
    outside = make_folder(tmp_path / "outside", {"secret.txt": b"1"})
    folder = make_folder(tmp_path / "folder", {"a/one.wav": b"1"})
    link = folder / "link.wav"
    for target in (outside / "secret.txt", outside, folder / "a", folder / "nowhere", link):
        link.symlink_to(target)
        pack_error(folder, output, "'link.wav'", "link")
        link.unlink()
    os.mkfifo(folder / "pipe.wav")
    pack_error(folder, output, "'pipe.wav'", "pipe")


def test_refuses_an_unreadable_subfolder(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make_folder(tmp_path / "folder", {"a/one.wav": b"1"})
    monkeypatch.setattr(sources.os, "scandir", Mock(side_effect=PermissionError(13, "denied")))
    pack_error(folder, output, "cannot be read", "denied")


@pytest.mark.parametrize("stated", [10, 2999, 3001, 50_000])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_refuses_a_wrong_stated_size(stated: int, method: int, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.bin": NOISE["1.bin"]}, method)
    content = bytearray(source.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\x01\x02") + 24, stated)
    source.write_bytes(content)
    pack_error(source, output, "'a.bin'")


@pytest.mark.parametrize("later", [b"123456", b"1"])
def test_refuses_a_file_that_changes_while_it_is_read(later: bytes, tmp_path: Path, output: Path, monkeypatch):
    folder = make_folder(tmp_path / "folder", {"a.csv": b"12345"})
    monkeypatch.setattr(pack_module, "require_free_space", lambda *_: (folder / "a.csv").write_bytes(later))
    pack_error(folder, output, "its size differs", "5 bytes", f"{len(later)} bytes")


def test_refuses_bombs(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sources, "RATIO_MATTERS_BYTES", 5_000_000)
    zeros = {"zeros.csv": bytes(20_000_000)}
    pack_error(make_zip(tmp_path / "a.zip", zeros), output, "'zeros.csv'", "zip bomb", "1000:1")
    pack_error(make_tar(tmp_path / "a.tar.gz", zeros, "w:gz"), output, "zip bomb")
    (tmp_path / "b.tar.bz2").write_bytes(bz2.compress(bytes(20_000_000)))
    pack_error(tmp_path / "b.tar.bz2", output, "zip bomb")
    monkeypatch.setattr(sources, "MAX_RATIO", 100)
    many = {f"{number}.csv": bytes(1_000_000) for number in range(9)}  # each below the size that matters
    pack_error(make_zip(tmp_path / "c.zip", many), output, "zip bomb")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_methods_with_unlimited_output(method: int, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.csv": bytes(1000)}, method)
    pack_error(source, output, "'a.csv'", "stored or deflated", zipfile.compressor_names[method])


@pytest.mark.parametrize("size", [1 << 30, -512, -(1 << 40)])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_refuses_tar_headers_that_would_fill_memory_or_loop(size: int, kind: bytes, tmp_path: Path, output: Path):
    info = tarfile.TarInfo("a.bin")
    info.size, info.type = size, kind
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    (tmp_path / "a.tar").write_bytes(header + bytes(2048))
    pack_error(tmp_path / "a.tar", output, "damaged or cut short")


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_refuses_more_than_the_free_space(form: str, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_zip(tmp_path / "a.zip", FILES) if form == "zip" else make_tar(tmp_path / "a.tar.gz", FILES, "w:gz")
    usage = namedtuple("usage", "total used free")(10**6, 10**6 - 9000, 9000)
    monkeypatch.setattr("stages.core.files.shutil.disk_usage", lambda _: usage)
    pack_error(source, output, " MB free")


def test_a_full_disk_is_not_reported_as_damage(tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch):
    source = make_zip(tmp_path / "a.zip", FILES)
    monkeypatch.setattr(zipfile._ZipWriteFile, "write", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        pack(source, output)
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize("name", ["angry/Zoë.wav", "angry/Zoe\u0308.wav", "悲しい/1.wav", "ß/é à.wav"])
def test_names_in_utf8_without_the_flag_of_it(tmp_path: Path, output: Path, name: str):
    """As the archives that a Mac makes."""
    path = tmp_path / "mac.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x" * len(name.encode()), b"clip")
    content = path.read_bytes().replace(b"x" * len(name.encode()), name.encode())
    path.write_bytes(content)
    pack(path, output)
    assert contents(output) == {name: b"clip"}


def test_names_in_code_page_437_stay(tmp_path: Path, output: Path):
    path = tmp_path / "dos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xx.wav", b"clip")
    path.write_bytes(path.read_bytes().replace(b"xx.wav", "éü.wav".encode("cp437")))
    pack(path, output)
    assert contents(output) == {"éü.wav": b"clip"}
