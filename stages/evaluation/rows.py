"""The CSV files that `dvc plots` draws. Six decimals, '\\n' line ends, whole or not at all.

The last column of each, `corpus`, repeats the corpus's name ('synthetic', 'FER-2013'), so that every plot can say it.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from stages.core.files import write_csv
from stages.evaluation import curves


def write_all(
    folder: Path, labels: np.ndarray, probabilities: np.ndarray, classes: list[str], figures: dict, corpus: str
) -> None:
    """`confusion.csv`, `per_class.csv`, `roc.csv` and `calibration.csv` of the test part."""
    write_confusion(folder / "confusion.csv", labels, probabilities, classes, corpus)
    write_per_class(folder / "per_class.csv", figures, corpus)
    write_roc(folder / "roc.csv", labels, probabilities, classes, corpus)
    write_calibration(folder / "calibration.csv", labels, probabilities, corpus)


def write_confusion(path: Path, labels: np.ndarray, probabilities: np.ndarray, classes: list[str], corpus: str) -> None:
    """One row per sample, as DVC's confusion templates count them."""
    predicted = probabilities.argmax(axis=1)
    pairs = zip(labels, predicted, strict=True)
    _write(path, ("actual", "predicted"), ((classes[true], classes[guess]) for true, guess in pairs), corpus)


def write_per_class(path: Path, figures: dict, corpus: str) -> None:
    """A row per class, then 'macro avg' and 'weighted avg' as scikit-learn's report has them; empty where undefined."""
    columns = ("class", "precision", "recall", "f1", "support")
    rows = [tuple(row[column] for column in columns) for row in figures["per_class"]]
    n = sum(row[-1] for row in rows)
    weighted_precision = sum(row[1] * row[-1] for row in rows if row[-1]) / n
    # recall weighted by support is accuracy: Σ_c (n_c / n) · (hits_c / n_c)
    macro = tuple(figures[f"{name}_macro"] for name in ("precision", "recall", "f1"))
    rows.append(("macro avg", *macro, n))
    rows.append(("weighted avg", weighted_precision, figures["accuracy"], figures["f1_weighted"], n))
    _write(path, columns, rows, corpus)


def write_roc(path: Path, labels: np.ndarray, probabilities: np.ndarray, classes: list[str], corpus: str) -> None:
    """One-vs-rest curves of the classes that have positives and negatives, then 'macro', at most 200 points each."""
    found = curves.one_vs_rest(labels, probabilities, classes)
    points = ((curve.name, x, y) for curve in found for x, y in zip(curve.fpr, curve.tpr, strict=True))
    _write(path, ("class", "fpr", "tpr"), points, corpus)


def write_calibration(path: Path, labels: np.ndarray, probabilities: np.ndarray, corpus: str) -> None:
    """Mean confidence and accuracy of each occupied confidence bin."""
    bins = curves.calibration(labels, probabilities)
    columns = ("bin_low", "bin_high", "confidence", "accuracy", "n")
    _write(path, columns, ((b.low, b.high, b.confidence, b.accuracy, b.n) for b in bins), corpus)


def _write(path: Path, columns: tuple[str, ...], rows: Iterable[tuple], corpus: str) -> None:
    write_csv(path, (*columns, "corpus"), ((*row, corpus) for row in rows))
