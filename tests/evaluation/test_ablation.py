"""Which runs form an ablation is found from their options; what each lacks is compared with the whole."""

from math import comb

import pytest
from scipy import stats
from small_predictions import said

from stages.evaluation.ablation import steps, tables


def run(name, *, dataset="speech", **options):
    loss = {"class_weights": options.pop("class_weights", "none"), "label_smoothing": 0.0}
    model = {"name": "adafnn", **options}
    chosen = {"corpus": "speech", "dataset": dataset, "model": model, "loss": loss, "batch_size": 32}
    cost = {"parameters": 1000 * len(name), "flops": 10 * len(name)}
    told = {"run": name, "model": "adafnn", "corpus": "speech", "name": "synthetic", "synthetic": True, "protocol": "-"}
    return {"chosen": chosen, "metrics": told | {"accuracy": 0.5, "n_test": 20, **cost}}


WHOLE = {"use_lstm": True, "use_ffnn": True, "width": 8}


def said_by(*names):
    return {name: said(20, right=range(10 + 2 * place), run=name) for place, name in enumerate(names)}


def test_runs_that_differ_in_switches_alone():
    runs = [
        run("no_lstm", **WHOLE | {"use_lstm": False}),
        run("whole", **WHOLE),
        run("no_ffnn", **WHOLE | {"use_ffnn": False}),
    ]
    (table,) = tables(runs, said_by("no_lstm", "whole", "no_ffnn"), 7)
    assert [row["metrics"]["run"] for row in table["rows"]] == ["whole", "no_lstm", "no_ffnn"]
    assert [row["lacks"] for row in table["rows"]] == [[], ["lstm"], ["ffnn"]]
    assert table["rows"][0]["difference"] is None
    assert table["rows"][1]["difference"].accuracy == pytest.approx(-0.1)
    assert table["rows"][2]["difference"].accuracy == pytest.approx(0.1)


@pytest.mark.parametrize("change", [{"width": 9}, {"dataset": "other"}, {"more": 1.0}, {"use_length": True}])
def test_what_differs_in_anything_else_is_none(change):
    runs = [run("whole", **WHOLE), run("other", **WHOLE | {"use_lstm": False} | change)]
    assert tables(runs, said_by("whole", "other"), 7) == []


def test_equal_runs_lack_nothing():
    """Say, two seeds: no ablation, but no error either."""
    (table,) = tables([run("one", **WHOLE), run("two", **WHOLE)], said_by("one", "two"), 7)
    assert [row["lacks"] for row in table["rows"]] == [[], []]


def test_other_test_samples_give_no_difference():
    runs = [run("whole", **WHOLE), run("no_lstm", **WHOLE | {"use_lstm": False})]
    predictions = {"whole": said(20, right=[1]), "no_lstm": said(19, right=[1])}
    (table,) = tables(runs, predictions, 7)
    assert table["rows"][1]["difference"] is None


# The published ablation of the portraits, and its missing corner

PARTS = {
    "cnn": {"use_attention": False, "use_bilstm": False},
    "cnn_bilstm": {"use_attention": False, "use_bilstm": True},
    "cnn_attention": {"use_attention": True, "use_bilstm": False},
    "cnn_attention_bilstm": {"use_attention": True, "use_bilstm": True, "class_weights": "balanced"},
}


def test_steps_are_from_each_run_to_the_next_larger_ones():
    runs = [run(name, **options) for name, options in reversed(PARTS.items())]
    found = steps(runs, said_by(*PARTS), 7)
    assert {(row["before"], row["run"]): row["adds"] for row in found} == {
        ("cnn", "cnn_attention"): ["attention"],
        ("cnn", "cnn_bilstm"): ["bilstm"],
        ("cnn_attention", "cnn_attention_bilstm"): ["bilstm", "class weights"],
        ("cnn_bilstm", "cnn_attention_bilstm"): ["attention", "class weights"],
    }


def test_a_step_by_hand():
    """40 samples; the first run is right on 0-9, the second on 4-27: 18 gained, 4 lost."""
    runs = [run("cnn", **PARTS["cnn"]), run("cnn_bilstm", **PARTS["cnn_bilstm"])]
    predictions = {"cnn": said(40, right=range(10)), "cnn_bilstm": said(40, right=range(4, 28))}
    (row,) = steps(runs, predictions, 7)
    assert row["gain"] == pytest.approx(14 / 40)
    low, high = row["gain_ci95"]
    assert low < row["gain"] < high
    # McNemar's exact p: twice the chance of 4 heads or fewer in 22 throws
    expected = 2 * sum(comb(22, heads) for heads in range(5)) / 2**22
    assert row["mcnemar_p"] == pytest.approx(expected, rel=1e-5)
    assert row["mcnemar_p"] == pytest.approx(stats.binomtest(4, 22).pvalue, rel=1e-5)
    assert (row["parameters"], row["parameters_added"]) == (10_000, 7_000)
    assert (row["flops"], row["flops_added"]) == (100, 70)


def test_a_step_that_cannot_be_paired_has_no_gain():
    runs = [run("cnn", **PARTS["cnn"]), run("cnn_bilstm", **PARTS["cnn_bilstm"])]
    predictions = {"cnn": said(40, right=range(10)), "cnn_bilstm": said(39, right=range(10))}
    (row,) = steps(runs, predictions, 7)
    assert (row["gain"], row["gain_ci95"], row["mcnemar_p"]) == (None, None, None)


def test_no_steps_without_an_ablation():
    assert steps([run("cnn", **PARTS["cnn"]), run("other", width=3)], said_by("cnn", "other"), 7) == []


def test_weights_of_classes_are_a_part_too():
    runs = [run("whole", **PARTS["cnn_attention_bilstm"]), run("cnn_bilstm", **PARTS["cnn_bilstm"])]
    (table,) = tables(runs, said_by("whole", "cnn_bilstm"), 7)
    assert [row["lacks"] for row in table["rows"]] == [[], ["attention", "class weights"]]
