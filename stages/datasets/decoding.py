"""Records → feature arrays, chunk by chunk over worker processes; damaged samples are named, not repaired."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

from stages.core.checks import UserError
from stages.core.records import DamagedSample, Record

RECORDS_PER_CHUNK = 512

Compute = Callable[[np.ndarray, float | None], tuple[np.ndarray, int]]


@dataclass(frozen=True)
class Chunk:
    """Features of up to 512 samples: `x` (n, …), their records, and 'id: reason' of each damaged one."""

    x: np.ndarray | None
    length: list[int]
    records: list[Record]
    rejected: list[str]


def decode(records: Iterable[Record], compute: Compute, workers: int) -> Iterator[Chunk]:
    """Chunks in the order of `records`; a few are in flight at a time, so memory does not grow with the corpus."""
    chunks = _chunks(records)
    first = next(chunks, [])
    if len(first) < RECORDS_PER_CHUNK:  # starting processes would take longer than this one chunk
        yield _decode_chunk(first, compute)
        return
    calls = (delayed(_decode_chunk)(chunk, compute) for chunk in chain([first], chunks))
    try:
        yield from Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs")(calls)
    finally:
        # joblib keeps its workers for a next call; those of a stage that fails would live on, holding its output open.
        get_reusable_executor().shutdown(wait=True, kill_workers=True)


def require_few(rejected: list[str], total: int, max_fraction: float, where: str) -> None:
    """Stop when more than `max_fraction` of the samples are damaged; the first few are named."""
    if total and len(rejected) > max_fraction * total:
        raise UserError(
            f"{where}: {len(rejected)} of {total} samples are damaged, allowed: {max_fraction:.1%} "
            f"(prepare.max_rejected_fraction); the first: {'; '.join(rejected[:3])}"
        )


def _chunks(records: Iterable[Record]) -> Iterator[list[Record]]:
    records = iter(records)
    while chunk := list(islice(records, RECORDS_PER_CHUNK)):
        yield chunk


def _decode_chunk(records: list[Record], compute: Compute) -> Chunk:
    features, kept, rejected = [], [], []
    for record in records:
        try:
            features.append(compute(*record.load()))
            kept.append(record)
        except DamagedSample as damage:
            rejected.append(f"{record.sample_id}: {damage}")
    x = np.stack([feature for feature, _ in features]) if features else None
    return Chunk(x, [length for _, length in features], kept, rejected)
