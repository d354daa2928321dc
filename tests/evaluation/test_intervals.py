"""Wilson's interval against scipy and published values, the group bootstrap against all possible resamples."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from stages.evaluation.intervals import accuracy_interval, bootstrap_over_groups, wilson


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 10), (81, 263), (2512, 3589)])
def test_wilson_equals_scipy(correct, n):
    found = binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson(correct, n) == pytest.approx((found.low, found.high), abs=1e-12)


def test_wilson_equals_published_values():
    """Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 81 of 263 and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 20)[0] == 0.0


def every_resample(hits, sizes):
    """Return [(accuracy, probability)] of all resamples of whole groups, by accuracy."""
    counts = Counter()
    for resample in product(range(len(sizes)), repeat=len(sizes)):
        counts[sum(hits[at] for at in resample) / sum(sizes[at] for at in resample)] += 1
    return sorted((accuracy, count / len(sizes) ** len(sizes)) for accuracy, count in counts.items())


def test_group_bootstrap_equals_all_resamples():
    """Five speakers with 10, 2, 4, 8 and 6 clips have 3125 resamples."""
    sizes, hits = (10, 2, 4, 8, 6), (9, 0, 3, 4, 1)
    names = [f"s{group}" for group, size in enumerate(sizes) for _ in range(size)]
    correct = np.array([clip < hits[group] for group, size in enumerate(sizes) for clip in range(size)])
    accuracies, shares = np.array(every_resample(hits, sizes)).T
    below = np.cumsum(shares)
    low, high = bootstrap_over_groups(correct, names, 7)
    for found, quantile in ((low, 0.025), (high, 0.975)):  # 2,000 resamples miss a quantile by about one per cent
        assert accuracies[below >= quantile - 0.01][0] <= found <= accuracies[below >= quantile + 0.01][0]


def test_groups_of_one_sample_give_the_usual_bootstrap():
    correct = np.random.default_rng(0).random(300) < 0.7
    usual = bootstrap((correct * 1.0,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert bootstrap_over_groups(correct, [f"s{at}" for at in range(300)], 7) == pytest.approx(tuple(usual), abs=0.01)
    assert bootstrap_over_groups(correct, [""] * 300, 7) == pytest.approx(tuple(usual), abs=0.01)


def test_different_speakers_widen_the_interval():
    """Two of four speakers are always recognised, two never. An interval over samples would be ± 5 points."""
    correct = np.repeat([True, True, False, False], 100)
    (low, high), method = accuracy_interval(correct, {"speaker": np.repeat(list("abcd"), 100)}, 7)
    assert (low, high, method) == (0.0, 1.0, "bootstrap over 4 speakers")
    assert np.diff(accuracy_interval(correct, {}, 7)[0]) < 0.1


@pytest.mark.parametrize(
    ("groups", "method"),
    [
        ({}, "Wilson"),
        ({"speaker": ["a"] * 3 + [""] * 3}, "Wilson"),
        ({"gender": ["male", "female"] * 3, "intensity": ["1", "2"] * 3, "group": list("aabbcc")}, "Wilson"),
        ({"gender": ["male", "female"] * 3, "speaker": list("aabbcc")}, "bootstrap over 3 speakers"),
        ({"subject": list("aabbbb")}, "bootstrap over 2 subjects"),
        ({"speaker": ["a", "b", None, "", "a", "b"]}, "bootstrap over 2 speakers and 2 samples of an unknown speaker"),
    ],
)
def test_bootstrap_needs_several_speakers_or_subjects(groups, method):
    correct = np.array([True, False, True, True, True, False])
    interval, found = accuracy_interval(correct, groups, 7)
    assert found == method
    assert (interval == wilson(4, 6)) == (method == "Wilson")


@pytest.mark.parametrize("right", [True, False])
def test_all_or_none_correct_gives_wilson(right):
    """All resamples would be equal, and the interval a single point."""
    interval, method = accuracy_interval(np.full(20, right), {"speaker": ["a", "b"] * 10}, 7)
    assert (interval, method) == (wilson(20 * right, 20), "Wilson")
