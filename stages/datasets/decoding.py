"""Decode records into feature arrays in parallel, chunk by chunk, and append them to the prepared dataset.

Damaged samples are reported by name and left out, never repaired.
"""

import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import islice
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed
from threadpoolctl import ThreadpoolController

from stages.core.errors import UserError
from stages.core.files import require_free_space
from stages.core.malloc import keep_freed_memory
from stages.core.records import DamagedSample, Record
from stages.datasets.cluster import connected
from stages.datasets.store import Writer

# Chunks decoded in this process while worker processes start, which takes about as long. A corpus with no more chunks
# starts no workers.
CHUNKS_MEANWHILE = 16
# Idle worker processes end after this time; if the stage is aborted, they hold its output open until then.
IDLE_WORKER_S = 5
# Chunks per worker in one call of joblib, which hands out all work of a call even if the results are written slowly.
CHUNKS_PER_ROUND = 32

# The array of a sample, and its number of time steps: more than the array has if the sample was cut.
Features = tuple[np.ndarray, int]
# Computes the features, or the reason for damage, of several samples, each given by its `Record.load`.
ComputeMany = Callable[[Iterable[Callable]], Iterable[Features | DamagedSample]]


@dataclass(frozen=True)
class Workers:
    """Number of workers, their kind as suits the feature, and the number of samples each takes at a time.

    `cluster`: address of a Dask cluster, whose workers are used instead.
    """

    count: int
    kind: Literal["processes", "threads"]
    samples_per_chunk: int
    cluster: str | None = None


@dataclass(frozen=True)
class Chunk:
    """Features of some samples: `x` (n, …), their records, and 'id: reason' of each damaged sample.

    `cut`: the full length in time steps of each sample that is longer than `x` and was cut.
    """

    x: np.ndarray | None
    length: list[int]
    records: list[Record]
    rejected: list[str]
    cut: list[int] = field(default_factory=list)


# The result of a worker: x (n, …), length (n), and {index in the chunk: reason} of the damaged records. The records
# themselves are not returned: sending them back would take as long as decoding a face.
Decoded = tuple[np.ndarray | None, list[int], dict[int, str]]

_thread_pools = cache(ThreadpoolController)


def decode(
    records: Iterable[Record], compute: ComputeMany, workers: Workers, archive: Path | None = None
) -> Iterator[Chunk]:
    """Yield chunks in the order of `records`. Few are in flight, so memory does not grow with the corpus.

    `archive`: the file that the records read; a cluster must have the same.
    """
    if workers.cluster is None:
        yield from _decode(records, compute, workers)
    else:
        with connected(workers.cluster, archive) as count:
            yield from _decode(records, compute, replace(workers, count=count))


def _decode(records: Iterable[Record], compute: ComputeMany, workers: Workers) -> Iterator[Chunk]:
    records = iter(records)
    chunks = iter(lambda: list(islice(records, workers.samples_per_chunk)), [])
    wait = CHUNKS_MEANWHILE if workers.kind == "processes" and workers.cluster is None else 0
    meanwhile = list(islice(chunks, wait))
    pool = _Pool(chunks, compute, workers)
    results = pool.rounds(pool.start_round()) if len(meanwhile) == wait else iter(())
    try:
        for chunk in meanwhile:
            yield _assemble(chunk, *_decode_chunk(chunk, compute))
        for result in results:
            yield _assemble(pool.sent.popleft(), *result)
    finally:
        # Wait for the chunks in flight; joblib's own cancellation races with workers that are just starting.
        pool.stopped.set()
        with suppress(Exception):  # do not hide the failure that is already being reported
            deque(results, maxlen=0)


class _Pool:
    """Workers that decode `chunks`. `sent`: chunks handed out, in the order in which their results arrive."""

    def __init__(self, chunks: Iterator[list[Record]], compute: ComputeMany, workers: Workers) -> None:
        self._chunks, self._compute, self._per_round = chunks, compute, CHUNKS_PER_ROUND * workers.count
        self.sent: deque[list[Record]] = deque()
        self.stopped = Event()
        if workers.cluster is not None:
            self._decode, options = delayed(_decode_chunk_in_thread), {}  # joblib uses the cluster: see `connected`
        elif workers.kind == "processes":
            self._decode = delayed(_decode_chunk)
            options = {"prefer": "processes", "idle_worker_timeout": IDLE_WORKER_S}
            # Python's resource tracker would warn of semaphores that an aborted stage leaves, and it removes them.
            os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
        else:
            self._decode, options = delayed(_decode_chunk_in_thread), {"prefer": "threads"}
            keep_freed_memory()
        self._parallel = Parallel(workers.count, return_as="generator", pre_dispatch="2*n_jobs", **options)

    def start_round(self) -> Iterator[Decoded]:
        """Start work on the next chunks at once, before the first result is requested."""
        return self._parallel(self._calls())

    def rounds(self, results: Iterator[Decoded]) -> Iterator[Decoded]:
        """Yield `results`, those of the first round, and then those of all further rounds."""
        while True:
            left = self._per_round
            for result in results:
                left -= 1
                yield result
            if left:
                return
            results = self.start_round()

    def _calls(self) -> Iterator:
        for chunk in islice(self._chunks, self._per_round):
            if self.stopped.is_set():
                return
            self.sent.append(chunk)
            yield self._decode(chunk, self._compute)


def compute_function(feature: ModuleType, options: dict[str, Any]) -> ComputeMany:
    """Return `compute_many` of a module of `features/`, or its `compute` applied sample by sample."""
    if hasattr(feature, "compute_many"):
        return partial(feature.compute_many, **options)
    return partial(one_by_one, partial(feature.compute, **options))


def one_by_one(compute: Callable[..., Features], loads: Iterable[Callable]) -> Iterator[Features | DamagedSample]:
    """Yield the features of each sample, or why it is damaged, for features that are not computed in groups."""
    for load in loads:
        try:
            yield compute(*load())
        except DamagedSample as damage:
            yield damage


def append_all(writer: Writer, chunks: Iterable[Chunk], classes: list[str]) -> tuple[int, list[str]]:
    """Write every chunk. Return the number of samples written, and 'id: reason' of each damaged sample."""
    count, rejected = 0, []
    for chunk in chunks:
        rejected += chunk.rejected
        if chunk.records:
            voted = chunk.records[0].votes is not None
            soft = {"soft_label": [shares(record.votes, classes) for record in chunk.records]} if voted else {}
            writer.append(
                chunk.x,
                length=chunk.length,
                label=[classes.index(record.label) for record in chunk.records],
                group=[record.group or "" for record in chunk.records],
                sample_id=[record.sample_id for record in chunk.records],
                extra=[json.dumps(record.extra, sort_keys=True) for record in chunk.records],
                **soft,
            )
        count += len(chunk.records)
    if not count:
        raise UserError(f"no sample could be decoded; the first: {'; '.join(rejected[:3])}")
    return count, rejected


def shares(votes: dict[str, int], classes: list[str]) -> list[float]:
    """Return each class's share of the votes for these classes; the record's label is one of them and has votes."""
    counts = [votes.get(name, 0) for name in classes]
    return [count / sum(counts) for count in counts]


def note_cut(chunks: Iterable[Chunk], cut: list[int]) -> Iterator[Chunk]:
    """Yield the chunks, and append the full lengths of the samples that were cut to `cut`."""
    for chunk in chunks:
        cut += chunk.cut
        yield chunk


def require_space(chunks: Iterable[Chunk], total: int, folder: Path) -> Iterator[Chunk]:
    """Yield the chunks. Raise `UserError` if the disk cannot hold `total` samples of the size of the first."""
    for number, chunk in enumerate(chunks):
        if number == 0 and chunk.x is not None:
            require_free_space(folder, total * chunk.x[0].nbytes)
        yield chunk


def require_few(rejected: list[str], total: int, max_fraction: float, where: str) -> None:
    """Raise `UserError`, which lists the first few, if more than `max_fraction` of the samples are damaged."""
    if total and len(rejected) > max_fraction * total:
        raise UserError(
            f"{where}: {len(rejected)} of {total} samples are damaged, allowed: {max_fraction:.1%} "
            f"(prepare.max_rejected_fraction); the first: {'; '.join(rejected[:3])}"
        )


def _decode_chunk(records: list[Record], compute: ComputeMany) -> Decoded:
    results = list(compute(record.load for record in records))
    reasons = {index: str(damage) for index, damage in enumerate(results) if isinstance(damage, DamagedSample)}
    features = [result for index, result in enumerate(results) if index not in reasons]
    x = np.stack([x for x, _ in features]) if features else None
    return x, [length for _, length in features], reasons


def _decode_chunk_in_thread(records: list[Record], compute: ComputeMany) -> Decoded:
    """Keep PyTorch from starting threads of its own: they would wait for each other and take three times as long."""
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()  # a first call in a thread applies torch's own setting; it must not override the limit
    with _thread_pools().limit(limits=1, user_api="openmp"):
        return _decode_chunk(records, compute)


def _assemble(records: list[Record], x: np.ndarray | None, length: list[int], reasons: dict[int, str]) -> Chunk:
    kept = [record for index, record in enumerate(records) if index not in reasons]
    rejected = [f"{records[index].sample_id}: {reason}" for index, reason in reasons.items()]
    steps = x.shape[1] if x is not None else 0
    return Chunk(x, [min(n, steps) for n in length], kept, rejected, [n for n in length if n > steps])
