"""The two curves behind numbers, rows and pictures: one-vs-rest ROC and calibration bins."""

from dataclasses import dataclass

import numpy as np

CALIBRATION_BINS = 15
ROC_POINTS = 200
_BESIDE = 1e-9  # left and right of a vertical step; distinct rates differ by 1 / n, far more


@dataclass(frozen=True)
class Roc:
    """One curve; `area` is that of the full curve, `fpr` and `tpr` are thinned for drawing."""

    name: str
    fpr: np.ndarray
    tpr: np.ndarray
    area: float


@dataclass(frozen=True)
class Bin:
    """Samples whose top-label confidence lies in (low, high]."""

    low: float
    high: float
    confidence: float
    accuracy: float
    n: int


def one_vs_rest(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> list[Roc]:
    """A curve for each class with at least one positive and one negative, then 'macro', their mean."""
    curves = []
    for index, name in enumerate(classes):
        positive = labels == index
        if positive.any() and not positive.all():
            curves.append((name, *_roc(positive, probabilities[:, index])))
    if curves:
        curves.append(("macro", *_mean_curve([(fpr, tpr) for _, fpr, tpr in curves])))
    return [Roc(name, *_thinned(fpr, tpr), float(np.trapezoid(tpr, fpr))) for name, fpr, tpr in curves]


def _roc(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rates at every threshold, from (0, 0) to (1, 1), without points within a straight line.

    Samples of one score fall on the same side of every threshold, so they make one step.
    """
    order = np.argsort(-score, kind="stable")
    last_of_score = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.append(0, np.cumsum(positive[order])[last_of_score])
    false_alarms = np.append(0, last_of_score + 1) - hits
    corner = (np.diff(hits, 2) != 0) | (np.diff(false_alarms, 2) != 0)
    kept = np.concatenate([[True], corner, [True]])
    return false_alarms[kept] / false_alarms[-1], hits[kept] / hits[-1]


def _mean_curve(curves: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean true positive rate at every false positive rate that occurs; its area is the mean of the areas."""
    grid = np.unique(np.concatenate([fpr for fpr, _ in curves]))  # (G,)
    both_sides = np.stack([grid - _BESIDE, grid + _BESIDE], axis=1).ravel()  # (2G,): keeps vertical steps vertical
    tpr = np.mean([np.interp(both_sides, *curve) for curve in curves], axis=0)
    return grid.repeat(2), tpr


def _thinned(fpr: np.ndarray, tpr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `ROC_POINTS` of the curve's own points, evenly spaced along it, both ends included."""
    if len(fpr) <= ROC_POINTS:
        return fpr, tpr
    travelled = fpr + tpr  # both only grow, so this is the way along the curve, 0 to 2
    kept = np.searchsorted(travelled, np.linspace(0, travelled[-1], ROC_POINTS - 1))
    kept = np.unique(np.append(np.minimum(kept, len(fpr) - 1), len(fpr) - 1))
    kept[0] = 0
    return fpr[kept], tpr[kept]


def calibration(labels: np.ndarray, probabilities: np.ndarray) -> list[Bin]:
    """The occupied ones of 15 equal-width bins ((m - 1) / M, m / M] of top-label confidence."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    members = np.digitize(confidence, edges[1:-1], right=True)
    return [
        Bin(float(edges[m]), float(edges[m + 1]), float(confidence[held].mean()), float(correct[held].mean()), int(n))
        for m, n in enumerate(np.bincount(members, minlength=CALIBRATION_BINS))
        if n and (held := members == m).any()
    ]


def expected_calibration_error(bins: list[Bin]) -> float:
    """ECE = Σ_m |B_m| / n · |acc(B_m) - conf(B_m)|.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, with M = 15 as in their tables.
    """
    n = sum(b.n for b in bins)
    return sum(b.n / n * abs(b.accuracy - b.confidence) for b in bins)
