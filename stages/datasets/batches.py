"""Batches of stored samples, shuffled by (seed, epoch): from one tensor in memory, or streamed with prefetch.

A batch is (x (B, …) as stored, length (B,), label (B,)); in training with the votes of several annotators, label is
their shares (B, n_classes). Scaling and augmentation run on the device, so that only the
stored bytes are transferred. Batches are a pure function of (seed, epoch), so a resumed run repeats them exactly.
"""

import copy
import math
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
BLOCK_SIZE, BLOCK_VALUES = 256, 8_000_000  # samples that a trained model answers at once, fewer if they are large
# Chunks of the file that are shuffled together when streaming: samples mix across 64 * 256 KiB = 16 MiB of data.
CHUNKS_PER_WINDOW = 64


class Batches:
    """Batches of one part of a dataset, shuffled if `shuffle_seed` is given; with several devices, of one's share."""

    def __init__(
        self, store_path: Path, indices: np.ndarray, batch_size: int, *, shuffle_seed: int | None = None
    ) -> None:
        self.store_path, self.indices, self.batch_size = store_path, indices, batch_size
        self.shuffle_seed = shuffle_seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Select the order of the next iteration."""
        self.epoch = epoch

    def rebatched(self, batch_size: int) -> Self:
        """Return the same samples in batches of another size, from epoch 0 on; data in memory is shared."""
        other = copy.copy(self)
        other.batch_size, other.epoch = batch_size, 0
        return other

    def __len__(self) -> int:
        return -(-len(self._order()) // self.batch_size)

    def _order(self) -> np.ndarray:
        rank, world_size = _rank_and_world_size()
        if self.shuffle_seed is None:  # evaluation: every sample once
            return np.arange(rank, len(self.indices), world_size)
        order = self._shuffled()
        # The last, smaller batch is kept, unless a device would get fewer than two samples: batch normalisation cannot
        # compute a variance from one, and the others would wait for the gradient of none. Each epoch leaves out others.
        last = len(order) % (self.batch_size * world_size)
        kept = len(order) - last if last < min(2 * world_size, len(order)) else len(order)
        return order[:kept][rank::world_size]

    def _shuffled(self) -> np.ndarray:
        return generator(self.shuffle_seed, "shuffle", self.epoch).permutation(len(self.indices))


def _rank_and_world_size() -> tuple[int, int]:
    started = torch.distributed.is_available() and torch.distributed.is_initialized()
    return (torch.distributed.get_rank(), torch.distributed.get_world_size()) if started else (0, 1)


def _labels(store: Store, shuffle_seed: int | None) -> np.ndarray:
    """Return the labels of all samples: in training the shares of the votes if there are any, else the classes."""
    return store.label if shuffle_seed is None or store.soft_label is None else store.soft_label


class MemoryBatches(Batches):
    """Batches of a part that is held in memory as one tensor of stored values."""

    def __init__(self, store_path: Path, indices: np.ndarray, batch_size: int, **shuffle: int | None) -> None:
        super().__init__(store_path, indices, batch_size, **shuffle)
        with Store(store_path) as store:
            self._x = torch.from_numpy(store.read_packed(indices))
            self._length = torch.from_numpy(store.length[indices])
            self._label = torch.from_numpy(_labels(store, self.shuffle_seed)[indices])

    def __iter__(self) -> Iterator[Batch]:
        for chosen in torch.from_numpy(self._order()).split(self.batch_size):
            yield self._x[chosen], self._length[chosen], self._label[chosen]


class StreamBatches(Batches):
    """Batches read from the file by a second process, which holds one window of chunks, whatever the corpus's size.

    The chunks of the file are shuffled, then the samples within a window of chunks: reading samples in a fully random
    order would read a whole chunk for each.
    """

    def __init__(self, store_path: Path, indices: np.ndarray, batch_size: int, **shuffle: int | None) -> None:
        super().__init__(store_path, indices, batch_size, **shuffle)
        with Store(store_path) as store:
            self._chunk = indices // store.samples_per_chunk
            self._samples_per_window = CHUNKS_PER_WINDOW * min(store.samples_per_chunk, len(indices))

    @property
    def _window(self) -> int:
        return max(1, self._samples_per_window // self.batch_size) * self.batch_size  # a whole number of batches

    def _shuffled(self) -> np.ndarray:
        rng = generator(self.shuffle_seed, "shuffle", self.epoch)
        order = np.argsort(rng.permutation(self._chunk.max() + 1)[self._chunk], kind="stable")
        windows = (order[start : start + self._window] for start in range(0, len(order), self._window))
        return np.concatenate([rng.permutation(window) for window in windows])

    def __iter__(self) -> Iterator[Batch]:
        indices = self.indices[self._order()]
        windows = _Windows(self.store_path, indices, self._window, self.batch_size, self.shuffle_seed)
        yield from DataLoader(windows, batch_size=None, num_workers=1, prefetch_factor=PREFETCHED_BATCHES)


class _Windows(IterableDataset):
    """Batches of `indices` in order; each window of samples is read from the file at once."""

    def __init__(
        self, store_path: Path, indices: np.ndarray, window: int, batch_size: int, shuffle_seed: int | None
    ) -> None:
        self._store_path, self._indices, self._window, self._batch_size = store_path, indices, window, batch_size
        self._shuffle_seed = shuffle_seed

    def __iter__(self) -> Iterator[Batch]:
        with Store(self._store_path) as store:
            labels = _labels(store, self._shuffle_seed)
            for start in range(0, len(self._indices), self._window):
                window = self._indices[start : start + self._window]
                columns = (store.read_packed(window), store.length[window], labels[window])
                parts = [torch.from_numpy(column).split(self._batch_size) for column in columns]
                yield from zip(*parts, strict=True)


def blocks(store: Store, indices: np.ndarray) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (x (B, …) as stored, length (B,)) of the samples in order, in blocks that fit in memory."""
    size = max(1, min(BLOCK_SIZE, BLOCK_VALUES // math.prod(store.sample_shape)))
    for block in np.split(indices, range(size, len(indices), size)):
        yield torch.from_numpy(store.read_packed(block)), torch.from_numpy(store.length[block])


LOADING = {"memory": MemoryBatches, "stream": StreamBatches}
