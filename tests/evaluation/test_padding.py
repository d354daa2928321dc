"""Which runs are compared is found from their options and datasets; that one padding beats another is tested."""

import pytest
from scipy.stats import binom
from small_predictions import said

from stages.evaluation.padding import tables

N = 20


def run(name, padding="zero", *, corpus="eeg", most_confused=("sad", "fear", 0.4), classes=5, lr=0.001, **options):
    model = {"name": "eeg_lstm", "hidden": 8, **options}
    augmentation = {"name": "eeg", "padding": padding}
    chosen = {"corpus": corpus, "dataset": f"{corpus}_{padding}", "model": model, "augmentation": augmentation}
    figures = {"most_confused": most_confused and list(most_confused), "per_class": [{}] * classes}
    return {
        "chosen": chosen | {"optimizer": {"name": "adam", "lr": lr}},
        "dataset": {"corpus": corpus, "feature": {"name": "eeg", "padding": padding, "max_windows": 74}},
        "metrics": {"run": name, "model": model["name"], "corpus": corpus} | figures,
    }


def three():
    """Of one model, in no order, and what they said: 10, 18 and 9 of the 20 test trials right."""
    runs = [run("c", use_length=True), run("b", "average", use_length=False), run("a", use_length=False)]
    return runs, {"a": said(N, right=range(10)), "b": said(N, right=range(18)), "c": said(N, right=range(1, 10))}


def test_a_row_of_three_paddings_and_their_differences():
    (table,) = tables(*three(), 7)
    (row,) = table["rows"]
    assert [metrics["run"] for metrics in row["cells"]] == ["a", "b", "c"]
    assert [found.accuracy for found in row["differences"]] == pytest.approx([0.4, -0.05, -0.45])
    assert row["verdicts"] == ["average beats zero", "mask does not differ from zero", "mask loses to average"]


def test_intervals_are_those_of_the_pairs():
    """8 trials gained and none lost: the share of gains, resampled, is binomial (20, 0.4)."""
    (table,) = tables(*three(), 7)
    expected = [binom.ppf(place, N, 0.4) / N for place in (0.025, 0.975)]
    assert table["rows"][0]["differences"][0].ci95 == pytest.approx(expected, abs=0.051)


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"hidden": 9}, {"corpus": "eegmat"}])
def test_what_differs_in_anything_else_is_not_compared(change):
    runs = [run("a"), run("b", "average", **change)]
    assert tables(runs, {name: said(N, right=range(5)) for name in "ab"}, 7) == []


def test_each_corpus_has_a_table_and_a_model_alone_still_a_row():
    runs = [run("a"), run("b", "average"), run("c", hidden=9, use_length=True)]
    runs += [run("d", corpus="eegmat"), run("e", "average", corpus="eegmat")]
    first, second = tables(runs, {name: said(N, right=range(5)) for name in "abcde"}, 7)
    assert [[metrics and metrics["run"] for metrics in row["cells"]] for row in first["rows"]] == [
        ["a", "b", None],
        [None, None, "c"],
    ]
    assert first["rows"][1]["differences"] == [None] * 3
    assert second["metrics"]["corpus"] == "eegmat"


def test_features_without_padding_have_no_table():
    runs, predictions = three()
    for found in runs:
        del found["dataset"]["feature"]["padding"]
    assert tables(runs, predictions, 7) == []


def test_the_most_confused_pair_in_either_direction():
    confused = [("sad", "fear", 0.4), ("fear", "sad", 0.3), ("happy", "sad", 0.2), None]
    runs = [
        run(name, padding, most_confused=pair, hidden=hidden)
        for name, padding, pair, hidden in zip("abcd", ["zero", "average"] * 2, confused, [8, 8, 9, 9], strict=True)
    ]
    (table,) = tables(runs, {name: said(N, right=range(5)) for name in "abcd"}, 7)
    assert (table["n_runs"], table["confused"]) == (4, [("fear", "sad", 2), ("happy", "sad", 1)])


def test_of_two_classes_no_pair_is_told():
    runs = [run("a", classes=2), run("b", "average", classes=2)]
    (table,) = tables(runs, {name: said(N, right=range(5)) for name in "ab"}, 7)
    assert table["confused"] == []


def test_other_test_trials_cannot_be_compared():
    (table,) = tables([run("a"), run("b", "average")], {"a": said(N, right=[1]), "b": said(N - 1, right=[1])}, 7)
    assert (table["rows"][0]["differences"], table["rows"][0]["verdicts"]) == ([None] * 3, [""] * 3)
