"""The metrics of one run, ready for JSON: Python numbers, floats rounded to six decimals.

A class without test samples stays in `per_class` and `confusion` with support 0; its precision, recall and F1 do not
exist and are None. Macro averages, and balanced accuracy (macro recall), are taken over the classes with test samples.
A class with samples that is never predicted has precision 0.
"""

from collections.abc import Sequence

import numpy as np

from stages.core.calibration import tempered
from stages.evaluation import curves
from stages.evaluation.intervals import accuracy_interval
from stages.evaluation.predictions import Groupings

_SUM_TOLERANCE = 1e-3  # allowed error of a sum: a softmax may be in half precision


def compute_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: Groupings,
    classes: list[str],
    seed: int,
    temperature: float = 1.0,
) -> dict:
    """Return all metrics of samples with `labels` (N,), indices into `classes`, and `probabilities` (N, C).

    `groups` {'speaker': (N,) names, 'gender': …} has one name per sample, '' or None if unknown. `temperature`: the one
    that the probabilities have been divided by. Raises `ValueError` for logits and NaN (a training that diverged).
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    is_broken = ~((probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE))
    if is_broken.any():
        raise ValueError(f"probabilities must sum to 1 in each row; {is_broken.sum()} of {len(labels)} rows do not")
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    n = len(classes)
    # Samples of each true class (rows) predicted as each class (columns): (C, C)
    confusion = np.bincount(labels * n + predicted, minlength=n**2).reshape(n, n)
    per_class, averages = _class_metrics(confusion, classes)
    interval, method = accuracy_interval(correct, groups, seed)
    before = tempered(probabilities, 1 / temperature)
    return {
        "accuracy": _rounded(correct.mean()),
        "accuracy_ci95": [_rounded(bound) for bound in interval],
        "accuracy_ci95_method": method,
        **averages,
        "ece": _rounded(_ece(labels, probabilities)),
        # a list, like all that follows, so that `dvc metrics diff` leaves it out
        "calibration": [{"temperature": temperature, "ece_before": _rounded(_ece(labels, before))}],
        "per_class": per_class,
        "per_group": [row for by, names in groups.items() for row in _group_metrics(correct, by, names)],
        "confusion": confusion.tolist(),
        "most_confused": _most_confused(confusion, classes),
    }


def _ece(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return curves.expected_calibration_error(curves.calibration(labels, probabilities))


def _most_confused(confusion: np.ndarray, classes: list[str]) -> list | None:
    """Return [true, predicted, rate] of the highest confusion rate, the first of equal ones; None if there is none."""
    rates = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)  # (C, C)
    np.fill_diagonal(rates, 0)
    true, predicted = np.unravel_index(rates.argmax(), rates.shape)
    rate = rates[true, predicted]
    return [classes[true], classes[predicted], _rounded(rate)] if rate > 0 else None


def _class_metrics(confusion: np.ndarray, classes: list[str]) -> tuple[list[dict], dict]:
    """Return a row per class, and the averages over the classes with samples."""
    hits, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)  # (C,) each
    # F1 = 2 PR / (P + R) = 2 hits / (support + predicted); no hits among no samples make 0.
    parts = ((hits, predicted), (hits, support), (2 * hits, support + predicted))
    scores = np.stack([share / np.maximum(of, 1) for share, of in parts])  # (3, C)
    present = support > 0
    rows = []
    for c, name in enumerate(classes):
        precision, recall, f1 = (_rounded(value) if present[c] else None for value in scores[:, c])
        rows.append({"class": name, "precision": precision, "recall": recall, "f1": f1, "support": int(support[c])})
    precision, recall, f1 = (_rounded(value) for value in scores[:, present].mean(axis=1))
    averages = {"balanced_accuracy": recall, "precision_macro": precision, "recall_macro": recall, "f1_macro": f1}
    return rows, averages | {"f1_weighted": _rounded(np.average(scores[2], weights=support))}


def _group_metrics(correct: np.ndarray, by: str, groups: Sequence[str | None]) -> list[dict]:
    """Return the accuracy of each group, sorted by name, without samples of unknown group."""
    names = np.array([group or "" for group in groups], dtype=object)
    rows = []
    for group in sorted(set(names) - {""}):
        members = correct[names == group]
        rows.append({"by": by, "group": group, "n": len(members), "accuracy": _rounded(members.mean())})
    return rows


def _rounded(value: float) -> float:
    """Return the value with six decimals, which keep diffs of the metrics files readable."""
    return round(float(value), 6)
