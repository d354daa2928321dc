"""Errors of reading an untrusted archive as one line, and the compression methods that are allowed."""

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from stages.core.errors import UserError, refuse, shorten

# zipfile, tarfile and the decompressors raise these for damaged bytes; they have no common base class.
DAMAGE_ERRORS = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError)
# Raised for compression methods, text encodings and offsets that no common tool writes.
UNSUPPORTED_ERRORS = (NotImplementedError, RuntimeError, ValueError, OverflowError)


def location(archive: Path, member: str | None = None) -> str:
    """Return `archive: 'member'`, with the untrusted name of the member quoted and shortened."""
    return str(archive) if member is None else f"{archive}: {shorten(member)}"


@contextmanager
def reading(archive: Path, member: str | None = None) -> Iterator[None]:
    """Turn errors of reading into a `UserError` of one line. Writing, to a full disk for example, belongs elsewhere."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise UserError(f"{location(archive, member)}: cannot be read: {error.strerror}") from None
        refuse_damaged(archive, member, error)  # gzip and bz2 raise OSError without a number for damaged bytes
    except (*DAMAGE_ERRORS, *UNSUPPORTED_ERRORS) as error:
        refuse_damaged(archive, member, error)


def refuse_damaged(archive: Path, member: str | None, error: Exception) -> NoReturn:
    where, received = location(archive, member), f"{type(error).__name__}: {error}"
    refuse("damaged or cut short", where=where, allowed="an archive that unpacks without errors", received=received)


def refuse_method(archive: Path, info: zipfile.ZipInfo) -> None:
    """Raise `UserError` for methods whose output zipfile does not limit: 1 MB of bzip2 can become 1 TB in memory."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        where, allowed = location(archive, info.orig_filename), "stored or deflated members, as common tools write them"
        received = zipfile.compressor_names.get(info.compress_type, info.compress_type)
        refuse("unsupported compression method", where=where, allowed=allowed, received=received)
