"""Parallel decoding keeps the order, reports damaged samples and bounds memory."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch

from stages.core.errors import UserError
from stages.core.records import DamagedSample, Record
from stages.datasets import decoding
from stages.datasets.decoding import CHUNKS_MEANWHILE, Workers, decode, note_cut, one_by_one, require_few, shares


def decode_number(data: bytes) -> tuple[np.ndarray, float]:
    if data.startswith(b"bad"):
        raise DamagedSample("bad data")
    return np.full((2, 2), int(data), dtype=np.int64), 10.0


def doubled(signal: np.ndarray, rate_hz: float | None) -> tuple[np.ndarray, int]:
    return signal[None] * 2, int(signal[0, 0]) % 2


compute = partial(one_by_one, doubled)


def records(count: int, bad: tuple[int, ...] = (), read: list[int] | None = None) -> Iterator[Record]:
    for number in range(count):
        if read is not None:
            read.append(number)
        data = b"bad" if number in bad else str(number).encode()
        yield Record(f"r{number}", "happy", partial(bytes, data), decode_number)


def workers(count: int = 2, kind: str = "processes") -> Workers:
    return Workers(count, kind, samples_per_chunk=20)


@pytest.mark.parametrize("kind", ["processes", "threads"])
@pytest.mark.parametrize(("count", "number"), [(5, 2), (20, 1), (20 * CHUNKS_MEANWHILE + 110, 2)])
def test_order_is_kept_and_damaged_samples_are_reported(count: int, number: int, kind: str):
    bad = (0, 3, count - 1)
    chunks = list(decode(records(count, bad), compute, workers(number, kind)))
    kept = [number for number in range(count) if number not in bad]
    assert [record.sample_id for chunk in chunks for record in chunk.records] == [f"r{number}" for number in kept]
    x = np.concatenate([chunk.x for chunk in chunks])
    assert x.shape == (len(kept), 1, 2, 2)
    assert x[:, 0, 0, 0].tolist() == [2 * number for number in kept]
    assert [steps for chunk in chunks for steps in chunk.length] == [number % 2 for number in kept]
    rejected = [line for chunk in chunks for line in chunk.rejected]
    assert rejected == [f"r{number}: bad data" for number in bad]


def threads_of_torch(signal: np.ndarray, rate_hz: float | None) -> tuple[np.ndarray, int]:
    return np.array([torch.get_num_threads()]), 0


def test_worker_threads_start_no_further_threads():
    """The number of threads set for torch, as for training in the same process, is restored."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    chunks = list(decode(records(60), partial(one_by_one, threads_of_torch), workers(2, "threads")))
    after = torch.get_num_threads()
    torch.set_num_threads(before)
    assert np.unique(np.concatenate([chunk.x for chunk in chunks])).tolist() == [1]
    assert after == 2


def test_chunk_with_damaged_samples_only():
    (chunk,) = decode(records(3, (0, 1, 2)), compute, workers())
    assert chunk.x is None
    assert len(chunk.rejected) == 3


@pytest.mark.parametrize("kind", ["processes", "threads"])
def test_workers_wait_for_a_slow_consumer(kind: str, monkeypatch: pytest.MonkeyPatch):
    """Results that are not consumed are held in memory, so their number must be bounded."""
    monkeypatch.setattr(decoding, "CHUNKS_PER_ROUND", 3)
    read: list[int] = []
    chunks = decode(records(20 * 60, read=read), compute, workers(2, kind))
    for _ in range(CHUNKS_MEANWHILE + 1):
        next(chunks)
    time.sleep(0.5)
    assert len(read) <= 20 * (CHUNKS_MEANWHILE + 2 * 3)
    assert sum(len(chunk.records) for chunk in chunks) == 20 * (60 - CHUNKS_MEANWHILE - 1)
    assert len(read) == 20 * 60


def test_rejects_too_many_damaged_samples():
    require_few([], 0, 0.0, "a.zip")
    require_few(["a: x"], 100, 0.01, "a.zip")
    with pytest.raises(UserError) as error:
        require_few(["a: broken", "b: broken", "c: broken", "d: broken"], 100, 0.01, "a.zip")
    line = str(error.value)
    assert line.startswith("a.zip: 4 of 100 samples are damaged, allowed: 1.0%")
    assert line.endswith("a: broken; b: broken; c: broken")


@pytest.mark.parametrize(
    ("lengths", "expected"), [([1, 2, 3], []), ([4, 3], [4]), ([9, 4, 0], [9, 4]), ([3], []), ([100], [100])]
)
def test_samples_that_were_cut_are_counted(lengths: list[int], expected: list[int]):
    """The arrays have three time steps."""
    records = [Record(f"r{n}", "sad", partial(bytes, str(n).encode()), decode_number) for n in lengths]
    compute = partial(one_by_one, lambda signal, _rate: (np.zeros((3, 2)), int(signal[0, 0])))
    chunks = list(note_cut(decode(records, compute, workers(1, "threads")), cut := []))
    assert cut == expected
    assert [steps for chunk in chunks for steps in chunk.length] == [min(n, 3) for n in lengths]


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ({"happy": 6, "neutral": 4}, [0.6, 0, 0.4]),
        ({"happy": 3, "contempt": 5, "neutral": 1}, [0.75, 0, 0.25]),  # contempt is not one of the classes
        ({"sad": 2}, [0, 1, 0]),
        ({"neutral": 5, "happy": 5, "sad": 10}, [0.25, 0.5, 0.25]),
    ],
)
def test_shares_of_votes_for_the_classes(votes: dict[str, int], expected: list[float]):
    assert shares(votes, ["happy", "sad", "neutral"]) == pytest.approx(expected)
