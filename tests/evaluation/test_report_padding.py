"""The compared runs are found from their options and datasets; each pair of paddings has a verdict."""

import pytest
from scipy.stats import binom
from small_predictions import predictions

from stages.evaluation.report.padding import tables

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
    """Return three runs of one model, unordered, and predictions with 10, 18 and 9 of 20 test trials correct."""
    runs = [run("c", use_length=True), run("b", "average", use_length=False), run("a", use_length=False)]
    return runs, {
        "a": predictions(N, correct=range(10)),
        "b": predictions(N, correct=range(18)),
        "c": predictions(N, correct=range(1, 10)),
    }


def test_row_compares_three_paddings():
    (table,) = tables(*three(), 7)
    (row,) = table["rows"]
    assert [metrics["run"] for metrics in row["cells"]] == ["a", "b", "c"]
    assert [paired.accuracy for paired in row["differences"]] == pytest.approx([0.4, -0.05, -0.45])
    assert row["verdicts"] == ["average is better than zero", "no clear difference", "mask is worse than average"]


def test_interval_is_paired():
    """With 8 trials gained and none lost, the resampled number of gains is binomial (20, 0.4)."""
    (table,) = tables(*three(), 7)
    expected = [binom.ppf(place, N, 0.4) / N for place in (0.025, 0.975)]
    assert table["rows"][0]["differences"][0].ci95 == pytest.approx(expected, abs=0.051)


@pytest.mark.parametrize("change", [{"lr": 0.01}, {"hidden": 9}, {"corpus": "eegmat"}])
def test_other_differences_are_not_compared(change):
    runs = [run("a"), run("b", "average", **change)]
    assert tables(runs, {name: predictions(N, correct=range(5)) for name in "ab"}, 7) == []


def test_each_corpus_has_a_table_and_each_model_a_row():
    runs = [run("a"), run("b", "average"), run("c", hidden=9, use_length=True)]
    runs += [run("d", corpus="eegmat"), run("e", "average", corpus="eegmat")]
    first, second = tables(runs, {name: predictions(N, correct=range(5)) for name in "abcde"}, 7)
    assert [[metrics and metrics["run"] for metrics in row["cells"]] for row in first["rows"]] == [
        ["a", "b", None],
        [None, None, "c"],
    ]
    assert first["rows"][1]["differences"] == [None] * 3
    assert second["metrics"]["corpus"] == "eegmat"


def test_most_confused_pair_counts_both_directions():
    confused = [("sad", "fear", 0.4), ("fear", "sad", 0.3), ("happy", "sad", 0.2), None]
    runs = [
        run(name, padding, most_confused=pair, hidden=hidden)
        for name, padding, pair, hidden in zip("abcd", ["zero", "average"] * 2, confused, [8, 8, 9, 9], strict=True)
    ]
    (table,) = tables(runs, {name: predictions(N, correct=range(5)) for name in "abcd"}, 7)
    assert (table["n_runs"], table["confused"]) == (4, [("fear", "sad", 2), ("happy", "sad", 1)])


def test_two_classes_have_no_most_confused_pair():
    runs = [run("a", classes=2), run("b", "average", classes=2)]
    (table,) = tables(runs, {name: predictions(N, correct=range(5)) for name in "ab"}, 7)
    assert table["confused"] == []


def test_different_test_trials_give_no_difference():
    by_run = {"a": predictions(N, correct=[1]), "b": predictions(N - 1, correct=[1])}
    (table,) = tables([run("a"), run("b", "average")], by_run, 7)
    assert (table["rows"][0]["differences"], table["rows"][0]["verdicts"]) == ([None] * 3, [""] * 3)
