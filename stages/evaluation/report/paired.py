"""The paired difference of two runs on the same test samples."""

from dataclasses import dataclass

import numpy as np

from stages.core import seeding
from stages.evaluation.predictions import Columns

RESAMPLES = 2_000


@dataclass(frozen=True)
class Difference:
    """Accuracy of one run minus that of another, its 95 % interval, and the p-value of the exact McNemar test."""

    accuracy: float
    ci95: tuple[float, float]
    p: float


def difference(one: Columns, other: Columns, seed: int) -> Difference | None:
    """Return the difference over the test part, or None if the two runs have different test samples.

    The interval is a percentile bootstrap, in which resampling n gains, losses and ties is one multinomial sample. The
    p-value is two-sided and exact (McNemar 1947): of equal runs, gains and losses are equally probable.
    """
    from scipy.stats import binomtest  # half a second to import, once for the report

    correct, correct_other = _correct(one), _correct(other)
    if correct.keys() != correct_other.keys():
        return None
    n = len(correct)
    gained = sum(int(correct[name] and not correct_other[name]) for name in correct)
    lost = sum(int(correct_other[name] and not correct[name]) for name in correct)
    shares = [gained / n, lost / n, (n - gained - lost) / n]
    counts = seeding.generator(seed, "paired bootstrap").multinomial(n, shares, size=RESAMPLES)  # (RESAMPLES, 3)
    low, high = np.percentile((counts[:, 0] - counts[:, 1]) / n, [2.5, 97.5])
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return Difference((gained - lost) / n, (round(float(low), 6), round(float(high), 6)), p)


def _correct(columns: Columns) -> dict[str, bool]:
    """Return {sample id: whether it is classified correctly} of the test part."""
    test = columns["part"] == "test"
    correct = columns["probabilities"][test].argmax(axis=1) == columns["label"][test]
    return dict(zip(columns["sample_id"][test], correct, strict=True))
