"""Reading members of a packed corpus, or of the folder that an index lists, in place.

All functions may be called in worker processes.
"""

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
from stages.corpora.archive.damage import DAMAGE_ERRORS, location, reading, refuse_damaged, refuse_method
from stages.corpora.archive.index import Index, is_index

MAX_SAMPLE_BYTES = 64 << 20  # largest image or clip
MAX_TABLE_BYTES = 4 << 30  # largest .csv, which is read as a stream

# PKZIP's APPNOTE 4.3.7: signature, 22 bytes that are not needed, lengths of the name and of the extra field.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1


def names(archive: Path) -> list[str]:
    """Return the names of all members, sorted. A name that ends in '/' is an empty folder. Raises `UserError`."""
    return sorted(_opened(archive).namelist())


def read(archive: Path, name: str, max_bytes: int = MAX_SAMPLE_BYTES) -> bytes:
    """Return the bytes of one member. Raises `UserError` if it is missing, damaged, or longer than `max_bytes`."""
    opened = _opened(archive)
    info = _info(archive, opened, name, max_bytes)
    with reading(archive, name):
        if isinstance(opened, Index):
            return _read_file(opened, info)
        if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED:
            return _read_stored(opened, info)
        with opened.open(info) as stream:
            # `read()` without a limit would unpack a whole deflate bomb before its size could be checked.
            content = stream.read(info.file_size + 1)
        if len(content) != info.file_size:
            raise zipfile.BadZipFile(f"the directory states {info.file_size} bytes, but {len(content)} were found")
        return content


def start(archive: Path, name: str, size_bytes: int = 16) -> bytes:
    """Return the first bytes of one member, which may be of any size. Raises `UserError` as `read` does."""
    opened = _opened(archive)
    info = _info(archive, opened, name, MAX_TABLE_BYTES)
    is_stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED
    if is_stored and not isinstance(opened, Index):
        with reading(archive, name):
            return os.pread(opened.fp.fileno(), min(size_bytes, info.file_size), _content_offset(opened, info))
    with open_member(archive, name) as stream:
        return stream.read(size_bytes)


def fingerprint(archive: Path, name: str) -> tuple[int, int]:
    """Return a member's CRC-32 and size in bytes, equal for exact copies, from the directory without reading it."""
    info = _opened(archive).getinfo(name)
    return info.CRC, info.file_size


@contextmanager
def open_member(archive: Path, name: str, max_bytes: int = MAX_TABLE_BYTES) -> Iterator[IO[bytes]]:
    """Yield a binary stream over a member that is too big for memory. Raises `UserError` as `read` does.

    Damage that is found while the caller reads inside the `with` becomes a `UserError`, too.
    """
    opened = _opened(archive)
    info = _info(archive, opened, name, max_bytes)
    with reading(archive, name):
        stream = opened.open(info)
    with stream:
        try:
            yield stream
        except DAMAGE_ERRORS as error:  # only these: a ValueError may come from the caller's own code
            refuse_damaged(archive, name, error)


def _read_file(opened: Index, info: zipfile.ZipInfo) -> bytes:
    with opened.open(info) as stream:
        content = stream.read(info.file_size)
    if zlib.crc32(content) != info.CRC:
        opened.refuse_changed(info, "other bytes")
    return content


def _read_stored(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Read and check a stored member as `ZipFile.open` does, in half the time for a face: no stream object is made."""
    content = os.pread(opened.fp.fileno(), info.file_size, _content_offset(opened, info))
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise zipfile.BadZipFile("size or CRC-32 differ from the archive's directory")
    return content


def _content_offset(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    header = os.pread(opened.fp.fileno(), _LOCAL_HEADER.size, info.header_offset)
    signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    if signature != b"PK\3\4":
        raise zipfile.BadZipFile("a header differs from the archive's directory")
    return info.header_offset + _LOCAL_HEADER.size + name_length + extra_length


def _info(archive: Path, opened: zipfile.ZipFile | Index, name: str, max_bytes: int) -> zipfile.ZipInfo:
    try:
        info = opened.getinfo(name)
    except KeyError:
        refuse("no such member", where=str(archive), allowed=f"one of its {len(opened.filelist)} names", received=name)
    refuse_method(archive, info)
    if info.file_size > max_bytes:
        received = f"{info.file_size} bytes"
        refuse("too big", where=location(archive, name), allowed=f"at most {max_bytes} bytes", received=received)
    return info


def _opened(archive: Path) -> zipfile.ZipFile | Index:
    with reading(archive):
        status = archive.stat()
        return _open_once(archive, status.st_mtime_ns, status.st_size, os.getpid())


@lru_cache(maxsize=8)
def _open_once(archive: Path, _modified_ns: int, _size_bytes: int, _process: int) -> zipfile.ZipFile | Index:
    """Open an archive once per process: forked workers that share a file would move each other's read position."""
    return Index(archive) if is_index(archive) else zipfile.ZipFile(archive)
