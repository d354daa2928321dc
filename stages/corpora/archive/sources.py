"""The members of a corpus: a zip, a tar, a folder, a folder of archives or one .csv. Nothing is extracted."""

import bz2
import gzip
import lzma
import os
import re
import resource
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, NoReturn

from stages.core.errors import refuse
from stages.core.files import require_free_space
from stages.corpora.archive.damage import location, reading, refuse_method

ALLOWED = "a zip, a tar (plain, gz, bz2 or xz), a folder, a folder of archives, or one .csv file"
ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
TEXTS = ("", ".txt", ".md", ".rst", ".pdf", ".html", ".md5", ".sha256", ".ini", ".db")  # beside several archives
BLOCK_BYTES = 1 << 20
MAX_RATIO = 1000  # deflate cannot exceed 1032:1, and only constant bytes come close
RATIO_MATTERS_BYTES = 100_000_000
MAX_TAR_HEADER_BYTES = 1 << 20
OTHER_OPEN_FILES = 200  # beside several archives, of this process

_ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits of an encrypted member, strong encryption, masked headers
_UTF8 = 0x800  # flag bit of names in UTF-8, else code page 437
_DECOMPRESSORS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


@dataclass(frozen=True)
class Member:
    """A file or folder of the source, by its own name.

    `size_bytes` is the stated size; only reading shows whether it is true.
    """

    name: str
    size_bytes: int
    is_folder: bool
    open: Callable[[], IO[bytes]]
    within: str = ""  # folder of the members of an archive that is one of several


@contextmanager
def members_of(source: Path, scratch: Path) -> Iterator[Iterable[Member]]:
    """Yield the members of `source` with their original names and order, readable until the context ends.

    A folder of nothing but archives and texts is a corpus in several parts: each archive is a folder of its name.
    A compressed tar is unpacked to one nameless file in `scratch`; otherwise, reading it in sorted order would
    decompress it again for every step backwards. Raises `UserError` for anything that is not `ALLOWED`.
    """
    with reading(source):
        kind = _kind(source)
    if kind == "folder" and (archives := _archives_in(source)):
        _allow_open_files(source, len(archives))
        with ExitStack() as opened:
            parts = {folder: opened.enter_context(members_of(path, scratch)) for folder, path in archives.items()}
            yield [member for folder, path in archives.items() for member in _part(path, folder, parts[folder])]
    elif kind == "folder":
        yield _folder_members(source)
    elif kind == "csv":
        yield [_file_member(source, source.name)]
    elif kind == "zip":
        with reading(source):
            archive = zipfile.ZipFile(source)
        with archive:
            yield [_zip_member(source, archive, info) for info in archive.infolist()]
    elif kind == "tar":
        with source.open("rb") as stream:
            yield _tar_members(source, stream)
    else:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=scratch) as spool:
            _unpack_tar(kind, source, scratch, spool)
            yield _tar_members(source, spool)


def _archives_in(folder: Path) -> dict[str, Path]:
    """Return {name without suffix: archive} if the folder holds nothing but archives, texts and hidden files."""
    visible = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__MACOSX"))]
    archives = [path for path in visible if path.is_file() and path.name.lower().endswith(ARCHIVES)]
    if any(path.is_dir() or path.suffix.lower() not in TEXTS for path in visible if path not in archives):
        return {}
    named: dict[str, Path] = {}
    for path in archives:
        name = re.sub(r"\.tar$", "", path.stem, flags=re.IGNORECASE)
        if (other := named.setdefault(name, path)) != path:
            received = f"{other.name} and {path.name}"
            refuse("two archives of one name", where=str(folder), allowed="names that differ", received=received)
    return named


def _allow_open_files(source: Path, count: int) -> None:
    """Raise the limit of open files of this process, which is 1,024 on many systems. Raises `UserError` beyond it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = count + OTHER_OPEN_FILES
    if hard != resource.RLIM_INFINITY and needed > hard:
        allowed = f"{hard - OTHER_OPEN_FILES:,}, by this system's limit of open files (ulimit -Hn)"
        refuse("too many archives", where=str(source), allowed=allowed, received=f"{count:,}")
    if soft != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))


def _part(path: Path, folder: str, members: Iterable[Member]) -> list[Member]:
    """Return the members of one of several archives."""
    members = [replace(member, within=folder) for member in members]
    if all(member.is_folder for member in members):
        refuse("holds no files", where=str(path), allowed="at least one file", received=f"{len(members)} folders")
    refuse_bomb(str(path), path.stat().st_size, sum(member.size_bytes for member in members))
    return members


def refuse_bomb(where: str, packed_bytes: int, stated_bytes: int) -> None:
    """Raise `UserError` for content that would unpack to far more than its packed size."""
    if stated_bytes > RATIO_MATTERS_BYTES and stated_bytes > MAX_RATIO * packed_bytes:
        allowed = f"at most {MAX_RATIO}:1 above {RATIO_MATTERS_BYTES / 1e6:.0f} MB"
        received = f"{packed_bytes} bytes that unpack to at least {stated_bytes}"
        refuse("unpacks to far more than its size (a zip bomb)", where=where, allowed=allowed, received=received)


def blocks(source: Path, name: str | None, opener: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    """Yield the content of a stream in blocks of constant size. Raises `UserError` for damage."""
    with reading(source, name), opener() as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block


def _kind(source: Path) -> str | Callable:
    """Return the kind of source, for a compressed tar its decompressor, by content: a zip called `.tar` is a zip."""
    if source.is_dir():
        return "folder"
    if not source.is_file():
        what = "neither a file nor a folder" if source.exists() else "no such file or folder"
        refuse(what, where=str(source), allowed=ALLOWED, received=source.name)
    with source.open("rb") as stream:
        head = stream.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    for magic, decompressor in _DECOMPRESSORS.items():
        if head.startswith(magic):
            return decompressor
    if head[257:262] == b"ustar" or source.suffix.lower() == ".tar":
        return "tar"
    if source.suffix.lower() == ".csv":
        return "csv"
    return refuse("not an archive", where=str(source), allowed=ALLOWED, received=head[:16])


def _unpack_tar(decompressor: Callable, source: Path, scratch: Path, spool: IO[bytes]) -> None:
    packed_bytes, written = source.stat().st_size, 0
    for block in blocks(source, None, partial(decompressor, source, "rb")):
        written += len(block)
        refuse_bomb(str(source), packed_bytes, written)
        require_free_space(scratch, written)  # the zip will need as much space again
        spool.write(block)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return the name of a member in UTF-8 where it is: a Mac does not set the flag that says so."""
    name = info.orig_filename  # `filename` ends at the first NUL
    if not info.flag_bits & _UTF8:
        with suppress(UnicodeError):
            return name.encode("cp437").decode("utf-8")
    return name


def _zip_member(source: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = _zip_name(info)
    if info.flag_bits & _ENCRYPTED:
        refuse("encrypted", where=location(source, name), allowed="members without a password", received="a password")
    refuse_method(source, info)
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_folder = name.endswith("/") or kind == stat.S_IFDIR
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse_kind(source, name, "link or device")
    if is_folder and info.file_size:
        _refuse_kind(source, name, "folder with content")
    refuse_bomb(location(source, name), info.compress_size, info.file_size)
    return Member(name, info.file_size, is_folder, partial(archive.open, info))


def _tar_members(source: Path, stream: IO[bytes]) -> list[Member]:
    stream.seek(0)
    with reading(source):
        archive = tarfile.TarFile(fileobj=_BoundedReads(stream), encoding="utf-8")
        members = [_tar_member(source, archive, info) for info in archive]
        # tarfile takes a damaged header or the end of the file for the end of the archive, which is a block of zeros.
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no end-of-archive mark at byte {archive.offset}")
    return members


def _tar_member(source: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if info.size < 0:  # would make tarfile read backwards in an endless loop
        raise tarfile.ReadError(f"negative size {info.size}")
    if not (info.isreg() or info.isdir()):
        _refuse_kind(source, info.name, "link or device")
    return Member(info.name, info.size, info.isdir(), partial(archive.extractfile, info))


class _BoundedReads:
    """The stream of a tar with a limit on one read: tarfile reads long names and pax headers in one piece."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.tell, self.seek, self._read = stream.tell, stream.seek, stream.read

    def read(self, size_bytes: int) -> bytes:
        if not 0 <= size_bytes <= MAX_TAR_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size_bytes} bytes")
        return self._read(size_bytes)


def _folder_members(source: Path) -> Iterator[Member]:
    root = source.resolve()
    with reading(source):
        for parent, subfolders, files in os.walk(root, onerror=_raise):
            for path in (Path(parent) / name for name in (*subfolders, *files)):
                name = path.relative_to(root).as_posix()
                _refuse_special_file(source, root, path, name)
                yield _file_member(path, name)


def _refuse_special_file(source: Path, root: Path, path: Path, name: str) -> None:
    if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(root)):
        _refuse_kind(source, name, "link to a folder, to nothing, or out of the folder")
    if not (path.is_file() or path.is_dir()):
        _refuse_kind(source, name, "device, pipe or socket")


def _file_member(path: Path, name: str) -> Member:
    is_folder = path.is_dir()
    return Member(name, 0 if is_folder else path.stat().st_size, is_folder, partial(path.open, "rb"))


def _refuse_kind(source: Path, name: str, received: str) -> NoReturn:
    refuse("not a plain file", where=location(source, name), allowed="files and folders", received=received)


def _raise(error: OSError) -> NoReturn:
    raise error  # without it, unreadable folders are silently left out
