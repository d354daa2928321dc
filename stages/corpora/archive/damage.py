"""One wording, and one rule on methods, for whatever reads an archive from outside."""

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

# What zipfile, tarfile and the decompressors raise on broken bytes; they do not agree on one class.
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError)
ODD = (NotImplementedError, RuntimeError, ValueError, OverflowError)  # methods, encodings, offsets nobody writes


def place(archive: Path, member: str | None = None) -> str:
    """`archive: 'member'`, the member's name quoted and cut, since it comes from outside."""
    return str(archive) if member is None else f"{archive}: {shorten(member)}"


@contextmanager
def readable(archive: Path, member: str | None = None) -> Iterator[None]:
    """Turn what reading raises into one line. Only reading belongs inside: a full disk is not a damaged archive."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise UserError(f"{place(archive, member)}: cannot be read: {error.strerror}") from None
        refuse_damaged(archive, member, error)  # gzip and bz2 say so of broken bytes
    except (*BROKEN, *ODD) as error:
        refuse_damaged(archive, member, error)


def refuse_damaged(archive: Path, member: str | None, error: Exception) -> NoReturn:
    """Raise the one line for broken bytes."""
    refuse(
        "damaged or cut short",
        where=place(archive, member),
        allowed="an archive that unpacks without errors",
        received=f"{type(error).__name__}: {error}",
    )


def refuse_method(archive: Path, info: zipfile.ZipInfo) -> None:
    """Refuse what zipfile decompresses without a bound on the output: 1 MB of bzip2 can become 1 TB in memory."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refuse(
            "a method that is not read",
            where=place(archive, info.orig_filename),
            allowed="stored or deflated members, as common tools write them",
            received=zipfile.compressor_names.get(info.compress_type, info.compress_type),
        )
