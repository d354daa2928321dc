"""Wilson's interval against scipy's and published values, the bootstrap of groups against all resamples there are."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from stages.evaluation.intervals import accuracy_interval, bootstrap_over_groups, wilson


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (7, 10), (81, 263), (2512, 3589)])
def test_wilson_is_scipys(correct, n):
    found = binomtest(correct, n).proportion_ci(method="wilson")
    assert wilson(correct, n) == pytest.approx((found.low, found.high), abs=1e-12)


def test_wilson_as_published():
    """Newcombe 1998 (Statistics in Medicine 17), table I, method 3: 81 of 263 and 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(0, 20)[0] == 0.0


def every_resample(hits, sizes):
    """[(accuracy, share of the draws)] of all resamples of whole groups, by accuracy."""
    counts = Counter()
    for drawn in product(range(len(sizes)), repeat=len(sizes)):
        counts[sum(hits[at] for at in drawn) / sum(sizes[at] for at in drawn)] += 1
    return sorted((accuracy, count / len(sizes) ** len(sizes)) for accuracy, count in counts.items())


def test_bootstrap_over_groups_lies_among_all_resamples():
    """Five speakers of 10, 2, 4, 8 and 6 clips: 3125 resamples, counted one by one."""
    sizes, hits = (10, 2, 4, 8, 6), (9, 0, 3, 4, 1)
    names = [f"s{group}" for group, size in enumerate(sizes) for _ in range(size)]
    correct = np.array([clip < hits[group] for group, size in enumerate(sizes) for clip in range(size)])
    accuracies, shares = np.array(every_resample(hits, sizes)).T
    below = np.cumsum(shares)
    low, high = bootstrap_over_groups(correct, names, 7)
    for found, quantile in ((low, 0.025), (high, 0.975)):  # 2,000 draws miss a quantile by a per cent of the draws
        assert accuracies[below >= quantile - 0.01][0] <= found <= accuracies[below >= quantile + 0.01][0]


def test_bootstrap_over_groups_of_one_sample_each_is_the_usual_bootstrap():
    correct = np.random.default_rng(0).random(300) < 0.7
    usual = bootstrap((correct * 1.0,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert bootstrap_over_groups(correct, [f"s{at}" for at in range(300)], 7) == pytest.approx(tuple(usual), abs=0.01)
    assert bootstrap_over_groups(correct, [""] * 300, 7) == pytest.approx(tuple(usual), abs=0.01)


def test_speakers_that_differ_make_the_interval_wider():
    """100 clips each: two speakers always recognised, two never. Samples alone would claim ± 5 points."""
    correct = np.repeat([True, True, False, False], 100)
    (low, high), method = accuracy_interval(correct, {"speaker": np.repeat(list("abcd"), 100)}, 7)
    assert (low, high, method) == (0.0, 1.0, "bootstrap over 4 speakers")
    assert np.diff(accuracy_interval(correct, {}, 7)[0]) < 0.1


def test_interval_depends_on_the_seed_alone():
    random = np.random.default_rng(1)
    correct, groups = random.random(200) < 0.6, {"subject": [str(at % 13) for at in range(200)]}
    same = [accuracy_interval(correct, groups, 7) for _ in range(2)]
    assert same[0] == same[1]
    assert any(accuracy_interval(correct, groups, seed) != same[0] for seed in range(8, 14))


@pytest.mark.parametrize(
    ("groups", "method"),
    [
        ({}, "Wilson"),
        ({"speaker": ["a"] * 6}, "Wilson"),
        ({"speaker": ["a"] * 3 + [""] * 3}, "Wilson"),
        ({"gender": ["male", "female"] * 3, "intensity": ["1", "2"] * 3, "group": list("aabbcc")}, "Wilson"),
        ({"gender": ["male", "female"] * 3, "speaker": list("aabbcc")}, "bootstrap over 3 speakers"),
        ({"subject": list("aabbbb")}, "bootstrap over 2 subjects"),
        ({"speaker": ["a", "b", None, "", "a", "b"]}, "bootstrap over 2 speakers and 2 samples of an unknown speaker"),
    ],
)
def test_only_several_people_make_it_a_bootstrap(groups, method):
    correct = np.array([True, False, True, True, True, False])
    interval, found = accuracy_interval(correct, groups, 7)
    assert found == method
    assert (interval == wilson(4, 6)) == (method == "Wilson")


@pytest.mark.parametrize("right", [True, False])
def test_all_or_none_correct_is_no_point(right):
    """Every resample would come to the same, and claim that nothing else was possible."""
    interval, method = accuracy_interval(np.full(20, right), {"speaker": ["a", "b"] * 10}, 7)
    assert (interval, method) == (wilson(20 * right, 20), "Wilson")
