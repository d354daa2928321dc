"""Predictions -> the figures of one run, ready for JSON: Python numbers, floats rounded to six decimals.

A class without a test sample keeps its place in `per_class` and `confusion` with support 0, and its precision, recall
and f1 are None, since they do not exist. The macro averages (and balanced accuracy, which is macro recall) are taken
over the classes that do have test samples. A class that has samples but is never predicted has precision 0.
"""

from collections.abc import Sequence

import numpy as np

from stages.evaluation import curves
from stages.evaluation.intervals import accuracy_interval

Groupings = dict[str, Sequence[str | None]]
_SUM_TOLERANCE = 1e-3  # half precision softmax sums to one within this


def compute(labels: np.ndarray, probabilities: np.ndarray, groups: Groupings, classes: list[str], seed: int) -> dict:
    """All figures of the samples given: `labels` (N,) indices into `classes`, `probabilities` (N, C).

    `groups` {'speaker': (N,) names, 'gender': …} holds one name per sample, '' or None where there is none. Raises
    `ValueError` on input that is no set of predictions.
    """
    labels, probabilities = _checked(labels, probabilities, groups, classes)
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    confusion = count(labels, predicted, len(classes))
    per_class, averages = _class_figures(confusion, classes)
    interval, method = accuracy_interval(correct, groups, seed)
    return {
        "accuracy": _rounded(correct.mean()),
        "accuracy_ci95": [_rounded(bound) for bound in interval],
        "accuracy_ci95_method": method,
        **averages,
        "ece": _rounded(curves.expected_calibration_error(curves.calibration(labels, probabilities))),
        "per_class": per_class,
        "per_group": [row for by, names in groups.items() for row in _group_figures(correct, by, names)],
        "confusion": confusion.tolist(),
        "most_confused": most_confused(confusion, classes),
    }


def count(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """The confusion matrix (C, C): how many samples of each true class (rows) were predicted as each class."""
    return np.bincount(labels * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)


def most_confused(confusion: np.ndarray, classes: list[str]) -> list | None:
    """[true, predicted, rate] of the largest share of one class taken for another; of equals, the first in order.

    None without any confusion.
    """
    rates = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)  # (C, C)
    np.fill_diagonal(rates, 0)
    true, predicted = np.unravel_index(rates.argmax(), rates.shape)
    rate = rates[true, predicted]
    return [classes[true], classes[predicted], _rounded(rate)] if rate > 0 else None


def _class_figures(confusion: np.ndarray, classes: list[str]) -> tuple[list[dict], dict]:
    """A row per class, and the averages over the classes that occur."""
    hits, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)  # (C,) each
    # F1 = 2 PR / (P + R) = 2 hits / (support + predicted); no hits among no samples make 0.
    parts = ((hits, predicted), (hits, support), (2 * hits, support + predicted))
    scores = np.stack([share / np.maximum(of, 1) for share, of in parts])  # (3, C)
    present = support > 0
    rows = [
        {"class": name}
        | dict(zip(("precision", "recall", "f1"), _rounded_or_none(scores[:, c], present[c]), strict=True))
        | {"support": int(support[c])}
        for c, name in enumerate(classes)
    ]
    precision, recall, f1 = (_rounded(value) for value in scores[:, present].mean(axis=1))
    averages = {
        "balanced_accuracy": recall,
        "precision_macro": precision,
        "recall_macro": recall,
        "f1_macro": f1,
        "f1_weighted": _rounded(np.average(scores[2], weights=support)),
    }
    return rows, averages


def _group_figures(correct: np.ndarray, by: str, groups: Sequence[str | None]) -> list[dict]:
    """Accuracy of each group, by name; samples without a group are left out."""
    named = np.array([group or "" for group in groups], dtype=object)
    held = {group: named == group for group in sorted(set(named) - {""})}
    return [
        {"by": by, "group": group, "n": int(mask.sum()), "accuracy": _rounded(correct[mask].mean())}
        for group, mask in held.items()
    ]


def _checked(
    labels: np.ndarray, probabilities: np.ndarray, groups: Groupings, classes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    expected = (len(labels), len(classes))
    if labels.ndim != 1 or not len(labels) or len(classes) < 2:
        received = f"{labels.shape}, {len(classes)} classes"
        raise ValueError(f"labels must be (N,) with N >= 1 of >= 2 classes; received {received}")
    sizes = {by: len(names) for by, names in groups.items()}
    if probabilities.shape != expected or set(sizes.values()) - {len(labels)}:
        raise ValueError(
            f"probabilities must be {expected} and groups ({expected[0]},); received {probabilities.shape} and {sizes}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= len(classes):
        received = f"{labels.dtype} from {labels.min()} to {labels.max()}"
        raise ValueError(f"labels must be integers in [0, {len(classes) - 1}]; received {received}")
    _check_probabilities(probabilities)
    return labels, probabilities


def _check_probabilities(probabilities: np.ndarray) -> None:
    """Each row finite, not negative and summing to one; logits, NaN and halves of a softmax are refused."""
    for fault, broken in (
        ("finite", ~np.isfinite(probabilities).all(axis=1)),
        ("not negative", (probabilities < 0).any(axis=1)),
        ("sum to 1 in each row", np.abs(probabilities.sum(axis=1) - 1) > _SUM_TOLERANCE),
    ):
        if broken.any():
            row = int(broken.argmax())
            raise ValueError(
                f"probabilities must be {fault}; {int(broken.sum())} of {len(broken)} rows are not, "
                f"first row {row}: {np.array2string(probabilities[row], precision=4, threshold=12)}"
            )


def _rounded(value: float) -> float:
    """Six decimals keep diffs of the metrics files readable."""
    return round(float(value), 6)


def _rounded_or_none(values: np.ndarray, exists: bool) -> list[float | None]:
    return [_rounded(value) if exists else None for value in values]
