"""Packing: one result whatever the source's form; a broken source is one line and leaves nothing."""

import gzip
import os
import random
import tarfile
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from archive_forms import FILES, NOISE, contents, make_folder, make_tar, make_zip, refused

from stages.core.errors import UserError
from stages.corpora.archive.pack import pack


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out" / "corpus.zip"


def test_every_form_of_the_same_files_gives_the_same_bytes(tmp_path: Path, output: Path):
    shuffled = dict(random.Random(3).sample(sorted(FILES.items()), len(FILES)))
    forms = [
        make_zip(tmp_path / "deflated.zip", FILES),
        make_zip(tmp_path / "stored.zip", shuffled, zipfile.ZIP_STORED, create_system=0, external_attr=0o100600 << 16),
        make_tar(tmp_path / "plain.tar", FILES),
        make_tar(tmp_path / "from_dot.tar.gz", shuffled, "w:gz", prefix="./", mtime=99, mode=0o600),
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


def test_headers_hold_nothing_of_the_machine(tmp_path: Path, output: Path):
    pack(make_folder(tmp_path / "folder", FILES), output)
    with zipfile.ZipFile(output) as archive:
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            assert (info.create_system, info.compress_type) == (3, zipfile.ZIP_STORED)
            assert info.external_attr >> 16 == 0o100644


def test_packing_its_own_result_changes_nothing(tmp_path: Path, output: Path):
    pack(make_zip(tmp_path / "a.zip", FILES | {"train/disgust/": b""}), output)
    first = output.read_bytes()
    pack(output, output)
    assert output.read_bytes() == first


def test_what_desktop_systems_add_is_left_out(tmp_path: Path, output: Path):
    junk = ["__MACOSX/train/._a.jpg", "train/.DS_Store", "Thumbs.db", "train/desktop.ini", "train/._b.jpg"]
    pack(make_zip(tmp_path / "a.zip", {"train/a.jpg": b"1"} | dict.fromkeys(junk, b"junk")), output)
    assert list(contents(output)) == ["train/a.jpg"]


def test_only_empty_folders_are_kept_and_alike_from_every_form(tmp_path: Path, output: Path):
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


def test_a_csv_is_packed_as_its_only_member(tmp_path: Path, output: Path):
    table = tmp_path / "icml_face_data.CSV"
    table.write_bytes(b"emotion,pixels\n")
    pack(table, output)
    assert contents(output) == {"icml_face_data.CSV": b"emotion,pixels\n"}


def test_links_to_files_inside_a_folder_are_followed(tmp_path: Path, output: Path):
    folder = make_folder(tmp_path / "folder", {"a/one.wav": b"1"})
    (folder / "two.wav").symlink_to(folder / "a" / "one.wav")
    pack(folder, output)
    assert contents(output) == {"a/one.wav": b"1", "two.wav": b"1"}


@pytest.mark.parametrize("form", ["zip", "tar.xz"])
def test_memory_stays_flat(form: str, tmp_path: Path, output: Path):
    big = {"big.csv": bytes(64 << 20)}
    source = make_zip(tmp_path / "a.zip", big) if form == "zip" else make_tar(tmp_path / "a.tar.xz", big, "w:xz")
    del big
    tracemalloc.start()
    pack(source, output)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    assert output.stat().st_size > 64 << 20


def test_refuses_what_is_missing_or_no_archive(tmp_path: Path, output: Path):
    refused(tmp_path / "no.zip", output, "no such file", "allowed")
    for name, content in {"a.txt": b"words", "a.zip": b"words", "empty.zip": b"", "table.tsv": b"1\t2"}.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, output, "not an archive", "a tar", ".csv")
    (tmp_path / "words.csv.gz").write_bytes(gzip.compress(b"emotion,pixels\n"))
    refused(tmp_path / "words.csv.gz", output, "damaged")
    (tmp_path / "words.tar").write_bytes(b"words" * 500)
    refused(tmp_path / "words.tar", output, "damaged")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", output, "neither a file nor a folder")


def test_refuses_an_archive_without_files(tmp_path: Path, output: Path):
    refused(make_zip(tmp_path / "a.zip", {}), output, "holds no files")
    refused(make_zip(tmp_path / "b.zip", {"train/": b"", ".DS_Store": b"x"}), output, "holds no files")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", output, "holds no files")


@pytest.mark.parametrize("mode", ["zip", "w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("kept", [0.3, 0.5, 0.9])
def test_refuses_a_truncated_archive(mode: str, kept: float, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a", NOISE) if mode == "zip" else make_tar(tmp_path / "a", NOISE, mode)
    whole = 9 * (512 + 3072) if mode == "w" else source.stat().st_size
    os.truncate(source, int(whole * kept))
    refused(source, output, "damaged or cut short")


@pytest.mark.parametrize("edge", ["between", "broken header"])
def test_refuses_a_tar_that_tarfile_takes_for_complete(edge: str, tmp_path: Path, output: Path):
    source = make_tar(tmp_path / "a.tar", NOISE)
    content = bytearray(source.read_bytes())
    start = 4 * (512 + 3072)
    content[start:] = b"" if edge == "between" else b"?" * 512 + content[start + 512 :]
    source.write_bytes(content)
    assert len(tarfile.open(source).getnames()) == 4  # noqa: SIM115
    refused(source, output, "damaged or cut short", "end-of-archive")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_refuses_flipped_bytes_naming_the_member(method: int, tmp_path: Path, output: Path):
    source = make_zip(tmp_path / "a.zip", {"a.bin": b"a", "train/b.bin": NOISE["1.bin"]}, method)
    content = bytearray(source.read_bytes())
    content[1500:1510] = bytes(byte ^ 255 for byte in content[1500:1510])
    source.write_bytes(content)
    refused(source, output, "'train/b.bin'", "damaged or cut short")


def test_refuses_flipped_bytes_in_compressed_tars(tmp_path: Path, output: Path):
    for mode in ("w:gz", "w:bz2", "w:xz"):
        source = make_tar(tmp_path / f"a.{mode[2:]}", NOISE, mode)
        content = bytearray(source.read_bytes())
        content[9000:9010] = bytes(byte ^ 255 for byte in content[9000:9010])
        source.write_bytes(content)
        refused(source, output, "damaged or cut short")


def test_survives_random_damage(tmp_path: Path, output: Path):
    """Either the archive packs or it is refused in one line; no other exception, nothing half-written."""
    wholes = [make_zip(tmp_path / "a.zip", NOISE).read_bytes(), make_tar(tmp_path / "a.tar", NOISE).read_bytes()]
    source, draw = tmp_path / "broken", random.Random(7)
    for turn in range(300):
        content = bytearray(wholes[turn % 2])
        headers = range(len(content) - 700, len(content)) if turn % 2 == 0 else range(512)
        for _ in range(3):
            content[draw.choice(headers)] = draw.randrange(256)
        source.write_bytes(content)
        output.unlink(missing_ok=True)
        with suppress(UserError):
            pack(source, output)
            continue
        refused(source, output)
