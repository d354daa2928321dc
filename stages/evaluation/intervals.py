"""95 % intervals of an accuracy: Wilson's for independent samples, else a bootstrap over speakers or subjects."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from stages.core import seeding

PEOPLE = ("speaker", "subject")  # groups whose samples are dependent, unlike those of a gender or an intensity
RESAMPLES = 2_000
_Z = NormalDist().inv_cdf(0.975)


def accuracy_interval(
    correct: np.ndarray, groups: Mapping[str, Sequence[str | None]], seed: int
) -> tuple[tuple[float, float], str]:
    """Return the interval of the mean of `correct` (N,), and its method: 'Wilson' or 'bootstrap over 6 speakers'.

    `groups` {'speaker': (N,) names, 'gender': …}, '' or None for unknown names. Clips of one speaker are not
    independent samples, so that Wilson's interval would be too narrow. If all or no samples are correct, Wilson's is
    used nevertheless, because all resamples would have the same accuracy.
    """
    n_correct = int(correct.sum())
    for kind in PEOPLE:
        names = [name or "" for name in groups.get(kind, ())]
        n_known = len(set(names) - {""})
        if n_known > 1 and 0 < n_correct < len(correct):
            n_unknown = names.count("")
            unknown = f" and {n_unknown:,} samples of an unknown {kind}" if n_unknown else ""
            return bootstrap_over_groups(correct, names, seed), f"bootstrap over {n_known:,} {kind}s{unknown}"
    return wilson(n_correct, len(correct)), "Wilson"


def wilson(n_correct: int, n: int) -> tuple[float, float]:
    """Return the score interval of a proportion (Wilson 1927), which lies within 0..1 and is never a single point.

    It is computed here because scipy.stats takes half a second to import.
    """
    centre = (n_correct + _Z**2 / 2) / (n + _Z**2)
    half = _Z / (n + _Z**2) * math.sqrt(n_correct * (n - n_correct) / n + _Z**2 / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_over_groups(correct: np.ndarray, names: Sequence[str], seed: int) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the accuracy, resampling whole groups with replacement.

    `correct` (N,) bool, `names` (N,). A sample without a name ('') is a group of its own.
    """
    numbers: dict[str | int, int] = {}
    of = [numbers.setdefault(name or index, len(numbers)) for index, name in enumerate(names)]  # (N,)
    hits, sizes = np.bincount(of, weights=correct), np.bincount(of)  # (groups,)
    random = seeding.generator(seed, "bootstrap")
    resamples = (random.integers(len(sizes), size=len(sizes)) for _ in range(RESAMPLES))
    low, high = np.percentile([hits[at].sum() / sizes[at].sum() for at in resamples], [2.5, 97.5])
    return float(low), float(high)
