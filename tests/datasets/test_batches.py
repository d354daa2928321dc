"""Batches yield every sample once per epoch, in an order that depends on (seed, epoch) only."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_store import number_of, pictures, write_store

from stages.datasets import batches
from stages.datasets.batches import LOADING, Batches
from stages.datasets.store import Store

INDICES = np.random.default_rng(5).permutation(700)[:405]

Make = Callable[..., Batches]


@pytest.fixture(scope="module", autouse=True)
def small_windows():
    """Shuffle two chunks of 64 samples together, so that 405 samples take several windows."""
    original, batches.CHUNKS_PER_WINDOW = batches.CHUNKS_PER_WINDOW, 2
    yield
    batches.CHUNKS_PER_WINDOW = original


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    label = np.random.default_rng(1).integers(0, 3, 700)
    return write_store(tmp_path_factory.mktemp("store") / "a.h5", pictures(700, 1, 64, 64), label=label)


@pytest.fixture(params=sorted(LOADING))
def make(request: pytest.FixtureRequest, path: Path) -> Make:
    return lambda size=32, seed=7, indices=INDICES: LOADING[request.param](path, indices, size, shuffle_seed=seed)


def epoch(batch_source: Batches, number: int = 0) -> list[tuple[torch.Tensor, ...]]:
    batch_source.set_epoch(number)
    return list(batch_source)


def order(batch_source: Batches, number: int = 0) -> list[int]:
    return [int(sample) for x, _, _ in epoch(batch_source, number) for sample in number_of(x)]


def test_every_sample_once_with_its_label_and_length(make: Make, path: Path):
    label = np.random.default_rng(1).integers(0, 3, 700)
    with Store(path) as store:
        stored = store.read_packed(np.arange(700))
    for number in range(2):
        x, length, y = (torch.cat(column) for column in zip(*epoch(make(), number), strict=True))
        samples = number_of(x)
        assert sorted(samples) == sorted(INDICES)
        np.testing.assert_array_equal(x, stored[samples])
        assert y.tolist() == label[samples].tolist()
        assert length.tolist() == (samples % 5).tolist()


def test_short_last_batch_is_kept_unless_it_is_one_training_sample(make: Make):
    for size, seed, expected in ((32, 7, [32] * 12 + [21]), (101, 7, [101] * 4), (101, None, [101] * 4 + [1])):
        made = make(size, seed)
        assert [len(x) for x, _, _ in epoch(made)] == expected
        assert len(made) == len(expected)


def test_order_depends_on_seed_and_epoch_only(make: Make):
    first = order(make(), 3)
    assert order(make(), 3) == first
    torch.manual_seed(99)
    other = make()
    order(other, 0)
    order(other, 1)
    assert order(other, 3) == first  # earlier epochs do not matter
    assert order(make(), 4) != first
    assert order(make(seed=8), 3) != first


def test_shuffling_spreads_over_the_file(make: Make):
    """Consecutive samples are far apart in the file."""
    shuffled = order(make())
    assert shuffled not in (INDICES.tolist(), sorted(shuffled))
    assert np.median(np.abs(np.diff(shuffled))) > 20


def test_unshuffled_order_is_kept(make: Make):
    made = make(seed=None)
    assert order(made) == INDICES.tolist()
    assert order(made, 1) == INDICES.tolist()


def test_rebatched_equals_new_batches_of_that_size(make: Make):
    """The original batches are not changed."""
    made = make(32)
    made.set_epoch(5)
    other = made.rebatched(50)
    assert [x.tolist() for x, _, _ in other] == [x.tolist() for x, _, _ in epoch(make(50))]
    assert [x.tolist() for x, _, _ in made] == [x.tolist() for x, _, _ in epoch(make(32), 5)]
    other.set_epoch(2)
    assert (other.epoch, made.epoch) == (2, 5)


def test_rebatched_shares_memory(path: Path):
    made = batches.MemoryBatches(path, INDICES, 32)
    assert made.rebatched(16)._x.data_ptr() == made._x.data_ptr()


@pytest.mark.parametrize("loading", sorted(LOADING))
def test_only_training_batches_have_the_shares_of_votes(tmp_path: Path, loading: str):
    shares, label = np.random.default_rng(2).dirichlet(np.ones(3), 700), np.arange(700) % 3
    path = write_store(tmp_path / "a.h5", pictures(700, 1, 8, 8), label=label, soft_label=shares)
    for seed, expected in ((7, shares.astype(np.float32)), (None, label)):
        made = LOADING[loading](path, INDICES, 32, shuffle_seed=seed)
        x, _, y = (torch.cat(column) for column in zip(*epoch(made), strict=True))
        np.testing.assert_array_equal(y, expected[number_of(x)])
        assert len(next(iter(made.rebatched(10)))[2]) == 10


def test_devices_divide_an_epoch(make: Make, monkeypatch: pytest.MonkeyPatch):
    """Three devices get equal shares, which together contain every sample."""
    made, shares = make(), []
    for rank in range(3):
        monkeypatch.setattr(batches, "_rank_and_world_size", lambda rank=rank: (rank, 3))
        shares.append(order(made))
        assert len(made) == 5  # 135 samples each
    assert [len(share) for share in shares] == [135] * 3
    assert sorted({sample for share in shares for sample in share}) == sorted(INDICES)
