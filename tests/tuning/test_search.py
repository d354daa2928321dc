"""Trials: the same again with the same seed, also after a kill; pruned, failed, capped, and in their places."""

import gc
import itertools
import os
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from small_search import EPOCHS, PATHS, formula, searched, study, tried

from stages.checks.params import load
from stages.tuning import search

RUN = load(Path(__file__).parents[2] / "params.yaml").runs["faces_custom_cnn"]


pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Without what outlasts trials of milliseconds: every line of a journal put on the disk, all garbage collected."""
    monkeypatch.setattr(os, "fsync", lambda number: None)
    monkeypatch.setattr(gc, "collect", lambda: 0)


class Killed(BaseException):
    """What ends a process without a word to Optuna."""


def killed_at(place, epoch, train=formula):
    """`train` that ends its process at this epoch of this trial."""
    count = itertools.count()

    def killing(values, report):
        number = next(count)

        def told(at, figure):
            if (number, at) == (place, epoch):
                raise Killed
            report(at, figure)

        return train(values, told)

    return killing


@pytest.mark.parametrize("sampler", [{"name": "tpe", "startup_trials": 4}, {"name": "random"}])
def test_same_seed_same_trials_other_seed_others(tmp_path, sampler):
    chosen = study(sampler=sampler)
    one, again = (tried(searched(tmp_path / name, chosen)) for name in ("one", "again"))
    other = tried(searched(tmp_path / "other", chosen, seed=8))
    assert one == again
    assert [place for place, *_ in one] == list(range(12))
    values = [tuple(values[path] for path in PATHS) for *_, values in one + other]
    assert len(set(values)) == 24


def test_the_estimator_finds_what_chance_does_not(tmp_path):
    """Of 40 trials the later half is better than the first ten, which are random."""
    found = tried(searched(tmp_path / "j", study(n_trials=40, sampler={"name": "tpe"})), 40)
    values = [value for _, _, value, _ in found]
    assert sorted(values[20:])[10] > sorted(values[:10])[5]


@pytest.mark.parametrize("pruner", ["none", "median", "hyperband"])
@pytest.mark.parametrize("kill", [(0, 1), (1, 3), (5, 1), (11, EPOCHS)])
def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path, pruner, kill):
    chosen = study(pruner={"name": pruner})
    unbroken = searched(tmp_path / "unbroken", chosen)
    with pytest.raises(Killed):
        searched(tmp_path / "killed", chosen, killed_at(*kill))
    resumed = searched(tmp_path / "killed", chosen)
    assert tried(resumed) == tried(unbroken)
    states = [trial.state for trial in resumed.get_trials()]
    assert (len(states), states.count(TrialState.FAIL)) == (13, 1)  # the lost one, tried again in its place
    intermediate = [trial.intermediate_values for trial in search.by_place(resumed.get_trials(), 12).values()]
    assert intermediate == [trial.intermediate_values for trial in unbroken.get_trials()]


def test_a_trial_that_kills_its_process_each_time_is_given_up(tmp_path, capsys):
    for _ in range(4):
        with pytest.raises(Killed):
            searched(tmp_path / "j", None, killed_at(0, 1))
    assert capsys.readouterr().err == ""
    found = searched(tmp_path / "j")
    assert "faces: a trial was lost 4 times and is given up, as failed: {'optimizer.lr'" in capsys.readouterr().err
    trials = search.by_place(found.get_trials(), 12)
    assert [trial.state.name for trial in trials.values()] == ["FAIL"] + ["COMPLETE"] * 11
    assert search.reason(trials[0]) == "the process that ran it was lost"


def test_interrupted_by_hand_is_left_to_be_taken_up(tmp_path):
    def interrupted(values, report):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        searched(tmp_path / "j", None, interrupted)
    assert tried(searched(tmp_path / "j")) == tried(searched(tmp_path / "other"))


def test_more_trials_go_on_and_fewer_look_at_the_first(tmp_path):
    few = tried(searched(tmp_path / "few", study(n_trials=5)))
    more = searched(tmp_path / "few", study(n_trials=12))
    assert tried(more) == tried(searched(tmp_path / "all"))
    assert tried(more)[:5] == few
    calls = []
    again = searched(tmp_path / "few", study(n_trials=3), lambda *given: calls.append(given))
    assert (calls, len(tried(again, 3))) == ([], 3)


def test_crashes_and_figures_that_are_none_are_failed_trials(tmp_path, capsys):
    count = itertools.count()

    def crashing(values, report):
        number = next(count)
        if number == 1:
            raise MemoryError("out of\nmemory")
        return float("nan") if number == 2 else formula(values, report)

    trials = search.by_place(searched(tmp_path / "j", None, crashing).get_trials(), 12)
    assert [place for place, trial in trials.items() if trial.state == TrialState.FAIL] == [1, 2]
    assert [search.reason(trials[place]) for place in (1, 2)] == ["MemoryError: out of memory", "its figure is nan"]
    assert "faces: trial 2/12: failed, MemoryError: out of memory  optimizer.lr=" in capsys.readouterr().out
    # what they were is not asked again
    assert len(searched(tmp_path / "j").get_trials()) == 12


def test_the_median_pruner_stops_what_is_worse_than_half(tmp_path):
    """Trials get worse from one to the next: the fourth is below the median of three, after the second epoch."""
    count = itertools.count()

    def falling(values, report):
        figure = 1 / (1 + next(count))
        for epoch in range(1, EPOCHS + 1):
            report(epoch, figure)
        return figure

    chosen = study(n_trials=5, pruner={"name": "median", "startup_trials": 3, "warmup_epochs": 1})
    found = searched(tmp_path / "j", chosen, falling).get_trials()
    assert [trial.state.name for trial in found] == ["COMPLETE"] * 3 + ["PRUNED"] * 2
    assert [trial.last_step for trial in found] == [6, 6, 6, 2, 2]
    assert found[3].value == 1 / 4


def test_hyperband_stops_some_early_and_lets_the_best_finish(tmp_path):
    chosen = study(n_trials=30, pruner={"name": "hyperband", "min_epochs": 1})
    found = searched(tmp_path / "j", chosen).get_trials()
    assert {trial.last_step for trial in found if trial.state == TrialState.PRUNED} <= {1, 3}
    assert sum(trial.state == TrialState.PRUNED for trial in found) >= 8
    best = max(found, key=lambda trial: formula(trial.params, lambda *_: None))
    assert best.state == TrialState.COMPLETE
    assert [trial.params for trial in found] == [
        trial.params for trial in searched(tmp_path / "k", chosen).get_trials()
    ]


def test_hyperband_with_fewer_epochs_than_its_least(tmp_path):
    chosen = study(n_trials=2, pruner={"name": "hyperband", "min_epochs": 50})
    assert tried(searched(tmp_path / "j", chosen))[0][1] == "COMPLETE"


def test_loss_is_minimised(tmp_path):
    chosen = study(objective="validation_loss", n_trials=8)
    found = searched(tmp_path / "j", chosen)
    assert found.best_value == min(trial.value for trial in found.get_trials())


def test_no_trial_begins_after_the_time_is_up(tmp_path, monkeypatch):
    clock = itertools.count()  # each look takes a second; the first sets the end
    monkeypatch.setattr(search.time, "monotonic", lambda: next(clock))
    assert len(searched(tmp_path / "j", study(timeout_s=3.5)).get_trials()) == 3


def test_another_space_is_another_study_and_says_so(tmp_path, capsys):
    searched(tmp_path / "j", study(n_trials=2))
    assert "a new study" not in capsys.readouterr().out
    again = searched(tmp_path / "j", study(n_trials=2), name="faces/1")
    assert "studies.faces: not the space, run, data or code of an earlier search" in capsys.readouterr().out
    assert len(again.get_trials()) == 2
    searched(tmp_path / "j", study(n_trials=2), name="face/1")  # another key, not another space
    assert "a new study" not in capsys.readouterr().out


def test_the_name_changes_with_what_makes_other_trials(tmp_path):
    data = tmp_path / "faces.h5"
    data.write_bytes(b"1")

    def name(chosen=None, run=RUN, also=(7,)):
        return search.name_of("faces", chosen or study(), run, list(also), [data])

    first = name()
    assert first.startswith("faces/")
    assert name(study(n_trials=99, timeout_s=3.0)) == first
    # the values the space varies do not matter, so the best of them may be put into params.yaml
    varied = {"optimizer": RUN.optimizer | {"lr": 0.5}, "schedule": {"name": "step", "gamma": 0.2, "step_epochs": 1}}
    assert name(run=RUN.model_copy(update=varied)) == first
    space = {"optimizer": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
    others = [name(study(space=space)), name(run=RUN.model_copy(update={"max_epochs": 3})), name(also=[8])]
    others += [name(study(train_samples=100)), name(study(sampler={"name": "random"}))]
    data.write_bytes(b"2")
    assert len({first, *others, name()}) == 7


def trial(number, state, *, user=None, **system):
    return optuna.trial.FrozenTrial(
        number, state, None, None, None, {}, {}, user or {}, system, {}, number, values=None
    )  # fmt: skip


def test_places_by_hand():
    """1 was lost and tried again as 3, lost again and tried as 5; 4 came when all places were taken."""
    trials = [
        trial(0, TrialState.COMPLETE),
        trial(1, TrialState.FAIL),
        trial(2, TrialState.COMPLETE),
        trial(3, TrialState.FAIL, failed_trial=1, retry_history=[1]),
        trial(4, TrialState.FAIL, user={"surplus": True}),
        trial(5, TrialState.RUNNING, failed_trial=1, retry_history=[1, 3]),
        trial(6, TrialState.WAITING),
    ]
    assert search.places(trials) == {0: 0, 1: 1, 2: 2, 3: 1, 5: 1, 6: 3}
    assert {place: found.number for place, found in search.by_place(trials, 3).items()} == {0: 0, 1: 5, 2: 2}
