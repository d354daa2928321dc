"""Bytes that NumPy wrote into an npz: a zip of .npy files, here inside a corpus's archive. Nothing is unpickled."""

import io
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from stages.core.errors import refuse
from stages.corpora.archive.damage import place, readable, refuse_damaged, refuse_method

MAX_BYTES = 64 << 20  # of one array
ALLOWED = "one value of bytes, as np.savez writes pickle.dumps(…)"


def stored_bytes(npz: bytes, key: str, archive: Path, member: str) -> bytes:
    """What the array `key` of the npz holds: bytes, kept as one value (S or V) or as numbers of 8 bits.

    `archive` and `member` say where the npz lies. Raises `UserError` if it is damaged, lacks `key` or holds another
    kind of array there.
    """
    content = _unpacked(npz, key, archive, member)
    stream = io.BytesIO(content)
    try:
        shape, kind = _header(stream)
    except Exception as error:  # of a hostile header: whatever Python's parser and NumPy's dtype raise
        refuse_damaged(archive, f"{member}/{key}.npy", error)
    payload = stream.read()
    is_text = kind.kind in "SV" and shape in ((), (1,))
    is_bytes = kind in (np.uint8, np.int8) and len(shape) == 1
    if not (is_text or is_bytes):
        where, received = place(archive, f"{member}/{key}.npy"), f"an array {shape} of type {kind}"
        refuse("not bytes", where=where, allowed=ALLOWED, received=received)
    if len(payload) != (kind.itemsize if is_text else shape[0]):
        refuse_damaged(archive, f"{member}/{key}.npy", EOFError(f"{len(payload)} bytes"))
    return payload


def _unpacked(npz: bytes, key: str, archive: Path, member: str) -> bytes:
    with readable(archive, member), zipfile.ZipFile(io.BytesIO(npz)) as opened:
        names = opened.namelist()
        if f"{key}.npy" not in names:
            allowed, received = "data.npy and label.npy", ", ".join(names[:4])
            refuse(f"holds no {key!r}", where=place(archive, member), allowed=allowed, received=received)
        info = opened.getinfo(f"{key}.npy")
        refuse_method(archive, info)
        if info.file_size > MAX_BYTES:
            where, received = place(archive, f"{member}/{key}.npy"), f"{info.file_size} bytes"
            refuse("too big", where=where, allowed=f"at most {MAX_BYTES} bytes", received=received)
        with opened.open(info) as stream:
            return stream.read(info.file_size + 1)  # never more than claimed; fewer, and its checksum is wrong


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type as the header of the .npy tells them."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the npy format")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    return shape, kind
