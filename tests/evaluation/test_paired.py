"""Two runs on the same samples, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats
from small_predictions import said

from stages.evaluation.paired import difference


def test_difference_by_hand():
    """10 samples: the first is right on 0-6, the second on 3-8; 3 gained, 2 lost."""
    one, other = said(10, right=range(7)), said(10, right=range(3, 9))
    found = difference(one, other, 7)
    assert found.accuracy == pytest.approx(0.1)
    assert found.n == 10
    assert found.p == pytest.approx(1.0)  # 3 of 5: as likely as 2 of 5


def test_mcnemar_is_the_binomial_of_those_who_disagree():
    one, other = said(60, right=range(40)), said(60, right=range(30, 45))  # 30 gained, 5 lost
    expected = 2 * stats.binom.cdf(5, 35, 0.5)
    assert difference(one, other, 7).p == pytest.approx(expected)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (4, 4), (0, 30), (700, 900), (3000, 2900)])
def test_mcnemar_is_scipys_however_many(gained, lost):
    n = max(1, gained + lost)
    one, other = said(n, right=range(gained)), said(n, right=range(gained, gained + lost))
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert difference(one, other, 7).p == pytest.approx(expected, rel=1e-9)


def test_interval_against_scipys_paired_bootstrap():
    random = np.random.default_rng(0)
    right, right_other = (np.flatnonzero(random.random(400) < share) for share in (0.8, 0.7))
    found = difference(said(400, right=right), said(400, right=right_other), 7)
    hits, hits_other = (np.isin(np.arange(400), chosen).astype(float) for chosen in (right, right_other))
    reference = stats.bootstrap(
        (hits, hits_other),
        lambda a, b, axis: (a - b).mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=4000,
        rng=random,
    ).confidence_interval
    assert found.ci95 == pytest.approx((reference.low, reference.high), abs=0.01)


def test_order_of_the_samples_does_not_matter_and_validation_does_not_count():
    one, other = said(50, right=range(30)), said(50, right=range(20))
    shuffled = said(50, right=range(20), order=np.random.default_rng(1).permutation(50))
    assert difference(one, other, 7) == difference(one, shuffled, 7)
    assert difference(one, one, 7).accuracy == 0
    assert difference(one, one, 7).p == 1


def test_other_samples_cannot_be_paired():
    assert difference(said(10, right=[1]), said(11, right=[1]), 7) is None


def test_sign_turns_with_the_order():
    one, other = said(50, right=range(30)), said(50, right=range(20))
    ahead, behind = difference(one, other, 7), difference(other, one, 7)
    assert ahead.accuracy == -behind.accuracy > 0
    assert ahead.ci95[0] > 0 > behind.ci95[1]
    assert ahead.p == behind.p < 0.01
