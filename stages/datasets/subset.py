"""A part of the training part: what less data costs, or for a search that need not see all of it."""

import numpy as np

from stages.core.errors import refuse
from stages.core.seeding import derive


def stratified(indices: np.ndarray, label: np.ndarray, count: int | None, seed: int, where: str) -> np.ndarray:
    """`count` of `indices` in their order, each class with its share of them; all where `count` is None or as many.

    `label` holds the class of every sample. Raises `UserError`, naming the section `where`, if `count` is too small
    for the classes.
    """
    if count is None or count >= len(indices):
        return indices
    from sklearn.model_selection import train_test_split  # a second to load, for the few that thin their data

    try:
        chosen, _ = train_test_split(
            indices, train_size=count, stratify=label[indices], random_state=derive(seed, "training subset") % 2**32
        )
    except ValueError:  # fewer than classes, or a class of a single sample
        allowed = f"enough that every class keeps its share, or null for all {len(indices):,}"
        refuse("too few", where=f"{where}.train_samples", allowed=allowed, received=count)
    return np.sort(chosen)
