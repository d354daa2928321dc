"""Batches of packed samples, shuffled by (seed, epoch): from one tensor in memory, or read chunk-wise with prefetch.

A batch is (x (B, …) as stored, length (B,), label (B,)). The device scales and augments, so that the bytes that travel
are the stored ones. Iterating is a pure function of (seed, epoch): a resumed run sees the batches it would have seen.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from stages.core.seeding import generator
from stages.datasets.store import Store

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

PREFETCHED_BATCHES = 8
# Chunks of the file that are shuffled together when streaming: samples mix across 64 * 256 KiB = 16 MiB of data.
CHUNKS_PER_WINDOW = 64


class Batches:
    """One part of a dataset, batch by batch, shuffled if `shuffle_seed` is given; of several devices, one's share."""

    def __init__(
        self, store_path: Path, indices: np.ndarray, batch_size: int, *, shuffle_seed: int | None = None
    ) -> None:
        self.store_path, self.indices, self.batch_size = store_path, indices, batch_size
        self.shuffle_seed = shuffle_seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which of the seeded orders the next iteration takes."""
        self.epoch = epoch

    def rebatched(self, batch_size: int) -> Self:
        """The same samples in batches of another size, from the first epoch on; what is in memory is shared."""
        other = copy.copy(self)
        other.batch_size, other.epoch = batch_size, 0
        return other

    def __len__(self) -> int:
        return -(-self._samples_per_device() // self.batch_size)

    def _samples_per_device(self) -> int:
        rank, world_size = _rank_and_world_size()
        if self.shuffle_seed is None:
            return len(range(rank, len(self.indices), world_size))
        count = -(-len(self.indices) // world_size)
        # The last, smaller batch is kept, but in training not one of a single sample: batch normalisation knows no
        # variance of one value. Each epoch leaves out another.
        lonely = count > 1 and count % self.batch_size == 1
        return count - 1 if lonely else count

    def _order(self) -> np.ndarray:
        rank, world_size = _rank_and_world_size()
        if self.shuffle_seed is None:  # judged on: every sample once
            return np.arange(rank, len(self.indices), world_size)
        order = self._shuffled()
        # Trained on: every device takes as many samples, so that none waits for a gradient that never comes.
        padded = np.resize(order, -(-len(order) // world_size) * world_size)
        return padded[rank::world_size][: self._samples_per_device()]

    def _shuffled(self) -> np.ndarray:
        return generator(self.shuffle_seed, "shuffle", self.epoch).permutation(len(self.indices))


def _rank_and_world_size() -> tuple[int, int]:
    started = torch.distributed.is_available() and torch.distributed.is_initialized()
    return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if started else (0, 1)


class MemoryBatches(Batches):
    """The whole part as one tensor of stored values."""

    def __init__(self, store_path: Path, indices: np.ndarray, batch_size: int, **shuffle: int | None) -> None:
        super().__init__(store_path, indices, batch_size, **shuffle)
        with Store(store_path) as store:
            self._x = torch.from_numpy(store.read_packed(indices))
            self._length = torch.from_numpy(store.length[indices])
            self._label = torch.from_numpy(store.label[indices])

    def __iter__(self) -> Iterator[Batch]:
        for chosen in torch.from_numpy(self._order()).split(self.batch_size):
            yield self._x[chosen], self._length[chosen], self._label[chosen]


class StreamBatches(Batches):
    """Reads the file in a process beside the training one; holds a window of chunks, whatever the corpus's size.

    Shuffles the file's chunks, then the samples within a window of them: a random read per sample would cost a whole
    chunk each.
    """

    def __init__(self, store_path: Path, indices: np.ndarray, batch_size: int, **shuffle: int | None) -> None:
        super().__init__(store_path, indices, batch_size, **shuffle)
        with Store(store_path) as store:
            self._chunk = indices // store.samples_per_chunk
            self._samples_per_window = CHUNKS_PER_WINDOW * min(store.samples_per_chunk, len(indices))

    @property
    def _window(self) -> int:
        """In samples, a whole number of batches."""
        return max(1, self._samples_per_window // self.batch_size) * self.batch_size

    def _shuffled(self) -> np.ndarray:
        random = generator(self.shuffle_seed, "shuffle", self.epoch)
        order = np.argsort(random.permutation(self._chunk.max() + 1)[self._chunk], kind="stable")
        windows = (order[start : start + self._window] for start in range(0, len(order), self._window))
        return np.concatenate([random.permutation(window) for window in windows])

    def __iter__(self) -> Iterator[Batch]:
        windows = _Windows(self.store_path, self.indices[self._order()], self._window, self.batch_size)
        yield from DataLoader(windows, batch_size=None, num_workers=1, prefetch_factor=PREFETCHED_BATCHES)


class _Windows(IterableDataset):
    """Batches of `indices` in order, each window of them read from the file at once."""

    def __init__(self, store_path: Path, indices: np.ndarray, window: int, batch_size: int) -> None:
        self._store_path, self._indices, self._window, self._batch_size = store_path, indices, window, batch_size

    def __iter__(self) -> Iterator[Batch]:
        with Store(self._store_path) as store:
            for start in range(0, len(self._indices), self._window):
                window = self._indices[start : start + self._window]
                columns = (store.read_packed(window), store.length[window], store.label[window])
                parts = [torch.from_numpy(column).split(self._batch_size) for column in columns]
                yield from zip(*parts, strict=True)


LOADING = {"memory": MemoryBatches, "stream": StreamBatches}
