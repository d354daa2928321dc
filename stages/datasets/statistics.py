"""Mean and standard deviation of the training part, which the model standardises with."""

import numpy as np

from stages.datasets.store import Store

# Axes that keep their own mean; all others are averaged over.
KEPT_AXES = ("channel", "mel", "feature")
SAMPLES_AT_ONCE = 1024


def mean_and_sd(store: Store, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over `indices`, in the feature's units, shaped to broadcast over one sample.

    Of samples with a time axis only the true steps count, never the padding.
    """
    layout = store.description.layout
    reduced = (0, *(axis for axis, name in enumerate(layout, start=1) if name not in KEPT_AXES))
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(indices), SAMPLES_AT_ONCE):
        chosen = np.sort(indices)[start : start + SAMPLES_AT_ONCE]
        x = store.read(chosen).astype(np.float64)
        counted = _true_steps(x, store.length[chosen], layout)
        count += np.broadcast_to(counted, x.shape).sum(axis=reduced, keepdims=True)[0]
        total += x.sum(axis=reduced, keepdims=True, where=counted)[0]
        squares += np.square(x).sum(axis=reduced, keepdims=True, where=counted)[0]
    mean = total / count
    sd = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.where(sd > 0, sd, 1.0)


def _true_steps(x: np.ndarray, length: np.ndarray, layout: list[str]) -> np.ndarray:
    """Which elements of x (n, …) are not padding, broadcastable to it."""
    if "time" not in layout:
        return np.ones((1,) * x.ndim, dtype=bool)
    steps = np.arange(x.shape[1])  # time stands first
    return (steps < length[:, None]).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
