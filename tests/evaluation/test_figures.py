"""Figures against tiny cases worked by hand and against independent implementations."""

import json
import warnings

import numpy as np
import pytest
from sklearn.metrics import classification_report, confusion_matrix

from stages.evaluation import figures

KEYS = [
    *("accuracy", "accuracy_ci95", "accuracy_ci95_method", "balanced_accuracy", "precision_macro", "recall_macro"),
    *("f1_macro", "f1_weighted", "ece", "per_class", "per_group", "confusion", "most_confused"),
]
ABC = ["angry", "happy", "sad"]


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def certain(predicted, n_classes=3, confidence=0.8):
    """Probabilities whose largest entry is `confidence` at `predicted`."""
    rows = np.full((len(predicted), n_classes), (1 - confidence) / (n_classes - 1))
    rows[np.arange(len(predicted)), predicted] = confidence
    return rows


def compute(labels, probabilities, groups=None, classes=ABC, seed=7):
    return figures.compute(
        np.array(labels), np.array(probabilities), {"speaker": groups or [""] * len(labels)}, classes, seed
    )


def drawn(n, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    scores = rng.normal(size=(n, n_classes))
    scores[np.arange(n), labels] += 1.2
    probabilities = np.exp(scores)
    return labels, (probabilities / probabilities.sum(axis=1, keepdims=True)).astype(np.float32)


def test_tiny_case_by_hand():
    # angry: 2 of 3 found, 1 taken for happy; happy: 1 of 1; sad: 0 of 2, both taken for happy
    found = compute([0, 0, 0, 1, 2, 2], certain([0, 0, 1, 1, 1, 1]))
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


def test_ece_weighs_bins_by_their_size():
    # bin of .9: 2 samples, 1 right, gap .4; bin of .5: 1 sample, right, gap .5
    probabilities = np.concatenate([certain([0, 0], confidence=0.9), certain([1], confidence=0.5)])
    assert compute([0, 1, 1], probabilities)["ece"] == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.5, abs=1e-6)


def test_agrees_with_classification_report():
    labels, probabilities = drawn(500, 5)
    classes = list("abcde")
    found = compute(labels, probabilities, classes=classes)
    expected = classification_report(labels, probabilities.argmax(1), target_names=classes, output_dict=True)
    for row in found["per_class"]:
        reported = expected[row["class"]]
        assert row["precision"] == pytest.approx(reported["precision"], abs=1e-6)
        assert row["f1"] == pytest.approx(reported["f1-score"], abs=1e-6)
    assert found["precision_macro"] == pytest.approx(expected["macro avg"]["precision"], abs=1e-6)
    assert found["f1_weighted"] == pytest.approx(expected["weighted avg"]["f1-score"], abs=1e-6)


def test_confusion_is_scikit_learns_also_where_a_class_is_absent():
    labels, probabilities = drawn(200, 6)
    labels = labels % 4
    expected = confusion_matrix(labels, probabilities.argmax(1), labels=range(6))
    assert compute(labels, probabilities, classes=list("abcdef"))["confusion"] == expected.tolist()


def test_interval_and_its_method():
    """3 of 4 correct: Wilson by hand; of two speakers, one at 1/1 and one at 2/3, a bootstrap between the two."""
    labels, probabilities = [0, 0, 1, 2], certain([0, 0, 1, 1])
    found = compute(labels, probabilities)
    z2 = 1.959964**2
    centre, half = (3 + z2 / 2) / (4 + z2), (z2 * (3 / 4 + z2 / 4)) ** 0.5 / (4 + z2)
    assert found["accuracy_ci95"] == pytest.approx([centre - half, centre + half], abs=1e-6)
    assert found["accuracy_ci95_method"] == "Wilson"
    found = compute(labels, probabilities, groups=["a", "b", "b", "b"])
    assert found["accuracy_ci95"] == [round(2 / 3, 6), 1.0]
    assert found["accuracy_ci95_method"] == "bootstrap over 2 speakers"


def test_absent_class_is_undefined_and_left_out_of_the_averages():
    found = compute([0, 0, 1, 1], certain([0, 2, 1, 1]))
    assert found["per_class"][2] == {"class": "sad", "precision": None, "recall": None, "f1": None, "support": 0}
    assert found["balanced_accuracy"] == 0.75
    assert found["precision_macro"] == 1.0
    assert found["confusion"][2] == [0, 0, 0]


def test_always_predicting_one_class():
    found = compute([0, 1, 2], certain([0, 0, 0]))
    assert found["balanced_accuracy"] == pytest.approx(1 / 3, abs=1e-6)
    assert [row["precision"] for row in found["per_class"]] == [round(1 / 3, 6), 0.0, 0.0]


def test_most_confused_is_none_without_confusion_and_first_of_equals():
    assert compute([0, 1, 2], certain([0, 1, 2]))["most_confused"] is None
    assert compute([0, 1, 2, 2], certain([1, 2, 0, 1]))["most_confused"] == ["angry", "happy", 1.0]


def test_groups_are_sorted_and_the_nameless_left_out():
    found = compute([0, 0, 1, 1, 2], certain([0, 1, 1, 1, 0]), groups=["s2", "s2", "s1", None, ""])
    assert found["per_group"] == [
        {"by": "speaker", "group": "s1", "n": 1, "accuracy": 1.0},
        {"by": "speaker", "group": "s2", "n": 2, "accuracy": 0.5},
    ]


def test_survives_json_unchanged():
    found = compute(*drawn(50, 3), groups=["a", "b"] * 25)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("labels", "probabilities", "groups", "message"),
    [
        ([0, 1], [[0.5, 0.5, 0.0], [np.nan, 0.5, 0.5]], None, "finite; 1 of 2 rows are not, first row 1"),
        ([0, 1], [[0.5, 0.5, 0.5], [0.2, 0.3, 0.5]], None, "sum to 1 in each row; 1 of 2 rows"),
        ([0, 1], [[1.5, -0.5, 0.0], [0.2, 0.3, 0.5]], None, "not negative"),
        ([0, 3], certain([0, 1]), None, r"integers in \[0, 2\]; received int64 from 0 to 3"),
        ([0.0, 1.0], certain([0, 1]), None, "received float64"),
        ([], np.zeros((0, 3)), None, "N >= 1"),
        ([0, 1], certain([0, 1], n_classes=4), None, r"probabilities must be \(2, 3\)"),
        ([0, 1], certain([0, 1]), ["a"], r"groups \(2,\)"),
    ],
)
def test_refuses_what_is_no_set_of_predictions(labels, probabilities, groups, message):
    with pytest.raises(ValueError, match=message):
        compute(labels, probabilities, groups)
