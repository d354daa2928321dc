"""ROC curves against scikit-learn, coverage by hand."""

import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score, roc_curve

from stages.evaluation.curves import coverage, one_vs_rest


@pytest.mark.parametrize("decimals", [1, 2, 7])  # few decimals: many equal scores
@pytest.mark.parametrize("n", [3, 20, 150])
def test_roc_equals_scikit_learn(n, decimals):
    rng = np.random.default_rng(n)
    labels = np.append([0, 1], rng.integers(3, size=n - 2))
    probabilities = rng.dirichlet(np.ones(3), size=n).round(decimals).astype(np.float32)
    found = {curve.name: curve for curve in one_vs_rest(labels, probabilities, list("abc"))}
    for index, name in enumerate("abc"):
        positive = labels == index
        if not positive.any():
            assert name not in found
            continue
        fpr, tpr, _ = roc_curve(positive, probabilities[:, index])
        curve = found[name]
        assert curve.area == pytest.approx(roc_auc_score(positive, probabilities[:, index]))
        # The same polygon: all corners are points of scikit-learn's curve, and the area is equal.
        corners = set(zip(curve.fpr.round(9), curve.tpr.round(9), strict=True))
        assert corners <= set(zip(fpr.round(9), tpr.round(9), strict=True))
        assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(auc(fpr, tpr))


def test_perfect_ranking_and_equal_scores():
    labels = np.array([0, 0, 1, 1])
    perfect, one_score = (np.array([[p, 1 - p] for p in column]) for column in ((0.9, 0.8, 0.3, 0.2), (0.5,) * 4))
    first = one_vs_rest(labels, perfect, ["a", "b"])[0]
    assert (first.fpr.tolist(), first.tpr.tolist(), first.area) == ([0, 0, 1], [0, 1, 1], 1.0)
    first = one_vs_rest(labels, one_score, ["a", "b"])[0]
    assert (first.fpr.tolist(), first.tpr.tolist(), first.area) == ([0, 1], [0, 1], 0.5)


def test_coverage_by_hand():
    confidence = np.array([0.9, 0.8, 0.6, 0.55])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    rows = {row.threshold: row[1:] for row in coverage(np.array([0, 0, 1, 0]), probabilities)}
    assert rows[0.0] == rows[0.5] == (1.0, 0.75)
    assert rows[0.56] == rows[0.6] == (0.75, pytest.approx(2 / 3))
    assert rows[0.61] == rows[0.8] == (0.5, 1.0)
    assert rows[0.9] == (0.25, 1.0)
    assert max(rows) == 0.9  # above it, no sample is answered
