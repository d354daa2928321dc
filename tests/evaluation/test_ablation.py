"""Which runs form an ablation is found from their options; what each lacks is compared with the whole."""

import pytest
from small_predictions import said

from stages.evaluation.ablation import tables


def run(name, *, dataset="speech", **options):
    chosen = {"corpus": "speech", "dataset": dataset, "model": {"name": "adafnn", **options}, "batch_size": 32}
    return {"chosen": chosen, "metrics": {"run": name, "model": "adafnn"}}


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
