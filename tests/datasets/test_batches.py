"""Batches: every sample once an epoch, in an order that (seed, epoch) alone decides."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_store import number_of, pictures, write_store

from stages.datasets import batches
from stages.datasets.batches import LOADING, Batches

CHOSEN = np.random.default_rng(5).permutation(700)[:405]

Make = Callable[..., Batches]


@pytest.fixture(scope="module", autouse=True)
def small_windows():
    """Two chunks of 64 samples are shuffled together, so that 405 samples take several windows."""
    original, batches.CHUNKS_PER_WINDOW = batches.CHUNKS_PER_WINDOW, 2
    yield
    batches.CHUNKS_PER_WINDOW = original


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    label = np.random.default_rng(1).integers(0, 3, 700)
    return write_store(tmp_path_factory.mktemp("store") / "a.h5", pictures(700, 1, 64, 64), label=label)


@pytest.fixture(params=sorted(LOADING))
def make(request: pytest.FixtureRequest, path: Path) -> Make:
    return lambda size=32, seed=7, chosen=CHOSEN: LOADING[request.param](path, chosen, size, shuffle_seed=seed)


def epoch(made: Batches, number: int = 0) -> list[tuple[torch.Tensor, ...]]:
    made.set_epoch(number)
    return list(made)


def order(made: Batches, number: int = 0) -> list[int]:
    return [int(sample) for x, _, _ in epoch(made, number) for sample in number_of(x)]


def test_every_sample_exactly_once_with_its_own_label_and_length(make: Make, path: Path):
    label = np.random.default_rng(1).integers(0, 3, 700)
    for number in range(2):
        found = epoch(make(), number)
        samples = np.concatenate([number_of(x) for x, _, _ in found])
        assert sorted(samples) == sorted(CHOSEN)
        assert torch.cat([y for _, _, y in found]).tolist() == label[samples].tolist()
        assert torch.cat([n for _, n, _ in found]).tolist() == (samples % 5).tolist()


def test_last_batch_is_kept_though_short(make: Make):
    made = make(32)
    sizes = [len(x) for x, _, _ in epoch(made)]
    assert sizes == [32] * 12 + [21]
    assert len(made) == 13


def test_batches_are_stored_values(make: Make):
    x, length, label = epoch(make())[0]
    assert x.dtype == torch.uint8
    assert x.shape == (32, 1, 64, 64)
    assert length.dtype == label.dtype == torch.int64


def test_order_is_of_seed_and_epoch_alone(make: Make):
    first = order(make(), 3)
    assert order(make(), 3) == first
    torch.manual_seed(99)
    wandering = make()
    order(wandering, 0)
    order(wandering, 1)
    assert order(wandering, 3) == first  # whatever epochs came before
    assert order(make(), 4) != first
    assert order(make(seed=8), 3) != first


def test_shuffling_spreads_over_the_file(make: Make):
    """The first tenth of an epoch does not come from one place of the file, nor in its order."""
    found = order(make())
    assert found != CHOSEN.tolist()
    assert found != sorted(found)
    steps = np.abs(np.diff(found))
    assert np.median(steps) > 20


def test_unshuffled_order_is_kept(make: Make):
    made = make(seed=None)
    assert order(made) == CHOSEN.tolist()
    assert order(made, 1) == CHOSEN.tolist()


def test_stream_and_memory_hold_the_same(path: Path):
    found = {}
    for name, loading in LOADING.items():
        parts = epoch(loading(path, CHOSEN, 50, shuffle_seed=1), 2)
        x, _, y = (torch.cat(column) for column in zip(*parts, strict=True))
        found[name] = {int(n): (bytes(v.numpy().tobytes()), int(c)) for n, v, c in zip(number_of(x), x, y, strict=True)}
    assert found["stream"] == found["memory"]


def test_fewer_samples_than_a_batch(make: Make):
    made = make(64, chosen=np.array([9, 4, 600]))
    assert [len(x) for x, _, _ in epoch(made)] == [3]
    assert len(made) == 1


def test_rebatched_is_as_if_made_with_that_size(make: Make):
    """And the batches it came from go on as they were."""
    made = make(32)
    made.set_epoch(5)
    other = made.rebatched(50)
    assert [x.tolist() for x, _, _ in other] == [x.tolist() for x, _, _ in epoch(make(50))]
    assert [x.tolist() for x, _, _ in made] == [x.tolist() for x, _, _ in epoch(make(32), 5)]
    other.set_epoch(2)
    assert (other.epoch, made.epoch) == (2, 5)


def test_what_is_in_memory_is_shared(path: Path):
    made = batches.MemoryBatches(path, CHOSEN, 32)
    assert made.rebatched(16)._x.data_ptr() == made._x.data_ptr()


def test_devices_share_an_epoch(make: Make, monkeypatch: pytest.MonkeyPatch):
    """Three devices: equal shares, together every sample, at most two twice."""
    made, found = make(), []
    for rank in range(3):
        monkeypatch.setattr(batches, "_rank_and_world_size", lambda rank=rank: (rank, 3))
        found.append(order(made))
        assert len(made) == 5  # 135 samples each
    assert [len(share) for share in found] == [135] * 3
    assert sorted({sample for share in found for sample in share}) == sorted(CHOSEN)
