"""CSV files: the columns that DVC's templates expect, and curves with the area that scikit-learn computes."""

import csv
from itertools import groupby

import numpy as np
import pytest
from sklearn.metrics import classification_report, roc_auc_score

from stages.evaluation.metrics import compute_metrics
from stages.evaluation.pictures import gallery

CLASSES = ["angry", "happy", "sad", "calm, or so"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    rng = np.random.default_rng(3)
    labels = rng.choice(4, size=3000, p=[0.5, 0.3, 0.17, 0.03])
    scores = rng.normal(size=(3000, 4))
    scores[np.arange(3000), labels] += 1
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    folder = tmp_path_factory.mktemp("rows")
    metrics = compute_metrics(labels, probabilities, {}, CLASSES, 7)
    gallery.write_tables(folder, labels, probabilities, CLASSES, metrics, "FER-2013")
    return folder, labels, probabilities


def table(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_last_column_of_each_file_names_the_corpus(written):
    folder, *_ = written
    paths = sorted(folder.iterdir())
    assert [path.stem for path in paths] == ["calibration", "confusion", "per_class", "roc"]
    for path in paths:
        lines = table(path)
        assert list(lines[0])[-1] == "corpus"
        assert {row["corpus"] for row in lines} == {"FER-2013"}


def test_confusion_has_a_row_per_sample(written):
    folder, labels, probabilities = written
    lines = table(folder / "confusion.csv")
    assert [row["actual"] for row in lines] == [CLASSES[label] for label in labels]
    assert [row["predicted"] for row in lines] == [CLASSES[index] for index in probabilities.argmax(1)]


def test_per_class_ends_with_both_averages(written):
    folder, labels, probabilities = written
    by_class = {row["class"]: row for row in table(folder / "per_class.csv")}
    expected = classification_report(labels, probabilities.argmax(1), target_names=CLASSES, output_dict=True)
    assert list(by_class) == [*CLASSES, "macro avg", "weighted avg"]
    for name, row in by_class.items():
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert float(row[ours]) == pytest.approx(expected[name][theirs], abs=2e-6)
        assert int(row["support"]) == expected[name]["support"]


def test_thinned_curves_keep_their_area(written):
    folder, labels, probabilities = written
    areas = {}
    for name, points in groupby(table(folder / "roc.csv"), key=lambda row: row["class"]):
        fpr, tpr = np.array([(float(row["fpr"]), float(row["tpr"])) for row in points]).T
        assert len(fpr) <= 200
        assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
        assert (np.diff(fpr) >= 0).all()
        areas[name] = np.trapezoid(tpr, fpr)
    for index, name in enumerate(CLASSES):
        assert areas[name] == pytest.approx(roc_auc_score(labels == index, probabilities[:, index]), abs=1e-3)
    assert areas["macro"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"), abs=1e-3)


def test_calibration_covers_every_sample_once(written):
    folder, labels, _ = written
    lines = table(folder / "calibration.csv")
    assert sum(int(row["n"]) for row in lines) == len(labels)
    assert all(float(row["bin_low"]) < float(row["confidence"]) <= float(row["bin_high"]) for row in lines)


@pytest.mark.parametrize(("labels", "curves"), [([0, 1, 0], {"a", "b", "macro"}), ([0, 0, 0], set())])
def test_absent_class_has_empty_row_and_no_curve(tmp_path, labels, curves):
    labels, probabilities = np.array(labels), np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
    metrics = compute_metrics(labels, probabilities, {}, ["a", "b", "c"], 7)
    gallery.write_tables(tmp_path, labels, probabilities, ["a", "b", "c"], metrics, "synthetic")
    assert "c,,,,0,synthetic\n" in (tmp_path / "per_class.csv").read_text()
    assert {row["class"] for row in table(tmp_path / "roc.csv")} == curves
