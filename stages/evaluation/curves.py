"""One-vs-rest ROC curves, calibration with its error, and accuracy by the share of samples that are answered.

scikit-learn would take a second to import in every `evaluate`; the tests compare with it.
"""

from typing import NamedTuple

import numpy as np

CALIBRATION_BINS = 15
ROC_POINTS = 200
_STEP = 1e-9  # offset to both sides of a vertical step; far below 1 / n, by which distinct rates differ


class Roc(NamedTuple):
    """One ROC curve: `area` of the full curve, and `fpr` and `tpr` of at most `ROC_POINTS` points for plots."""

    name: str
    fpr: np.ndarray
    tpr: np.ndarray
    area: float


class Bin(NamedTuple):
    """Samples whose top-label confidence lies in (low, high]."""

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


def one_vs_rest(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> list[Roc]:
    """Return a curve for each class that has positive and negative samples, then their mean, called 'macro'.

    `labels` (N,), `probabilities` (N, C).
    """
    curves = []
    for index, name in enumerate(classes):
        positive = labels == index
        if positive.any() and not positive.all():
            curves.append((name, *_roc(positive, probabilities[:, index])))
    if curves:
        curves.append(("macro", *_mean_curve([(fpr, tpr) for _, fpr, tpr in curves])))
    return [Roc(name, *_thinned(fpr, tpr), float(np.trapezoid(tpr, fpr))) for name, fpr, tpr in curves]


def _roc(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false and true positive rates at every threshold, from (0, 0) to (1, 1), without points on straight lines.

    Samples with equal scores are on the same side of every threshold, so they form one step.
    """
    order = np.argsort(-score, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.append(0, np.cumsum(positive[order])[last_of_score])
    false_alarms = np.append(0, last_of_score + 1) - hits
    is_corner = (np.diff(hits, 2) != 0) | (np.diff(false_alarms, 2) != 0)
    kept = np.concatenate([[True], is_corner, [True]])
    return false_alarms[kept] / false_alarms[-1], hits[kept] / hits[-1]


def _mean_curve(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean true positive rate at every false positive rate; its area is the mean of the areas."""
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))  # (G,)
    both_sides = np.stack([grid - _STEP, grid + _STEP], axis=1).ravel()  # (2G,): keeps vertical steps vertical
    tpr = np.mean([np.interp(both_sides, *curve) for curve in curves], axis=0)
    return grid.repeat(2), tpr


def _thinned(fpr: np.ndarray, tpr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `ROC_POINTS` points of the curve at most, evenly spaced along it, with both ends."""
    if len(fpr) <= ROC_POINTS:
        return fpr, tpr
    distance = fpr + tpr  # along the curve, from 0 to 2, as both rates only grow
    kept = np.searchsorted(distance, np.linspace(0, distance[-1], ROC_POINTS - 1))
    kept = np.unique(np.append(np.minimum(kept, len(fpr) - 1), len(fpr) - 1))
    kept[0] = 0
    return fpr[kept], tpr[kept]


class Answered(NamedTuple):
    """The samples with a confidence of `threshold` or more: their share of all, and the accuracy among them."""

    threshold: float
    coverage: float
    accuracy: float


def coverage(labels: np.ndarray, probabilities: np.ndarray) -> list[Answered]:
    """Return what is answered, and how well, at thresholds from 0 to 0.99 that still leave a sample.

    This is the risk–coverage curve of selective classification (El-Yaniv and Wiener 2010), with accuracy for risk.
    """
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    rows = []
    for percent in range(100):
        answered = confidence >= percent / 100
        if answered.any():
            rows.append(Answered(percent / 100, float(answered.mean()), float(correct[answered].mean())))
    return rows


def calibration(labels: np.ndarray, probabilities: np.ndarray) -> list[Bin]:
    """Return the non-empty bins of top-label confidence, of `CALIBRATION_BINS` equal bins ((m - 1) / M, m / M]."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    members = np.digitize(confidence, edges[1:-1], right=True)  # (N,): the bin of each sample
    bins = []
    for m in np.unique(members):
        held = members == m
        means = float(confidence[held].mean()), float(correct[held].mean())
        bins.append(Bin(float(edges[m]), float(edges[m + 1]), *means, int(held.sum())))
    return bins


def expected_calibration_error(bins: list[Bin]) -> float:
    """Return ECE = Σ_m |B_m| / n · |acc(B_m) - conf(B_m)|.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, with M = 15 as in their tables.
    """
    n = sum(b.n for b in bins)
    return sum(b.n / n * abs(b.accuracy - b.confidence) for b in bins)
