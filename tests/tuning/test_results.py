"""Rows, summary, importance and tables of a search, from trials with known values."""

import csv

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial

from stages.core.errors import UserError
from stages.tuning import results

SPACE = {
    "optimizer.lr": FloatDistribution(1e-6, 1.0, log=True),
    "model.activation": CategoricalDistribution(["a", "b"]),
}
TRIALS = (("COMPLETE", 0.5, 1e-3), ("FAIL", None, 1e-2), ("COMPLETE", 0.75, 3.84e-06), ("PRUNED", 0.9, 0.5))
TRIALS += (("COMPLETE", 0.75, 0.1), ("COMPLETE", 0.25, 0.2))


def study_of(*trials):
    """A study of (state, value, lr): failed trials have no value, pruned ones the metric of their last epoch."""
    study = optuna.create_study(study_name="faces/0", direction="maximize")
    for state, value, lr in trials:
        params, metrics = {"optimizer.lr": lr, "model.activation": "a"}, {1: 0.1} | ({2: value} if value else {})
        more = {"params": params, "distributions": SPACE, "intermediate_values": metrics}
        study.add_trial(create_trial(state=TrialState[state], value=value, **more))
    return study


@pytest.fixture
def rows():
    return results.rows(study_of(*TRIALS), 6, "j")


def test_rows_are_by_place_with_the_end_of_each_trial():
    rows = results.rows(study_of(*TRIALS), 4, "j")
    expected = [(1, "done", 0.5, 2), (2, "failed", None, 1), (3, "done", 0.75, 2), (4, "pruned", 0.9, 2)]
    assert [(row["trial"], row["end"], row["value"], row["epochs"]) for row in rows] == expected
    assert rows[2]["values"] == {"optimizer.lr": 3.84e-06, "model.activation": "a"}


def test_best_trial_is_complete_and_the_first_of_equal_ones(rows):
    expected = {"objective": "validation_accuracy", "best_value": 0.75, "best_trial": 3}
    expected |= {"best_params": {"optimizer.lr": 3.84e-06, "model.activation": "a"}}
    counts = {"n_trials": 6, "n_done": 4, "n_pruned": 1, "n_failed": 1}
    assert results.summary("validation_accuracy", rows) == expected | counts
    lowest = results.summary("validation_loss", rows)
    assert (lowest["best_value"], lowest["best_trial"]) == (0.25, 6)


def test_warns_if_trials_are_missing(rows, capsys):
    assert capsys.readouterr().err == ""
    results.rows(study_of(*TRIALS), 9, "j")
    line = capsys.readouterr().err
    assert line.startswith("warning: studies.faces: 6 of 9 trials")
    assert "dvc repro --force --single-item tune@faces" in line


def test_best_so_far(rows):
    assert results.best_so_far(rows, "validation_accuracy") == [0.5, 0.5, 0.75, 0.75, 0.75, 0.75]
    assert results.best_so_far(rows, "validation_loss") == [0.5, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert results.best_so_far(rows[1:2], "validation_loss") == [None]


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([("FAIL", None, 0.1)] * 2, ["2 of 2 trials failed", "remove j", "its process was killed"]),
        ([("PRUNED", 0.1, 0.1), ("FAIL", None, 0.1)], ["1 of 2 trials failed"]),
        ([], ["timeout_s"]),
    ],
)
def test_no_complete_trial_is_an_error(trials, words):
    with pytest.raises(UserError, match=r"^studies\.faces: ") as caught:
        results.rows(study_of(*trials), 5, "j")
    assert all(word in str(caught.value) for word in words)


def test_importance_is_that_of_the_only_value_that_matters():
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(3), study_name="faces/0")

    def metric(trial):
        trial.suggest_categorical("model.activation", ["a", "b"])
        return -abs(trial.suggest_float("optimizer.lr", 0.0, 1.0) - 0.3)

    study.optimize(metric, n_trials=60)
    shares = results.importance(study, 60)
    assert list(shares) == ["optimizer.lr", "model.activation"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["optimizer.lr"] > 0.9


def test_importance_of_a_single_trial_is_equal():
    assert set(results.importance(study_of(TRIALS[0]), 5).values()) == {0.5}


def test_tables_keep_small_values_and_name_the_corpus(rows, tmp_path):
    shares = {"optimizer.lr": 0.75, "model.activation": 0.25}
    results.write_tables(tmp_path, rows, shares, "validation_loss", "RAVDESS")
    trials = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert list(trials[0]) == ["trial", "end", "value", "best_value", "epochs", *shares, "corpus"]
    assert (trials[2]["optimizer.lr"], trials[2]["value"], trials[2]["corpus"]) == ("3.84e-06", "0.750000", "RAVDESS")
    assert trials[1]["value"] == ""
    importance = list(csv.reader((tmp_path / "importance.csv").read_text().splitlines()))
    assert importance[:2] == [["param", "importance", "corpus"], ["optimizer.lr", "0.750000", "RAVDESS"]]
