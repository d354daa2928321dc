"""Members of a packed corpus, read in place. Any function here can be called in a worker process."""

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from stages.core.checks import refuse
from stages.corpora.archive.damage import BROKEN, place, readable, refuse_damaged, refuse_method

MAX_SAMPLE_BYTES = 64 << 20  # one image or clip
MAX_TABLE_BYTES = 4 << 30  # one .csv, read as a stream


def names(archive: Path) -> list[str]:
    """Names of all members, sorted. A name that ends in '/' is a folder that holds nothing. Raises `UserError`."""
    return sorted(_opened(archive).namelist())


def read(archive: Path, name: str, max_bytes: int = MAX_SAMPLE_BYTES) -> bytes:
    """The bytes of one member. Raises `UserError` if it is missing, damaged, or longer than `max_bytes`."""
    opened = _opened(archive)
    with readable(archive, name), opened.open(_info(archive, opened, name, max_bytes)) as stream:
        return _exactly(stream, opened.getinfo(name).file_size)


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
