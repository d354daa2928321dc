"""Metrics against small cases computed by hand and against scikit-learn."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import classification_report, confusion_matrix

from stages.core.calibration import tempered
from stages.evaluation.metrics import compute_metrics

KEYS = [
    *("accuracy", "accuracy_ci95", "accuracy_ci95_method", "balanced_accuracy", "precision_macro", "recall_macro"),
    *("f1_macro", "f1_weighted", "ece", "calibration", "per_class", "per_group", "confusion", "most_confused"),
]
ABC = ["angry", "happy", "sad"]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def confident(predicted, n_classes=3, confidence=0.8):
    """Return probabilities with `confidence` at the predicted class."""
    rows = np.full((len(predicted), n_classes), (1 - confidence) / (n_classes - 1))
    rows[np.arange(len(predicted)), predicted] = confidence
    return rows


def compute(labels, probabilities, groups=None, classes=ABC):
    speakers = {"speaker": groups or [""] * len(labels)}
    return compute_metrics(np.array(labels), np.array(probabilities), speakers, classes, 7)


def test_small_case_by_hand():
    # angry: 2 of 3 correct, 1 classified as happy; happy: 1 of 1; sad: 0 of 2, both classified as happy
    found = compute([0, 0, 0, 1, 2, 2], confident([0, 0, 1, 1, 1, 1]))
    assert list(found) == KEYS
    assert found["accuracy"] == 0.5
    assert found["confusion"] == [[2, 1, 0], [0, 1, 0], [0, 2, 0]]
    assert found["most_confused"] == ["sad", "happy", 1.0]
    assert found["balanced_accuracy"] == found["recall_macro"] == round((2 / 3 + 1 + 0) / 3, 6)
    assert found["precision_macro"] == round((1 + 1 / 4 + 0) / 3, 6)
    assert found["f1_macro"] == round((0.8 + 0.4 + 0) / 3, 6)
    assert found["f1_weighted"] == round((3 * 0.8 + 0.4) / 6, 6)
    assert found["per_class"][1] == {"class": "happy", "precision": 0.25, "recall": 1.0, "f1": 0.4, "support": 1}
    assert found["ece"] == 0.3  # every confidence is .8, accuracy is .5
    assert found["per_group"] == []


def test_ece_weights_bins_by_size():
    # bin of .9: 2 samples, 1 right, gap .4; bin of .5: 1 sample, right, gap .5
    probabilities = np.concatenate([confident([0, 0], confidence=0.9), confident([1], confidence=0.5)])
    assert compute([0, 1, 1], probabilities)["ece"] == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.5, abs=1e-6)


def test_tells_the_error_before_a_temperature():
    raw, temperature = confident([0, 0, 1, 1], confidence=0.9), 2.0
    found = compute_metrics(np.array([0, 1, 1, 1]), tempered(raw, temperature), {}, ABC, 7, temperature)
    assert found["calibration"] == [{"temperature": 2.0, "ece_before": 0.15}]  # .9 against 3 of 4
    root = np.sqrt([0.9, 0.05])
    assert found["ece"] == pytest.approx(0.75 - root[0] / (root[0] + 2 * root[1]), abs=1e-6)
    assert compute([0, 1, 1, 1], raw)["calibration"] == [{"temperature": 1.0, "ece_before": 0.15}]


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(5, size=500), rng.dirichlet(np.ones(5), size=500).astype(np.float32)
    probabilities[np.arange(500), labels] += 1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[::3] = np.roll(probabilities[::3], 1, axis=1)
    predicted, classes = probabilities.argmax(1), list("abcde")
    found = compute(labels, probabilities, classes=classes)
    assert found["confusion"] == confusion_matrix(labels, predicted).tolist()
    expected = classification_report(labels, predicted, target_names=classes, output_dict=True)
    for row in found["per_class"]:
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert row[ours] == pytest.approx(expected[row["class"]][theirs], abs=1e-6)
    assert found["precision_macro"] == pytest.approx(expected["macro avg"]["precision"], abs=1e-6)
    assert found["f1_weighted"] == pytest.approx(expected["weighted avg"]["f1-score"], abs=1e-6)


def test_interval_and_its_method():
    """3 of 4 correct: Wilson by hand; two speakers with accuracies 1 and 2/3 give a bootstrap between both."""
    labels, probabilities = [0, 0, 1, 2], confident([0, 0, 1, 1])
    found = compute(labels, probabilities)
    z2 = 1.959964**2
    centre, half = (3 + z2 / 2) / (4 + z2), (z2 * (3 / 4 + z2 / 4)) ** 0.5 / (4 + z2)
    assert found["accuracy_ci95"] == pytest.approx([centre - half, centre + half], abs=1e-6)
    assert found["accuracy_ci95_method"] == "Wilson"
    found = compute(labels, probabilities, groups=["a", "b", "b", "b"])
    assert found["accuracy_ci95"] == [round(2 / 3, 6), 1.0]
    assert found["accuracy_ci95_method"] == "bootstrap over 2 speakers"


def test_absent_class_is_undefined_and_not_averaged():
    found = compute([0, 0, 1, 1], confident([0, 2, 1, 1]))
    assert found["per_class"][2] == {"class": "sad", "precision": None, "recall": None, "f1": None, "support": 0}
    assert found["balanced_accuracy"] == 0.75
    assert found["precision_macro"] == 1.0
    assert found["confusion"][2] == [0, 0, 0]


def test_class_that_is_never_predicted_has_precision_zero():
    found = compute([0, 1, 2], confident([0, 0, 0]))
    assert [row["precision"] for row in found["per_class"]] == [round(1 / 3, 6), 0.0, 0.0]


def test_most_confused_is_first_of_equals_or_none():
    assert compute([0, 1, 2], confident([0, 1, 2]))["most_confused"] is None
    assert compute([0, 1, 2, 2], confident([1, 2, 0, 1]))["most_confused"] == ["angry", "happy", 1.0]


def test_groups_are_sorted_without_unknown_ones():
    found = compute([0, 0, 1, 1, 2], confident([0, 1, 1, 1, 0]), groups=["s2", "s2", "s1", None, ""])
    assert found["per_group"] == [
        {"by": "speaker", "group": "s1", "n": 1, "accuracy": 1.0},
        {"by": "speaker", "group": "s2", "n": 2, "accuracy": 0.5},
    ]


@pytest.mark.parametrize(
    "probabilities",
    [
        [[0.5, 0.5, 0.0], [np.nan, 0.5, 0.5]],
        [[0.5, 0.5, 0.5], [0.2, 0.3, 0.5]],
        [[1.5, -0.5, 0.0], [0.2, 0.3, 0.5]],
        [[np.inf, 0.0, 0.0], [0.2, 0.3, 0.5]],
    ],
)
def test_rejects_rows_that_are_no_distributions(probabilities):
    with pytest.raises(ValueError, match="1 of 2 rows"):
        compute([0, 1], probabilities)
