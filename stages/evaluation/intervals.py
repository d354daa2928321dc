"""95 % intervals of an accuracy: Wilson's where samples are independent, a bootstrap of people where they are not."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from stages.core import seeding

PEOPLE = ("speaker", "subject")  # kinds of groups whose samples depend on each other; a gender or an intensity is none
RESAMPLES = 2_000
_Z = NormalDist().inv_cdf(0.975)


def accuracy_interval(
    correct: np.ndarray, groups: Mapping[str, Sequence[str | None]], seed: int
) -> tuple[tuple[float, float], str]:
    """The interval of the mean of `correct` (N,), and its method: 'Wilson' or 'bootstrap over 6 speakers'.

    `groups` {'speaker': (N,) names, 'gender': …}, '' or None where the name is not known. Several clips of one speaker
    are no independent draws: Wilson's interval would be too narrow. Where all or no samples are correct it is Wilson's
    all the same, since every resample would have the same accuracy.
    """
    n_correct = int(correct.sum())
    for kind in PEOPLE:
        names = [name or "" for name in groups.get(kind, ())]
        n_known = len(set(names) - {""})
        if n_known > 1 and 0 < n_correct < len(correct):
            return bootstrap_over_groups(correct, names, seed), _method(kind, n_known, names.count(""))
    return wilson(n_correct, len(correct)), "Wilson"


def wilson(n_correct: int, n: int) -> tuple[float, float]:
    """Score interval of a share (Wilson 1927): it stays within 0 and 1, and is no point where none or all are correct.

    In numbers rather than by scipy.stats, which takes half a second to import.
    """
    centre = (n_correct + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * math.sqrt(n_correct * (n - n_correct) / n + _Z**2 / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_over_groups(correct: np.ndarray, names: Sequence[str], seed: int) -> tuple[float, float]:
    """Percentile bootstrap of whole groups: as many as there are, drawn with replacement; accuracy is hits / samples.

    A sample without a name ('') is a group of its own. `correct` (N,) bool, `names` (N,).
    """
    numbers: dict[str | int, int] = {}
    of = [numbers.setdefault(name or index, len(numbers)) for index, name in enumerate(names)]  # (N,) its group
    hits, sizes = np.bincount(of, weights=correct), np.bincount(of)  # (groups,)
    random = seeding.generator(seed, "bootstrap")
    drawn = (random.integers(len(sizes), size=len(sizes)) for _ in range(RESAMPLES))
    low, high = np.percentile([hits[at].sum() / sizes[at].sum() for at in drawn], [2.5, 97.5])
    return float(low), float(high)


def _method(kind: str, n_known: int, n_nameless: int) -> str:
    nameless = f" and {n_nameless:,} samples of an unknown {kind}" if n_nameless else ""
    return f"bootstrap over {n_known:,} {kind}s{nameless}"
