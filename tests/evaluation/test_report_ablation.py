"""Ablations are found from the runs' options; each run is compared with the full model."""

from math import comb

import pytest
from small_predictions import predictions

from stages.evaluation.report.ablation import tables


def run(name, *, dataset="speech", **options):
    loss = {"class_weights": options.pop("class_weights", "none"), "label_smoothing": 0.0}
    model = {"name": "adafnn", **options}
    chosen = {"corpus": "speech", "dataset": dataset, "model": model, "loss": loss, "batch_size": 32}
    cost = {"parameters": 1000 * len(name), "flops": 10 * len(name)}
    metrics = {"run": name, "model": "adafnn", "corpus": "speech", "name": "synthetic", "synthetic": True}
    return {"chosen": chosen, "metrics": metrics | {"protocol": "-", "accuracy": 0.5, "n_test": 20, **cost}}


FULL = {"use_lstm": True, "use_ffnn": True, "width": 8}


def predictions_of(*names):
    """Return predictions that are correct on 10, 12, 14, … samples."""
    return {name: predictions(20, correct=range(10 + 2 * place)) for place, name in enumerate(names)}


def test_table_lists_runs_that_differ_in_switches():
    less = {name: FULL | {name.replace("no_", "use_"): False} for name in ("no_lstm", "no_ffnn")}
    runs = [run("no_lstm", **less["no_lstm"]), run("whole", **FULL), run("no_ffnn", **less["no_ffnn"])]
    (table,) = tables(runs, predictions_of("no_lstm", "whole", "no_ffnn"), 7)
    assert [row["metrics"]["run"] for row in table["rows"]] == ["whole", "no_lstm", "no_ffnn"]
    assert [row["lacks"] for row in table["rows"]] == [[], ["lstm"], ["ffnn"]]
    assert table["rows"][0]["difference"] is None
    assert table["rows"][1]["difference"].accuracy == pytest.approx(-0.1)
    assert table["rows"][2]["difference"].accuracy == pytest.approx(0.1)


@pytest.mark.parametrize("change", [{"width": 9}, {"dataset": "other"}, {"more": 1.0}, {"use_length": True}])
def test_other_differences_are_no_ablation(change):
    runs = [run("whole", **FULL), run("other", **FULL | {"use_lstm": False} | change)]
    assert tables(runs, predictions_of("whole", "other"), 7) == []


def test_equal_runs_lack_nothing():
    (table,) = tables([run("one", **FULL), run("two", **FULL)], predictions_of("one", "two"), 7)
    assert [row["lacks"] for row in table["rows"]] == [[], []]


# The published ablation of the portraits, and the fourth combination.
PARTS = {
    "cnn": {"use_attention": False, "use_bilstm": False},
    "cnn_bilstm": {"use_attention": False, "use_bilstm": True},
    "cnn_attention": {"use_attention": True, "use_bilstm": False},
    "cnn_attention_bilstm": {"use_attention": True, "use_bilstm": True, "class_weights": "balanced"},
}


def test_steps_lead_to_next_larger_runs():
    runs = [run(name, **options) for name, options in reversed(PARTS.items())]
    (table,) = tables(runs, predictions_of(*PARTS), 7)
    assert {(step["before"], step["run"]): step["adds"] for step in table["steps"]} == {
        ("cnn", "cnn_attention"): ["attention"],
        ("cnn", "cnn_bilstm"): ["bilstm"],
        ("cnn_attention", "cnn_attention_bilstm"): ["bilstm", "class weights"],
        ("cnn_bilstm", "cnn_attention_bilstm"): ["attention", "class weights"],
    }


def test_a_step_by_hand():
    """Of 40 samples, one run is correct on 0-9, the next on 4-27: 18 gained, 4 lost."""
    runs = [run("cnn", **PARTS["cnn"]), run("cnn_bilstm", **PARTS["cnn_bilstm"])]
    by_run = {"cnn": predictions(40, correct=range(10)), "cnn_bilstm": predictions(40, correct=range(4, 28))}
    (row,) = tables(runs, by_run, 7)[0]["steps"]
    assert row["gain"] == pytest.approx(14 / 40)
    low, high = row["gain_ci95"]
    assert low < row["gain"] < high
    # McNemar's exact p: twice the probability of at most 4 heads in 22 throws
    expected = 2 * sum(comb(22, heads) for heads in range(5)) / 2**22
    assert row["mcnemar_p"] == pytest.approx(expected, rel=1e-5)
    assert (row["parameters"], row["parameters_added"]) == (10_000, 7_000)
    assert (row["flops"], row["flops_added"]) == (100, 70)


def test_different_test_samples_give_no_difference():
    runs = [run("cnn", **PARTS["cnn"]), run("cnn_bilstm", **PARTS["cnn_bilstm"])]
    by_run = {"cnn": predictions(40, correct=range(10)), "cnn_bilstm": predictions(39, correct=range(10))}
    (table,) = tables(runs, by_run, 7)
    (step,) = table["steps"]
    assert table["rows"][1]["difference"] is None
    assert (step["gain"], step["gain_ci95"], step["mcnemar_p"]) == (None, None, None)
