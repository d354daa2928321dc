"""Records → feature arrays, chunk by chunk over workers; damaged samples are named, not repaired."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice
from threading import Event
from types import ModuleType
from typing import Any, Literal

import numpy as np
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from threadpoolctl import ThreadpoolController

from stages.core.errors import UserError
from stages.core.malloc import keep_freed_memory
from stages.core.records import DamagedSample, Record

# Decoded here while worker processes start, which takes about as long; a corpus of no more chunks starts none.
CHUNKS_MEANWHILE = 16
# What workers take in one go: joblib gives out all of a call's work, however far behind they are who write it down.
CHUNKS_PER_ROUND = 32  # of each worker

Features = tuple[np.ndarray, int]
Compute = Callable[[np.ndarray, float | None], Features]
# Features of the signals that `Record.load` of several samples give, or why one is damaged.
ComputeMany = Callable[[Iterable[Callable]], Iterable[Features | DamagedSample]]


@dataclass(frozen=True)
class Workers:
    """How many, what they are ("processes" | "threads", as suits the feature), and how many samples each takes."""

    count: int
    kind: Literal["processes", "threads"]
    samples_per_chunk: int


@dataclass(frozen=True)
class Chunk:
    """Features of some samples: `x` (n, …), their records, and 'id: reason' of each damaged one."""

    x: np.ndarray | None
    length: list[int]
    records: list[Record]
    rejected: list[str]


# What a worker gives back: x (n, …), length (n), and the reason each damaged record has, by its place in the chunk.
# Not the records: to send those back would take as long as to decode a face.
Decoded = tuple[np.ndarray | None, list[int], dict[int, str]]


def decode(records: Iterable[Record], compute: ComputeMany, workers: Workers) -> Iterator[Chunk]:
    """Chunks in the order of `records`; a few are in flight at a time, so memory does not grow with the corpus."""
    chunks = _chunks(records, workers.samples_per_chunk)
    wait = CHUNKS_MEANWHILE if workers.kind == "processes" else 0
    meanwhile = list(islice(chunks, wait))
    team = _Team(chunks, compute)
    decoded = team.start(workers) if len(meanwhile) == wait else iter(())
    try:
        for chunk in meanwhile:
            yield _assembled(chunk, *_decode_chunk(chunk, compute))
        for result in decoded:
            yield _assembled(team.sent.popleft(), *result)
    finally:
        team.dismiss(decoded)


class _Team:
    """Workers at work on `chunks`. `sent`: the chunks they have, in the order in which the results come."""

    def __init__(self, chunks: Iterator[list[Record]], compute: ComputeMany) -> None:
        self._chunks, self._compute = chunks, compute
        self.sent: deque[list[Record]] = deque()
        self._stopped = Event()
        self._processes = False

    def start(self, workers: Workers) -> Iterator[Decoded]:
        """They begin at once, not when the first result is asked for."""
        self._processes = workers.kind == "processes"
        if not self._processes:
            keep_freed_memory()
        parallel = Parallel(workers.count, prefer=workers.kind, return_as="generator", pre_dispatch="2*n_jobs")
        size = CHUNKS_PER_ROUND * workers.count
        return self._rounds(parallel, size, parallel(self._calls(size)))

    def _rounds(self, parallel: Parallel, size: int, results: Iterator[Decoded]) -> Iterator[Decoded]:
        """`results`, those of the first round, and of every round after it."""
        while True:
            left = size
            for result in results:
                left -= 1
                yield result
            if left:
                return
            results = parallel(self._calls(size))

    def dismiss(self, decoded: Iterator[Decoded]) -> None:
        """Wait for what is in flight: joblib's own way to break off races with workers that are just starting.

        joblib keeps its processes for a next call; those of a stage that fails would live on, with its output open.
        """
        self._stopped.set()
        with suppress(Exception):  # another failure is on its way to the user
            deque(decoded, maxlen=0)
        if self._processes:
            get_reusable_executor(reuse=True).shutdown(wait=True, kill_workers=True)

    def _calls(self, size: int) -> Iterator:
        work = delayed(_decode_chunk if self._processes else _decode_chunk_alone)
        for chunk in islice(self._chunks, size):
            if self._stopped.is_set():
                return
            self.sent.append(chunk)
            yield work(chunk, self._compute)


def computing(feature: ModuleType, options: dict[str, Any]) -> ComputeMany:
    """`compute_many` of a module of `features/`, or its `compute` for one sample after the other."""
    if hasattr(feature, "compute_many"):
        return partial(feature.compute_many, **options)
    return partial(one_by_one, partial(feature.compute, **options))


def one_by_one(compute: Compute, loads: Iterable[Callable]) -> Iterator[Features | DamagedSample]:
    """As `ComputeMany`, for features that are not computed together."""
    for load in loads:
        try:
            yield compute(*load())
        except DamagedSample as damage:
            yield damage


def require_few(rejected: list[str], total: int, max_fraction: float, where: str) -> None:
    """Stop when more than `max_fraction` of the samples are damaged; the first few are named."""
    if total and len(rejected) > max_fraction * total:
        raise UserError(
            f"{where}: {len(rejected)} of {total} samples are damaged, allowed: {max_fraction:.1%} "
            f"(prepare.max_rejected_fraction); the first: {'; '.join(rejected[:3])}"
        )


def _chunks(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    records = iter(records)
    while chunk := list(islice(records, size)):
        yield chunk


def _decode_chunk(records: list[Record], compute: ComputeMany) -> Decoded:
    found = list(compute(record.load for record in records))
    reasons = {place: str(damage) for place, damage in enumerate(found) if isinstance(damage, DamagedSample)}
    features = [x for place, x in enumerate(found) if place not in reasons]
    x = np.stack([x for x, _ in features]) if features else None
    return x, [length for _, length in features], reasons


def _decode_chunk_alone(records: list[Record], compute: ComputeMany) -> Decoded:
    """In one of our threads PyTorch starts none of its own: they would wait for each other, three times as long."""
    if torch := sys.modules.get("torch"):
        torch.get_num_threads()  # in a thread's first call it would take its own setting, over the limit
    with _thread_pools().limit(limits=1, user_api="openmp"):
        return _decode_chunk(records, compute)


@cache
def _thread_pools() -> ThreadpoolController:
    return ThreadpoolController()


def _assembled(records: list[Record], x: np.ndarray | None, length: list[int], reasons: dict[int, str]) -> Chunk:
    kept = [record for place, record in enumerate(records) if place not in reasons]
    return Chunk(x, length, kept, [f"{records[place].sample_id}: {reason}" for place, reason in reasons.items()])
