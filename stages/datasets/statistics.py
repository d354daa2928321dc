"""Mean and standard deviation of the training part, which the model standardises with."""

import numpy as np

from stages.datasets.store import Store

# Axes that keep their own mean; all others are averaged over.
KEPT_AXES = ("channel",)
SAMPLES_AT_ONCE = 4096


def mean_and_sd(store: Store, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over `indices`, in the feature's units, shaped to broadcast over one sample."""
    reduced = tuple(axis + 1 for axis, name in enumerate(store.description.layout) if name not in KEPT_AXES)
    count, total, squares = 0, 0.0, 0.0
    for start in range(0, len(indices), SAMPLES_AT_ONCE):
        x = store.read(np.sort(indices)[start : start + SAMPLES_AT_ONCE]).astype(np.float64)
        count += len(x)
        total = total + x.mean(axis=reduced, keepdims=True).sum(axis=0)
        squares = squares + np.square(x).mean(axis=reduced, keepdims=True).sum(axis=0)
    mean = total / count
    sd = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return mean, np.where(sd > 0, sd, 1.0)
