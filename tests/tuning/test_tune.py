"""The stage `tune` on the toy run: in processes that are killed, in two that share a database, and in this process."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import optuna
import pytest
import toy_run
import toy_study
from toy_study import EPOCHS, STUDY, TRIALS

from stages import train, tune
from stages.core.errors import UserError
from stages.tuning import search

HERE = Path(__file__).parent
SHARED_TRIALS = 8
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return toy_study.write(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def searched(inputs, tmp_path_factory):
    """Output folders of the journal and of the database, exit statuses and logs of all that workers.py does."""
    output, shared_output = (tmp_path_factory.mktemp(name) for name in ("output", "shared_output"))
    shared_inputs = shutil.copytree(inputs, tmp_path_factory.mktemp("shared") / "inputs")
    toy_study.change(shared_inputs, storage_url=f"sqlite:///{shared_output / 'studies.db'}", trials=SHARED_TRIALS)
    paths = [toy_run.PROJECT, HERE, HERE.parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "workers.py"), *map(str, (inputs, output, shared_inputs, shared_output))]
    done = subprocess.run(command, cwd=toy_run.PROJECT, env=environment, capture_output=True, text=True, timeout=240)
    logs = "\n".join(path.read_text() for folder in (output, shared_output) for path in folder.rglob("*.log"))
    assert done.returncode == 0, done.stderr + logs
    return output, shared_output, json.loads(done.stdout), logs


def recorded(path, event):
    """Return the values of the trials that a process started or ended."""
    lines = path.read_text().splitlines()
    return [line.removeprefix(f"{event} ") for line in lines if line.startswith(event)]


def test_one_worker_writes_all_outputs(searched):
    output, _, statuses, logs = searched
    assert statuses["uninterrupted"] == [0], logs
    outputs = toy_study.outputs(output / "uninterrupted")
    pictures = {"history.png", "importance.png", "parallel.png"}
    assert set(outputs) == pictures | {"faces.json", "importance.csv", "trials.csv"}
    metrics = json.loads(outputs["faces.json"])
    described = {"study": STUDY, "run": toy_run.RUN, "synthetic": True, "name": "synthetic"}
    assert metrics.items() >= (described | {"n_trials": TRIALS, "n_done": TRIALS, "n_train": 84}).items()
    rows = list(csv.DictReader(outputs["trials.csv"].decode().splitlines()))
    assert float(rows[metrics["best_trial"] - 1]["value"]) == pytest.approx(metrics["best_value"], abs=1e-6)
    assert {row["epochs"] for row in rows} == {str(EPOCHS)}


def test_a_killed_and_resumed_search_writes_the_same_bytes(searched):
    """`kill -9` in the third of four trials: two are kept, two are run again."""
    output, _, statuses, logs = searched
    assert (statuses["killed"], statuses["resumed"]) == ([-signal.SIGKILL], [0]), logs
    assert toy_study.outputs(output / "killed") == toy_study.outputs(output / "uninterrupted")
    trials = recorded(output / "uninterrupted/only.txt", "ends")
    assert recorded(output / "killed/first.txt", "ends") == trials[:2]
    assert recorded(output / "killed/second.txt", "starts") == trials[2:]


def test_a_second_worker_retries_the_trial_of_a_killed_one(searched):
    _, output, statuses, logs = searched
    assert statuses["shared"] == [-signal.SIGKILL, 0], logs
    [ended] = recorded(output / "killed.txt", "ends")
    [lost] = set(recorded(output / "killed.txt", "starts")) - {ended}
    trials = recorded(output / "survivor.txt", "ends")
    assert lost in trials
    assert len(set(trials) | {ended}) == len(trials) + 1 == SHARED_TRIALS  # none is run twice
    optuna_study = optuna.load_study(study_name=None, storage=f"sqlite:///{output / 'studies.db'}")
    states = [trial.state.name for trial in search.by_place(optuna_study.get_trials(), SHARED_TRIALS).values()]
    assert states == ["COMPLETE"] * SHARED_TRIALS


def tune_here(inputs, output, monkeypatch, *more):
    monkeypatch.setattr(sys, "argv", ["tune", *toy_study.arguments(inputs, output), *more])
    tune.main()
    return json.loads((output / "faces.json").read_text())


@pytest.fixture
def own(inputs, tmp_path):
    """A copy of the inputs that a test may change."""
    return shutil.copytree(inputs, tmp_path / "inputs")


def test_the_test_part_is_not_used(own, searched, tmp_path, monkeypatch):
    """With black images and other labels in the test part, the search gives the same outputs."""
    test_ids = json.loads((own / "faces.json").read_text())["parts"]["test"]
    with h5py.File(own / "faces.h5", "r+") as file:
        for index, name in enumerate(file["sample_id"].asstr()[:]):
            if name in test_ids:
                file["x"][index] = 0
                file["label"][index] = 0
    tune_here(own, tmp_path, monkeypatch)
    assert toy_study.outputs(tmp_path) == toy_study.outputs(searched[0] / "uninterrupted")


def test_a_run_with_the_best_values_repeats_the_trial(own, tmp_path, monkeypatch):
    """The search then stays the same: no trial is run again."""
    toy_study.change(own, trials=2)
    metrics = tune_here(own, tmp_path, monkeypatch)
    best = metrics["best_params"]
    run = {"optimizer": {"name": "adam", "lr": best["optimizer.lr"]}, "batch_size": best["batch_size"]}
    run |= {"model": toy_run.MODEL | {"activation": best["model.activation"]}}
    toy_study.change(own, trials=2, run=run | {"max_epochs": EPOCHS})
    monkeypatch.setattr(sys, "argv", ["train", *toy_run.arguments(own, tmp_path)])
    train.main()
    history = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    reached = max(float(row["validation_accuracy"]) for row in history)
    assert reached == pytest.approx(metrics["best_value"], abs=1e-6)
    toy_study.change(own, trials=2, run=run | {"max_epochs": toy_run.MAX_EPOCHS})
    monkeypatch.setattr(tune.Trials, "fit", None)
    assert tune_here(own, tmp_path, monkeypatch) == metrics


def test_train_samples_and_epochs_of_the_run_are_used(own, tmp_path, monkeypatch):
    with h5py.File(own / "faces.h5", "r+") as file:
        file.attrs["synthetic"], file.attrs["name"] = False, "FER-2013"
    toy_study.change(own, trials=2, epochs=None, train_samples=28, run={"max_epochs": 2})
    metrics = tune_here(own, tmp_path, monkeypatch)
    assert metrics.items() >= {"n_trials": 2, "n_train": 28, "synthetic": False, "name": "FER-2013"}.items()
    rows = list(csv.DictReader((tmp_path / "plots/trials.csv").read_text().splitlines()))
    assert {(row["epochs"], row["corpus"]) for row in rows} == {("2", "FER-2013")}


def test_only_failed_trials_are_a_one_line_error_without_outputs(own, tmp_path, monkeypatch):
    space = {"optimizer": {"lr": {"type": "log_float", "low": 1e30, "high": 1e37}}}
    toy_study.change(own, space=space, trials=2)
    with pytest.raises(UserError, match=r"^studies\.faces: 2 of 2 trials failed.*set gradient_clip_norm$"):
        tune_here(own, tmp_path, monkeypatch)
    assert not (tmp_path / "faces.json").exists()


def test_a_worker_needs_a_database(own, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"^--worker: .*machine\.storage_url"):
        tune_here(own, tmp_path, monkeypatch, "--worker")


def test_too_few_training_samples_are_an_error(own, tmp_path, monkeypatch):
    toy_study.change(own, train_samples=3)
    with pytest.raises(UserError, match=r"^studies\.faces\.train_samples: .*received: 3$"):
        tune_here(own, tmp_path, monkeypatch)
