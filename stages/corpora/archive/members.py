"""Members of a packed corpus, read in place. Any function here can be called in a worker process."""

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from stages.core.errors import refuse
from stages.corpora.archive.damage import BROKEN, place, readable, refuse_damaged, refuse_method

MAX_SAMPLE_BYTES = 64 << 20  # one image or clip
MAX_TABLE_BYTES = 4 << 30  # one .csv, read as a stream

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # PKZIP's APPNOTE 4.3.7: signature, …, lengths of name and extra field
_ENCRYPTED = 1


def names(archive: Path) -> list[str]:
    """Names of all members, sorted. A name that ends in '/' is a folder that holds nothing. Raises `UserError`."""
    return sorted(_opened(archive).namelist())


def read(archive: Path, name: str, max_bytes: int = MAX_SAMPLE_BYTES) -> bytes:
    """The bytes of one member. Raises `UserError` if it is missing, damaged, or longer than `max_bytes`."""
    opened = _opened(archive)
    info = _info(archive, opened, name, max_bytes)
    with readable(archive, name):
        if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED:
            return _stored(opened, info)
        with opened.open(info) as stream:
            return _exactly(stream, info.file_size)


def fingerprint(archive: Path, name: str) -> tuple[int, int]:
    """CRC-32 and size in bytes of a member, from the archive's directory: equal for exact copies, at no reading."""
    info = _opened(archive).getinfo(name)
    return info.CRC, info.file_size


@contextmanager
def open_member(archive: Path, name: str, max_bytes: int = MAX_TABLE_BYTES) -> Iterator[IO[bytes]]:
    """A binary stream over one member, for what is too big to hold. Raises `UserError` as `read` does.

    Damage found later, while the caller reads inside the `with`, becomes a `UserError` too.
    """
    opened = _opened(archive)
    info = _info(archive, opened, name, max_bytes)
    with readable(archive, name):
        stream = opened.open(info)
    with stream:
        try:
            yield stream
        except BROKEN as error:  # and no more: the caller's own ValueError stays one
            refuse_damaged(archive, name, error)


def _stored(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """As `ZipFile.open` reads and checks it, without a stream: half of the time a face takes would be spent on that."""
    header = os.pread(opened.fp.fileno(), _LOCAL_HEADER.size, info.header_offset)
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    start = info.header_offset + _LOCAL_HEADER.size + name_length + extra_length
    content = os.pread(opened.fp.fileno(), info.file_size, start)
    if signature != b"PK\3\4" or len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile("its header, size or CRC-32 is not what the archive's directory says")
    return content


def _exactly(stream: IO[bytes], size_bytes: int) -> bytes:
    """Never more than was claimed: `read()` alone would unpack a whole deflate bomb before it looks."""
    content = stream.read(size_bytes + 1)
    if len(content) != size_bytes:
        raise zipfile.BadZipFile(f"{size_bytes} bytes claimed, {len(content)} found")
    return content


def _info(archive: Path, opened: zipfile.ZipFile, name: str, max_bytes: int) -> zipfile.ZipInfo:
    try:
        info = opened.getinfo(name)
    except KeyError:
        refuse("no such member", where=str(archive), allowed=f"one of its {len(opened.filelist)} names", received=name)
    refuse_method(archive, info)
    if info.file_size > max_bytes:
        received = f"{info.file_size} bytes"
        refuse("too big", where=place(archive, name), allowed=f"at most {max_bytes} bytes", received=received)
    return info


def _opened(archive: Path) -> zipfile.ZipFile:
    with readable(archive):
        status = archive.stat()
        return _open_once(archive, status.st_mtime_ns, status.st_size, os.getpid())


@lru_cache(maxsize=8)
def _open_once(archive: Path, _modified_ns: int, _size_bytes: int, _process: int) -> zipfile.ZipFile:
    """Keyed by process too: a forked worker that used its parent's file would move the parent's read position."""
    return zipfile.ZipFile(archive)
