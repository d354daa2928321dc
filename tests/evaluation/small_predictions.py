"""Predictions of two classes that are right where told."""

from collections.abc import Iterable

import numpy as np

from stages.evaluation.predictions import Predictions


def said(n: int, *, right: Iterable[int], order: np.ndarray | None = None, run: str = "one") -> Predictions:
    """`n` test samples s0, s1, … and as many of validation, all wrong; `order` shuffles the test samples."""
    order = np.arange(n) if order is None else order
    label = np.arange(n) % 2
    guess = np.where(np.isin(np.arange(n), list(right)), label, 1 - label)
    return Predictions(
        sample_id=np.array([f"s{i}" for i in order] + [f"v{i}" for i in order], dtype=object),
        part=np.array(["test"] * n + ["validation"] * n, dtype=object),
        label=np.concatenate([label[order], label]),
        group=np.array([""] * 2 * n, dtype=object),
        probabilities=np.concatenate([np.eye(2)[guess[order]], np.eye(2)[1 - label]]).astype(np.float32),
        attributes={"run": run, "classes": ["angry", "sad"]},
    )
