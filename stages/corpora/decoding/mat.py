"""How big the content of a MATLAB file is, before SciPy unpacks it whole: 1 MB of it can become 1 GB in memory."""

import struct
import zlib
from typing import IO

from stages.core.records import DamagedSample

_HEADER_BYTES = 128
_COMPRESSED = 15  # miCOMPRESSED, "MAT-File Format", MathWorks, table 1-1
_BLOCK_BYTES = 1 << 20


def refuse_bomb(stream: IO[bytes], max_bytes: int) -> None:
    """Raise `DamagedSample` for what is no MATLAB file up to version 7, or unpacks to more than `max_bytes`."""
    header = stream.read(_HEADER_BYTES)
    if header[:10] == b"MATLAB 7.3":
        raise DamagedSample("a MATLAB file of version 7.3; allowed: up to 7, which EEGLAB saves by default")
    if header[:10] != b"MATLAB 5.0" or header[126:128] not in (b"IM", b"MI"):
        raise DamagedSample(f"not a MATLAB file (starting {header[:8].hex()})")
    order, unpacked = "<" if header[126:128] == b"IM" else ">", 0
    while len(tag := stream.read(8)) == 8:
        kind, size_bytes = struct.unpack(f"{order}II", tag)
        unpacked += _unpacked(stream, size_bytes, max_bytes) if kind == _COMPRESSED else _passed(stream, size_bytes)
        if unpacked > max_bytes:
            raise DamagedSample(f"a MATLAB file of more than {max_bytes} bytes unpacked")


def _passed(stream: IO[bytes], size_bytes: int) -> int:
    stream.seek(size_bytes + -size_bytes % 8, 1)  # padded to 8 bytes, which compressed ones are not
    return size_bytes


def _unpacked(stream: IO[bytes], size_bytes: int, max_bytes: int) -> int:
    """How many bytes the next `size_bytes` unpack to, in blocks, up to the first beyond `max_bytes`."""
    unpacker, total = zlib.decompressobj(), 0
    while size_bytes > 0 and (block := stream.read(min(size_bytes, _BLOCK_BYTES))):
        size_bytes -= len(block)
        while block and total <= max_bytes:
            total += len(unpacker.decompress(block, _BLOCK_BYTES))
            block = unpacker.unconsumed_tail
    return total
