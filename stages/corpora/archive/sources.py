"""What a user may supply as a corpus (zip, tar, folder, one .csv), seen as a list of members; nothing is extracted."""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, NoReturn

from stages.core.errors import refuse
from stages.core.files import require_free_space
from stages.corpora.archive.damage import place, readable, refuse_method

ALLOWED = "a zip, a tar (plain, gz, bz2 or xz), a folder, or one .csv file"
BLOCK_BYTES = 1 << 20
MAX_RATIO = 1000  # deflate cannot exceed 1032:1, and only constant bytes come near it
RATIO_MATTERS_BYTES = 100_000_000
MAX_TAR_HEADER_BYTES = 1 << 20

_ENCRYPTED = 0x1 | 0x40 | 0x2000  # flag bits: member, strong encryption, masked headers
_DECOMPRESSORS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


@dataclass(frozen=True)
class Member:
    """One file or folder of the source. `size_bytes` is what the source claims; only reading shows whether it is so."""

    name: str
    size_bytes: int
    is_folder: bool
    open: Callable[[], IO[bytes]]


@contextmanager
def members_of(source: Path, scratch: Path) -> Iterator[Iterable[Member]]:
    """Yield the members of `source`, readable until the context ends, in the order and under the names it has.

    Compressed tars are unpacked to one nameless file in `scratch`: sorted reading would else decompress them again
    for every step backwards. Raises `UserError` for anything that is not `ALLOWED`.
    """
    with readable(source):
        opened = _kind(source)
    with opened(source, scratch) as members:
        yield members


def refuse_bomb(where: str, packed_bytes: int, claimed_bytes: int) -> None:
    """Refuse what would unpack to absurdly more than it is. Raises `UserError`."""
    if claimed_bytes > RATIO_MATTERS_BYTES and claimed_bytes > MAX_RATIO * packed_bytes:
        refuse(
            "expands absurdly (a zip bomb)",
            where=where,
            allowed=f"at most {MAX_RATIO}:1 above {RATIO_MATTERS_BYTES / 1e6:.0f} MB",
            received=f"{packed_bytes} bytes that claim to hold at least {claimed_bytes}",
        )


def _kind(source: Path) -> Callable[[Path, Path], AbstractContextManager[Iterable[Member]]]:
    """Chosen by what the file is, not by its name: a zip called `.tar` is a zip."""
    if source.is_dir():
        return lambda source, _: nullcontext(_folder_members(source))
    if not source.is_file():
        what = "neither a file nor a folder" if source.exists() else "no such file or folder"
        refuse(what, where=str(source), allowed=ALLOWED, received=source.name)
    with source.open("rb") as stream:
        head = stream.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip
    for magic, opener in _DECOMPRESSORS.items():
        if head.startswith(magic):
            return partial(_packed_tar, opener)
    if head[257:262] == b"ustar" or source.suffix.lower() == ".tar":
        return _plain_tar
    if source.suffix.lower() == ".csv":
        return lambda source, _: nullcontext([_file_member(source, source.name)])
    return refuse("not an archive", where=str(source), allowed=ALLOWED, received=head[:16])


@contextmanager
def _zip(source: Path, _: Path) -> Iterator[list[Member]]:
    with readable(source):
        archive = zipfile.ZipFile(source)
    with archive:
        yield [_zip_member(source, archive, info) for info in archive.infolist()]


def _zip_member(source: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    name = info.orig_filename  # `filename` is silently cut at a NUL
    if info.flag_bits & _ENCRYPTED:
        refuse("encrypted", where=place(source, name), allowed="members without a password", received="a password")
    refuse_method(source, info)
    kind = stat.S_IFMT(info.external_attr >> 16)
    is_folder = name.endswith("/") or kind == stat.S_IFDIR
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse_kind(source, name, "link or device")
    if is_folder and info.file_size:
        _refuse_kind(source, name, "folder with content")
    refuse_bomb(place(source, name), info.compress_size, info.file_size)
    return Member(name, info.file_size, is_folder, partial(archive.open, info))


@contextmanager
def _plain_tar(source: Path, _: Path) -> Iterator[list[Member]]:
    with source.open("rb") as stream:
        yield _tar_members(source, stream)


@contextmanager
def _packed_tar(opener: Callable, source: Path, scratch: Path) -> Iterator[list[Member]]:
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=scratch) as spool:
        _unpack(opener, source, scratch, spool)
        yield _tar_members(source, spool)


def _unpack(opener: Callable, source: Path, scratch: Path, spool: IO[bytes]) -> None:
    packed_bytes, written = source.stat().st_size, 0
    for block in blocks(source, None, partial(opener, source, "rb")):
        written += len(block)
        refuse_bomb(str(source), packed_bytes, written)
        require_free_space(scratch, written)  # what is written here is written once more, into the zip
        spool.write(block)
    spool.seek(0)


def _tar_members(source: Path, stream: IO[bytes]) -> list[Member]:
    with readable(source):
        archive = tarfile.TarFile(fileobj=_ShortReads(stream), encoding="utf-8")
        members = [_tar_member(source, archive, info) for info in archive]
        # tarfile takes a broken header, or no more bytes, for the end; the real end is a block of zeros.
        stream.seek(archive.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no end-of-archive mark at byte {archive.offset}")
    return members


def _tar_member(source: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if info.size < 0:  # would send tarfile backwards, for ever
        raise tarfile.ReadError(f"negative size {info.size}")
    if not (info.isreg() or info.isdir()):
        _refuse_kind(source, info.name, "link or device")
    return Member(info.name, info.size, info.isdir(), partial(archive.extractfile, info))


class _ShortReads:
    """A tar's stream, which refuses to load a header of gigabytes (long names and pax records are read at once)."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.tell, self.seek, self._read = stream.tell, stream.seek, stream.read

    def read(self, size_bytes: int) -> bytes:
        if not 0 <= size_bytes <= MAX_TAR_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size_bytes} bytes")
        return self._read(size_bytes)


def _folder_members(source: Path) -> Iterator[Member]:
    root = source.resolve()
    with readable(source):
        for folder, subfolders, files in os.walk(root, onerror=_raise):
            at = Path(folder)
            prefix = "" if at == root else f"{at.relative_to(root).as_posix()}/"
            for name in subfolders:
                _refuse_odd_file(source, root, at / name, prefix + name)
                yield Member(prefix + name, 0, True, partial((at / name).open, "rb"))
            for name in files:
                _refuse_odd_file(source, root, at / name, prefix + name)
                yield _file_member(at / name, prefix + name)


def _refuse_odd_file(source: Path, root: Path, path: Path, name: str) -> None:
    if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(root)):
        _refuse_kind(source, name, "link to a folder, to nothing, or out of the folder")
    if not (path.is_file() or path.is_dir()):
        _refuse_kind(source, name, "device, pipe or socket")


def _file_member(path: Path, name: str) -> Member:
    return Member(name, path.stat().st_size, False, partial(path.open, "rb"))


def _refuse_kind(source: Path, name: str, received: str) -> NoReturn:
    refuse("not a plain file", where=place(source, name), allowed="files and folders", received=received)


def _raise(error: OSError) -> NoReturn:
    raise error  # os.walk would leave an unreadable folder out in silence


def blocks(source: Path, name: str | None, opener: Callable[[], IO[bytes]]) -> Iterator[bytes]:
    """Read a stream piece by piece; memory stays flat. Raises `UserError` for damage."""
    with readable(source, name), opener() as stream:
        while block := stream.read(BLOCK_BYTES):
            yield block
