"""Bytes that NumPy saved in an npz (a zip of .npy files) inside an archive. Nothing is unpickled here."""

import io
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from stages.core.errors import refuse
from stages.corpora.archive.damage import location, reading, refuse_damaged, refuse_method

MAX_BYTES = 64 << 20  # largest array
ALLOWED = "one value of bytes, as np.savez writes pickle.dumps(…)"


def stored_bytes(npz: bytes, key: str, archive: Path, member: str) -> bytes:
    """Return the bytes in the array `key` of the npz, which is one value (type S or V) or a row of 8-bit integers.

    `archive` and `member` locate the npz in messages. Raises `UserError` for damage and for other arrays.
    """
    name = f"{member}/{key}.npy"
    stream = io.BytesIO(_unpacked(npz, key, archive, member))
    try:
        shape, dtype = npy_header(stream)
    except ValueError as error:
        refuse_damaged(archive, name, error)
    content = stream.read()
    is_value = dtype.kind in "SV" and shape in ((), (1,))
    is_row = dtype in (np.uint8, np.int8) and len(shape) == 1
    if not (is_value or is_row):
        received = f"an array {shape} of type {dtype}"
        refuse("not bytes", where=location(archive, name), allowed=ALLOWED, received=received)
    if len(content) != (dtype.itemsize if is_value else shape[0]):
        refuse_damaged(archive, name, EOFError(f"{len(content)} bytes"))
    return content


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Read the header of a .npy and return the array's shape and type. Raises `ValueError` for a damaged header."""
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version} of the npy format")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    except Exception as error:  # Python's parser and np.dtype raise errors of many classes for a hostile header
        raise ValueError(f"damaged header ({type(error).__name__}: {error})") from None
    return shape, dtype


def _unpacked(npz: bytes, key: str, archive: Path, member: str) -> bytes:
    with reading(archive, member), zipfile.ZipFile(io.BytesIO(npz)) as opened:
        names = opened.namelist()
        if f"{key}.npy" not in names:
            allowed, received = "data.npy and label.npy", ", ".join(names[:4])
            refuse(f"holds no {key!r}", where=location(archive, member), allowed=allowed, received=received)
        info = opened.getinfo(f"{key}.npy")
        refuse_method(archive, info)
        if info.file_size > MAX_BYTES:
            where, received = location(archive, f"{member}/{key}.npy"), f"{info.file_size} bytes"
            refuse("too big", where=where, allowed=f"at most {MAX_BYTES} bytes", received=received)
        with opened.open(info) as stream:
            return stream.read(info.file_size + 1)  # bounds the memory; zipfile refuses a content that is longer
