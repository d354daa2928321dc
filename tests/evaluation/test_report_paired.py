"""Paired differences of two runs, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats
from small_predictions import predictions

from stages.evaluation.report.paired import difference


def test_difference_by_hand():
    """Of 10 samples, one run is correct on 0-6, the other on 3-8: 3 gained, 2 lost."""
    one, other = predictions(10, correct=range(7)), predictions(10, correct=range(3, 9))
    paired = difference(one, other, 7)
    assert paired.accuracy == pytest.approx(0.1)
    assert paired.p == pytest.approx(1.0)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (4, 4), (30, 5), (700, 900), (3000, 2900)])
def test_mcnemar_equals_binomial_sum(gained, lost):
    n = max(1, gained + lost)
    one, other = predictions(n, correct=range(gained)), predictions(n, correct=range(gained, gained + lost))
    expected = min(1.0, 2 * stats.binom.cdf(min(gained, lost), gained + lost, 0.5))
    assert difference(one, other, 7).p == pytest.approx(expected, rel=1e-9)


def test_interval_equals_scipy_paired_bootstrap():
    random = np.random.default_rng(0)
    correct, correct_other = (np.flatnonzero(random.random(400) < share) for share in (0.8, 0.7))
    paired = difference(predictions(400, correct=correct), predictions(400, correct=correct_other), 7)
    hits, hits_other = (np.isin(np.arange(400), chosen).astype(float) for chosen in (correct, correct_other))
    options = {"paired": True, "method": "percentile", "n_resamples": 4000, "rng": random}
    reference = stats.bootstrap((hits, hits_other), lambda a, b, axis: (a - b).mean(axis=axis), **options)
    assert paired.ci95 == pytest.approx(tuple(reference.confidence_interval), abs=0.01)


def test_sample_order_and_validation_part_do_not_matter():
    one, other = predictions(50, correct=range(30)), predictions(50, correct=range(20))
    shuffled = predictions(50, correct=range(20), order=np.random.default_rng(1).permutation(50))
    assert difference(one, other, 7) == difference(one, shuffled, 7)
    assert difference(one, one, 7).accuracy == 0
    assert difference(one, one, 7).p == 1


def test_swapped_runs_change_sign():
    one, other = predictions(50, correct=range(30)), predictions(50, correct=range(20))
    ahead, behind = difference(one, other, 7), difference(other, one, 7)
    assert ahead.accuracy == -behind.accuracy > 0
    assert ahead.ci95[0] > 0 > behind.ci95[1]
    assert ahead.p == behind.p < 0.01
