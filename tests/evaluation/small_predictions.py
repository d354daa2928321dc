"""Predictions of two classes, correct for the given samples."""

from collections.abc import Iterable

import numpy as np

from stages.evaluation.predictions import Columns


def predictions(n: int, *, correct: Iterable[int], order: np.ndarray | None = None) -> Columns:
    """Return `n` test samples s0, s1, … in the given order, and `n` validation samples, all wrong."""
    order = np.arange(n) if order is None else order
    label = np.arange(n) % 2
    predicted = np.where(np.isin(np.arange(n), list(correct)), label, 1 - label)
    return {
        "sample_id": np.array([f"s{i}" for i in order] + [f"v{i}" for i in order], dtype=object),
        "part": np.array(["test"] * n + ["validation"] * n, dtype=object),
        "label": np.concatenate([label[order], label]),
        "probabilities": np.concatenate([np.eye(2)[predicted[order]], np.eye(2)[1 - label]]),
    }
