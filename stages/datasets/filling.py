"""Decoded chunks → the prepared dataset."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from stages.core.errors import UserError
from stages.core.files import require_free_space
from stages.datasets.decoding import Chunk
from stages.datasets.store import Writer


def room_for(chunks: Iterable[Chunk], total: int, folder: Path) -> Iterator[Chunk]:
    """Pass the chunks on, once the first has told that the disk can take `total` samples of its size."""
    for number, chunk in enumerate(chunks):
        if number == 0 and chunk.x is not None:
            require_free_space(folder, total * chunk.x[0].nbytes)
        yield chunk


def append_all(writer: Writer, chunks: Iterable[Chunk], classes: list[str]) -> tuple[int, list[str]]:
    """Write every chunk; the number of samples written, and 'id: reason' of each damaged one."""
    count, rejected = 0, []
    for chunk in chunks:
        rejected += chunk.rejected
        if chunk.records:
            writer.append(
                chunk.x,
                length=chunk.length,
                label=[classes.index(record.label) for record in chunk.records],
                group=[record.group or "" for record in chunk.records],
                sample_id=[record.sample_id for record in chunk.records],
                extra=[json.dumps(record.extra, sort_keys=True) if record.extra else "{}" for record in chunk.records],
            )
        count += len(chunk.records)
    if not count:
        raise UserError(f"no sample could be decoded; the first: {'; '.join(rejected[:3])}")
    return count, rejected
