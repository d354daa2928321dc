"""Mean and standard deviation: of the training part, for standardisation, or of each speaker or subject.

For samples with a time axis only the true steps count, never the padding.
"""

import math
from collections import defaultdict

import numpy as np

from stages.core.errors import refuse
from stages.datasets.store import Store, Writer

# These axes have a mean for each index; all others are averaged.
KEPT_AXES = ("channel", "mel", "feature", "statistic", "unit")
SAMPLES_AT_ONCE, VALUES_AT_ONCE = 1024, 24_000_000  # the smaller limit applies; 192 MB in double precision


class Moments:
    """Count, sum and sum of squares over samples with axes `layout`, accumulated block by block."""

    def __init__(self, layout: list[str]) -> None:
        self._layout = layout
        self._reduced = (0, *(axis for axis, name in enumerate(layout, start=1) if name not in KEPT_AXES))
        self._count, self._total, self._squares = 0, 0.0, 0.0

    def add(self, x: np.ndarray, length: np.ndarray) -> None:
        """Add `x` (n, …) float64 with (n,) true time steps."""
        counted = _true_steps(x, length, self._layout)
        self._count += np.broadcast_to(counted, x.shape).sum(axis=self._reduced, keepdims=True)[0]
        self._total += x.sum(axis=self._reduced, keepdims=True, where=counted)[0]
        self._squares += np.square(x).sum(axis=self._reduced, keepdims=True, where=counted)[0]

    def mean_and_sd(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both, shaped to broadcast over one sample. The sd of constant values is returned as 1."""
        mean = self._total / self._count
        sd = np.sqrt(np.maximum(self._squares / self._count - mean**2, 0))
        return mean, np.where(sd > 0, sd, 1.0)


def mean_and_sd(store: Store, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and sd over the samples `indices`, in the units of the feature, to broadcast over one sample."""
    moments, ordered = Moments(store.description.layout), np.sort(indices)
    size = _samples_at_once(store.sample_shape)
    for start in range(0, len(ordered), size):
        block = ordered[start : start + size]
        moments.add(store.read(block).astype(np.float64), store.length[block])
    return moments.mean_and_sd()


def normalize_groups(writer: Writer, layout: list[str], kind: str, where: str) -> None:
    """Bring every group (speaker, subject) to mean 0, with `kind` 'mean_sd' also to sd 1, over all its samples.

    Labels are not used, but all samples of a group are needed, and a group with only one emotion loses that emotion.
    Raises `UserError`, naming the key `where` of the dataset, if the group of a sample is not known.
    """
    moments: dict[str, Moments] = defaultdict(lambda: Moments(layout))
    size = _samples_at_once(writer.sample_shape)
    for _, x, length, group in writer.blocks(size):
        if (group == "").any():
            what = "the group (speaker, subject) of some samples is not known"
            refuse(what, where=f"{where}.normalize_groups", allowed="none", received=kind)
        for name in np.unique(group):
            moments[name].add(x[group == name].astype(np.float64), length[group == name])
    statistics = {name: own.mean_and_sd() for name, own in moments.items()}
    for start, x, _, group in writer.blocks(size):
        for name in np.unique(group):
            mean, sd = statistics[name]
            x[group == name] = (x[group == name] - mean) / (sd if kind == "mean_sd" else 1.0)
        writer.replace(start, x)


def _samples_at_once(shape: tuple[int, ...]) -> int:
    return max(1, min(SAMPLES_AT_ONCE, VALUES_AT_ONCE // max(1, math.prod(shape))))


def _true_steps(x: np.ndarray, length: np.ndarray, layout: list[str]) -> np.ndarray:
    """Return a mask of the elements of x (n, …) that are not padding, broadcastable to x."""
    if "time" not in layout:
        return np.ones((1,) * x.ndim, dtype=bool)
    steps = np.arange(x.shape[1])  # time is the first axis of a sample
    return (steps < length[:, None]).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
