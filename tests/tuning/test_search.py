"""The trials of a search: reproducible, also after a kill; pruned, failed, limited in number, and by place."""

import gc
import itertools
import os
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from small_search import EPOCHS, PATHS, formula, make_study, run_search, trials_of

from stages.checks.params import load
from stages.tuning import pruners, search, storage

RUN = load(Path(__file__).parents[2] / "params.yaml").runs["faces_custom_cnn"]
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Skip fsync and garbage collection, which take longer than these trials."""
    monkeypatch.setattr(os, "fsync", lambda number: None)
    monkeypatch.setattr(gc, "collect", lambda: 0)


class Killed(BaseException):
    """Ends a process without letting Optuna record it."""


def killed_at(trial, epoch):
    """Return a training that ends its process at this epoch of this trial."""
    count = itertools.count()

    def train(values, report):
        number = next(count)

        def killing_report(at, metric):
            if (number, at) == (trial, epoch):
                raise Killed
            report(at, metric)

        return formula(values, killing_report)

    return train


@pytest.mark.parametrize("sampler", [{"name": "tpe", "startup_trials": 4}, {"name": "random"}])
def test_trials_depend_on_the_seed_only(tmp_path, sampler):
    study = make_study(sampler=sampler)
    first, again = (trials_of(run_search(tmp_path / name, study)) for name in ("first", "again"))
    other = trials_of(run_search(tmp_path / "other", study, seed=8))
    assert first == again
    assert [place for place, *_ in first] == list(range(12))
    assert len({tuple(values[path] for path in PATHS) for *_, values in first + other}) == 24


@pytest.mark.parametrize("pruner", ["none", "median", "hyperband"])
@pytest.mark.parametrize("kill", [(0, 1), (7, EPOCHS), (11, 1)])
def test_a_resumed_search_equals_an_uninterrupted_one(tmp_path, pruner, kill):
    study = make_study(pruner={"name": pruner})
    uninterrupted = run_search(tmp_path / "uninterrupted", study)
    with pytest.raises(Killed):
        run_search(tmp_path / "killed", study, killed_at(*kill))
    resumed = run_search(tmp_path / "killed", study)
    assert trials_of(resumed) == trials_of(uninterrupted)
    states = [trial.state for trial in resumed.get_trials()]
    assert (len(states), states.count(TrialState.FAIL)) == (13, 1)  # the lost trial and its retry


def test_a_trial_that_always_kills_its_process_is_marked_as_failed(tmp_path, capsys):
    for _ in range(4):
        with pytest.raises(Killed):
            run_search(tmp_path / "j", None, killed_at(0, 1))
    assert capsys.readouterr().err == ""
    trials = search.by_place(run_search(tmp_path / "j").get_trials(), 12)
    assert "studies.faces: trial failed, its process was killed 4 times: {'optimizer.lr'" in capsys.readouterr().err
    assert [trial.state.name for trial in trials.values()] == ["FAIL"] + ["COMPLETE"] * 11
    assert search.reason(trials[0]) == "its process was killed or stopped responding"


def test_a_trial_interrupted_by_the_user_is_retried(tmp_path):
    def interrupted(values, report):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        run_search(tmp_path / "j", None, interrupted)
    assert trials_of(run_search(tmp_path / "j")) == trials_of(run_search(tmp_path / "other"))


def test_more_trials_continue_and_fewer_reuse_the_first(tmp_path):
    few = trials_of(run_search(tmp_path / "few", make_study(n_trials=5)))
    more = trials_of(run_search(tmp_path / "few", make_study(n_trials=12)))
    assert more == trials_of(run_search(tmp_path / "all"))
    assert more[:5] == few
    calls = []
    again = run_search(tmp_path / "few", make_study(n_trials=3), lambda *args: calls.append(args))
    assert (calls, len(trials_of(again, 3))) == ([], 3)


def test_exceptions_and_nan_are_failed_trials(tmp_path, capsys):
    count = itertools.count()

    def failing(values, report):
        number = next(count)
        if number == 1:
            raise MemoryError("out of\nmemory")
        return float("nan") if number == 2 else formula(values, report)

    trials = search.by_place(run_search(tmp_path / "j", None, failing).get_trials(), 12)
    assert [place for place, trial in trials.items() if trial.state == TrialState.FAIL] == [1, 2]
    assert search.reason(trials[1]) == "MemoryError: out of memory"
    assert "nan" in search.reason(trials[2])
    assert "faces: trial 2/12: failed, MemoryError: out of memory  optimizer.lr=" in capsys.readouterr().out
    assert len(run_search(tmp_path / "j").get_trials()) == 12  # failed trials are not repeated


def test_median_pruner_stops_trials_below_the_median(tmp_path):
    """Every trial is worse than the one before: the fourth is below the median of three, after the second epoch."""
    count = itertools.count()

    def falling(values, report):
        metric = 1 / (1 + next(count))
        for epoch in range(1, EPOCHS + 1):
            report(epoch, metric)
        return metric

    study = make_study(n_trials=5, pruner={"name": "median", "startup_trials": 3, "warmup_epochs": 1})
    trials = run_search(tmp_path / "j", study, falling).get_trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3 + ["PRUNED"] * 2
    assert [trial.last_step for trial in trials] == [6, 6, 6, 2, 2]
    assert trials[3].value == 1 / 4


def test_hyperband_stops_some_trials_and_completes_the_best(tmp_path):
    study = make_study(n_trials=30, pruner={"name": "hyperband", "min_epochs": 1})
    trials = run_search(tmp_path / "j", study).get_trials()
    assert {trial.last_step for trial in trials if trial.state == TrialState.PRUNED} == {1, 3}
    assert sum(trial.state == TrialState.PRUNED for trial in trials) >= 8
    best = max(trials, key=lambda trial: formula(trial.params, lambda *_: None))
    assert best.state == TrialState.COMPLETE
    renamed = run_search(tmp_path / "k", study, name="faces/1").get_trials()  # as after an edit of the code
    assert [trial.params for trial in trials] == [trial.params for trial in renamed]


@pytest.mark.parametrize("objective", ["validation_accuracy", "validation_loss"])
def test_hyperband_with_one_bracket_equals_optunas(tmp_path, monkeypatch, objective):
    study = make_study(n_trials=20, pruner={"name": "hyperband", "min_epochs": 3}, objective=objective)
    trials = trials_of(run_search(tmp_path / "j", study), 20)
    assert sum(end == "PRUNED" for _, end, *_ in trials) >= 5
    monkeypatch.setattr(pruners, "_Hyperband", optuna.pruners.HyperbandPruner)
    assert trials == trials_of(run_search(tmp_path / "k", study), 20)


def test_hyperband_with_min_epochs_above_the_maximum(tmp_path):
    study = make_study(n_trials=2, pruner={"name": "hyperband", "min_epochs": 50})
    assert trials_of(run_search(tmp_path / "j", study))[0][1] == "COMPLETE"


def test_no_trial_starts_after_the_timeout(tmp_path, monkeypatch):
    clock = itertools.count()  # one second per call; the first call sets the end
    monkeypatch.setattr(search.time, "monotonic", lambda: next(clock))
    assert len(run_search(tmp_path / "j", make_study(timeout_s=3.5)).get_trials()) == 3


def test_another_space_starts_a_new_study_and_says_so(tmp_path, capsys):
    study = make_study(n_trials=2)
    for name, is_new in (("faces/0", False), ("faces/1", True), ("face/1", False)):  # the last has another key
        assert len(run_search(tmp_path / "j", study, name=name).get_trials()) == 2
        assert ("studies.faces: a new study" in capsys.readouterr().out) == is_new


def test_name_changes_with_everything_that_changes_the_trials(tmp_path):
    data = tmp_path / "faces.h5"
    data.write_bytes(b"1")

    def name(study=None, run=RUN, seed=7):
        return search.name_of("faces", study or make_study(), run, [seed], [data])

    first = name()
    assert first.startswith("faces/")
    assert name(make_study(n_trials=99, timeout_s=3.0)) == first
    # values that the space varies do not count, so the best ones may be copied into params.yaml
    varied = {"optimizer": RUN.optimizer | {"lr": 0.5}, "schedule": {"name": "step", "gamma": 0.2, "step_epochs": 1}}
    assert name(run=RUN.model_copy(update=varied)) == first
    space = {"optimizer": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
    others = [name(make_study(space=space)), name(run=RUN.model_copy(update={"max_epochs": 3})), name(seed=8)]
    others += [name(make_study(train_samples=100)), name(make_study(sampler={"name": "random"}))]
    data.write_bytes(b"2")
    assert len({first, *others, name()}) == 7


def test_places_of_retried_and_surplus_trials():
    """Trial 1 is lost and retried as 3, which is lost and retried as 5; trial 4 starts when all places are taken."""
    user_attrs = [{} for _ in range(7)]
    user_attrs[3], user_attrs[5] = {storage.EARLIER_TRIES: [1]}, {storage.EARLIER_TRIES: [1, 3]}
    user_attrs[4] = {"surplus": True}
    trials = [create_trial(state=TrialState.FAIL, user_attrs=attrs) for attrs in user_attrs]
    for number, trial in enumerate(trials):
        trial.number = number
    assert search.places(trials) == {0: 0, 1: 1, 2: 2, 3: 1, 5: 1, 6: 3}
    assert {place: trial.number for place, trial in search.by_place(trials, 3).items()} == {0: 0, 1: 5, 2: 2}
