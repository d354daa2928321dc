"""By what the samples of a prepared dataset can be told apart: speaker or subject, gender, intensity, …"""

import numpy as np

from stages.datasets.store import Store

MAX_NAMES = 12  # of an extra column: one with more is no grouping but a description of each sample


def groupings(store: Store, indices: np.ndarray) -> dict[str, list[str]]:
    """{kind: name of each sample of `indices`, '' where unknown}; kinds that tell nothing apart are left out."""
    found = {store.description.group_kind or "group": [store.group[index] for index in indices]}
    extras = [store.extra[index] for index in indices]
    for kind in sorted({key for extra in extras for key in extra}):
        names = [str(extra.get(kind, "")) for extra in extras]
        if len(set(names)) <= MAX_NAMES:
            found[kind] = names
    return {kind: names for kind, names in found.items() if len(set(names) - {""}) > 1}
