"""Two runs on the same test samples: is one better, or could it be chance?"""

from dataclasses import dataclass

import numpy as np

from stages.core import seeding
from stages.evaluation.predictions import Predictions

RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """Accuracy of one run minus that of another, its 95 % interval, and McNemar's p of there being none."""

    accuracy: float
    ci95: tuple[float, float]
    p: float
    n: int


def difference(one: Predictions, other: Predictions, seed: int) -> Difference | None:
    """Paired over the test part; None where the two were not tested on the same samples."""
    right, right_other = _right(one), _right(other)
    if right.keys() != right_other.keys():
        return None
    gained = sum(int(right[name] and not right_other[name]) for name in right)
    lost = sum(int(right_other[name] and not right[name]) for name in right)
    n = len(right)
    return Difference((gained - lost) / n, _interval(gained, lost, n, seed), _mcnemar(gained, lost), n)


def _right(found: Predictions) -> dict[str, bool]:
    """{sample id: named correctly} of the test part."""
    test = found.part_only("test")
    return dict(zip(test.sample_id, test.probabilities.argmax(axis=1) == test.label, strict=True))


def _interval(gained: int, lost: int, n: int, seed: int) -> tuple[float, float]:
    """Percentile bootstrap over samples: drawing n of gains, losses and ties IS a multinomial draw."""
    shares = [gained / n, lost / n, (n - gained - lost) / n]
    draws = seeding.generator(seed, "paired bootstrap").multinomial(n, shares, size=RESAMPLES)
    low, high = np.percentile((draws[:, 0] - draws[:, 1]) / n, [2.5, 97.5])
    return round(float(low), 6), round(float(high), 6)


def _mcnemar(gained: int, lost: int) -> float:
    """Exact, two-sided (McNemar 1947): samples only one of the two named correctly fall on either side alike."""
    n, ways, tail = gained + lost, 1, 1  # ways: n over k, from k = 0 on; whole numbers, exact however large
    for k in range(min(gained, lost)):
        ways = ways * (n - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**n)
