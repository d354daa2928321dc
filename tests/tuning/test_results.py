"""What a search is summed up to, against trials made by hand."""

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


def made(*trials, direction="maximize"):
    """A study of (state, value, lr): failed trials have no value, pruned ones that of their last epoch."""
    found = optuna.create_study(study_name="faces/0", direction=direction)
    for state, value, lr in trials:
        values = {} if value is None else {"value": value}
        epochs = {1: 0.1, 2: value} if value is not None else {1: 0.1}
        found.add_trial(
            create_trial(
                state=TrialState[state],
                params={"optimizer.lr": lr, "model.activation": "a"},
                distributions=SPACE,
                intermediate_values=epochs,
                **values,
            )
        )
    return found


TRIALS = (("COMPLETE", 0.5, 1e-3), ("FAIL", None, 1e-2), ("COMPLETE", 0.75, 3.84e-06), ("PRUNED", 0.9, 0.5))
TRIALS += (("COMPLETE", 0.75, 0.1), ("COMPLETE", 0.25, 0.2))


def test_rows_are_by_place_and_tell_how_each_ended():
    found = results.rows(made(*TRIALS), 5, "j")
    assert [(row["trial"], row["end"], row["value"], row["epochs"]) for row in found] == [
        (1, "done", 0.5, 2),
        (2, "failed", None, 1),
        (3, "done", 0.75, 2),
        (4, "pruned", 0.9, 2),
        (5, "done", 0.75, 2),
    ]
    assert found[2]["values"] == {"optimizer.lr": 3.84e-06, "model.activation": "a"}


def test_the_best_is_done_and_of_equals_the_first():
    told = results.summary("validation_accuracy", results.rows(made(*TRIALS), 6, "j"))
    assert told == {
        "objective": "validation_accuracy",
        "best_value": 0.75,
        "best_trial": 3,
        "best_params": {"optimizer.lr": 3.84e-06, "model.activation": "a"},
        "n_trials": 6,
        "n_done": 4,
        "n_pruned": 1,
        "n_failed": 1,
    }
    lowest = results.summary("validation_loss", results.rows(made(*TRIALS, direction="minimize"), 6, "j"))
    assert (lowest["best_value"], lowest["best_trial"]) == (0.25, 6)


def test_a_search_that_ran_out_of_time_says_how_to_go_on(capsys):
    results.rows(made(*TRIALS), 6, "j")
    assert capsys.readouterr().err == ""
    results.rows(made(*TRIALS), 9, "j")
    assert capsys.readouterr().err == (
        "warning: studies.faces: 6 of 9 trials were finished within timeout_s; "
        "`dvc repro --force --single-item tune@faces` goes on\n"
    )


def test_the_best_so_far():
    found = results.rows(made(*TRIALS), 6, "j")
    assert results.so_far(found, "validation_accuracy") == [0.5, 0.5, 0.75, 0.75, 0.75, 0.75]
    assert results.so_far(found, "validation_loss") == [0.5, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert results.so_far(found[1:2], "validation_loss") == [None]


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([("FAIL", None, 0.1)] * 2, "all 2 trials failed, none was finished; to search again, mend that and remove j; "
         "the first: the process that ran it was lost"),
        ([("PRUNED", 0.1, 0.1), ("FAIL", None, 0.1)], "1 of 2 trials failed, none was finished"),
        ([], "no trial was finished within timeout_s"),
    ],
)  # fmt: skip
def test_nothing_came_of_it(trials, said):
    with pytest.raises(UserError) as caught:
        results.rows(made(*trials), 5, "j")
    assert str(caught.value).startswith(f"studies.faces: {said}")


def test_importance_finds_the_value_that_decides():
    """The figure follows lr alone, whatever the activation."""
    found = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(3), study_name="faces/0")

    def figure(trial):
        trial.suggest_categorical("model.activation", ["a", "b"])
        return -abs(trial.suggest_float("optimizer.lr", 0.0, 1.0) - 0.3)

    found.optimize(figure, n_trials=60)
    shares = results.importance(found, 60)
    assert list(shares) == ["optimizer.lr", "model.activation"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["optimizer.lr"] > 0.9


def test_importance_of_a_single_trial_is_equal():
    assert set(results.importance(made(TRIALS[0]), 5).values()) == {0.5}


def test_tables_keep_small_values_and_name_the_corpus(tmp_path):
    found = results.rows(made(*TRIALS), 6, "j")
    results.write_tables(
        tmp_path, found, {"optimizer.lr": 0.75, "model.activation": 0.25}, "validation_loss", "RAVDESS"
    )
    rows = list(csv.DictReader((tmp_path / "trials.csv").read_text().splitlines()))
    assert list(rows[0]) == [
        "trial", "end", "value", "best_value", "epochs", "optimizer.lr", "model.activation", "corpus"
    ]  # fmt: skip
    assert (rows[2]["optimizer.lr"], rows[2]["value"], rows[2]["corpus"]) == ("3.84e-06", "0.750000", "RAVDESS")
    assert rows[1]["value"] == ""
    shares = list(csv.reader((tmp_path / "importance.csv").read_text().splitlines()))
    assert shares == [["param", "importance", "corpus"], ["optimizer.lr", "0.750000", "RAVDESS"],
                      ["model.activation", "0.250000", "RAVDESS"]]  # fmt: skip
