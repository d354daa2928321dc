"""The stage as a whole, on the toy run: in processes that are killed, in two that share a database, and in this one."""

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
MANY = 8  # trials that two processes share
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return toy_study.write(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def searched(inputs, tmp_path_factory):
    """Folders of outputs by one worker and by many, and exit statuses, of all that workers.py does."""
    one, many = (tmp_path_factory.mktemp(name) for name in ("one", "many"))
    shared = shutil.copytree(inputs, tmp_path_factory.mktemp("shared") / "inputs")
    toy_study.change(shared, storage_url=f"sqlite:///{many / 'studies.db'}", trials=MANY)
    paths = [toy_run.PROJECT, HERE, HERE.parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / "workers.py"), *map(str, (inputs, one, shared, many))]
    done = subprocess.run(command, cwd=toy_run.PROJECT, env=environment, capture_output=True, text=True, timeout=240)
    logs = "\n".join(path.read_text() for folder in (one, many) for path in folder.rglob("*.log"))
    assert done.returncode == 0, done.stderr + logs
    return one, many, json.loads(done.stdout), logs


def noted(path, word):
    """The values of the trials that a process began or ended."""
    lines = path.read_text().splitlines()
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(word)]


def test_a_search_by_one_worker(searched):
    one, _, statuses, logs = searched
    assert statuses["unbroken"] == [0], logs
    found = toy_study.outputs(one / "unbroken")
    assert set(found) == {
        "faces.json", "history.png", "importance.csv", "importance.png", "parallel.png", "trials.csv"
    }  # fmt: skip
    told = json.loads(found["faces.json"])
    assert (told["study"], told["run"], told["synthetic"], told["name"]) == (STUDY, toy_run.RUN, True, "synthetic")
    assert (told["n_trials"], told["n_done"], told["n_train"], told["n_validation"]) == (TRIALS, TRIALS, 84, 21)
    rows = list(csv.DictReader(found["trials.csv"].decode().splitlines()))
    assert float(rows[told["best_trial"] - 1]["value"]) == pytest.approx(told["best_value"], abs=1e-6)
    assert {row["epochs"] for row in rows} == {str(EPOCHS)}
    assert told["best_params"]["model.activation"] in ("relu", "elu")


def test_killed_and_resumed_gives_the_same_bytes(searched):
    """`kill -9` in the third of four trials: two are kept, two are run."""
    one, _, statuses, logs = searched
    assert (statuses["killed"], statuses["resumed"]) == ([-signal.SIGKILL], [0]), logs
    assert toy_study.outputs(one / "killed") == toy_study.outputs(one / "unbroken")
    all_of_them = noted(one / "unbroken/alone.txt", "ends")
    assert noted(one / "killed/first.txt", "ends") == all_of_them[:2]
    assert noted(one / "killed/second.txt", "begins") == all_of_them[2:]


def test_two_processes_share_the_trials_and_one_is_killed(searched):
    _, many, statuses, logs = searched
    assert statuses["many"] == [-signal.SIGKILL, 0], logs
    [kept], [lost] = (
        [values for values in noted(many / "dying.txt", word) if word == "ends" or values not in ends]
        for word, ends in (("ends", []), ("begins", noted(many / "dying.txt", "ends")))
    )
    stayed = noted(many / "staying.txt", "ends")
    assert lost in stayed  # tried again
    assert sorted({kept, *stayed}) == sorted([kept, *stayed])  # none done twice
    assert len(stayed) == MANY - 1
    found = optuna.load_study(study_name=None, storage=f"sqlite:///{many / 'studies.db'}")
    trials = search.by_place(found.get_trials(), MANY)
    assert [trial.state.name for trial in trials.values()] == ["COMPLETE"] * MANY
    told = json.loads((many / "faces.json").read_text())
    assert (told["n_trials"], told["n_done"], told["n_failed"]) == (MANY, MANY, 0)


# ---- in this process -------------------------------------------------------------------------------------------------


def tuned(inputs, output, monkeypatch, *more):
    monkeypatch.setattr(sys, "argv", ["tune", *toy_study.arguments(inputs, output), *more])
    tune.main()
    return json.loads((output / "faces.json").read_text())


@pytest.fixture
def own(inputs, tmp_path):
    """A copy of the inputs that a test may change."""
    return shutil.copytree(inputs, tmp_path / "inputs")


def test_the_test_part_is_never_seen(own, searched, tmp_path, monkeypatch):
    """Its pictures blackened and its labels exchanged, the search finds what it found."""
    listed = json.loads((own / "faces.json").read_text())["parts"]["test"]
    with h5py.File(own / "faces.h5", "r+") as file:
        for index, name in enumerate(file["sample_id"].asstr()[:]):
            if name in listed:
                file["x"][index] = 0
                file["label"][index] = 0
    tuned(own, tmp_path, monkeypatch)
    assert toy_study.outputs(tmp_path) == toy_study.outputs(searched[0] / "unbroken")


def test_a_run_with_the_best_values_does_what_the_trial_did(own, tmp_path, monkeypatch):
    """Then the search is still the same: nothing is trained again."""
    toy_study.change(own, trials=2, run={"ema_decay": 0.5})
    told = tuned(own, tmp_path, monkeypatch)
    best = told["best_params"]
    run = {
        "ema_decay": 0.5,
        "optimizer": {"name": "adam", "lr": best["optimizer.lr"]},
        "batch_size": best["batch_size"],
    }
    model = {"name": "custom_cnn", "widths": [4, 8], "hidden": 16, "dropout": 0.1, "hidden_dropout": 0.2}
    run |= {"model": model | {"activation": best["model.activation"]}}
    toy_study.change(own, trials=2, run=run | {"max_epochs": EPOCHS})
    monkeypatch.setattr(sys, "argv", ["train", *toy_run.arguments(own, tmp_path)])
    train.main()
    history = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    reached = max(float(row["validation_accuracy"]) for row in history)
    assert reached == pytest.approx(told["best_value"], abs=1e-6)
    toy_study.change(own, trials=2, run=run | {"max_epochs": toy_run.MAX_EPOCHS})
    monkeypatch.setattr(tune.Trials, "fit", None)
    assert tuned(own, tmp_path, monkeypatch) == told


def test_a_part_of_the_training_samples_and_trials_as_long_as_the_run(own, tmp_path, monkeypatch):
    with h5py.File(own / "faces.h5", "r+") as file:
        file.attrs["synthetic"], file.attrs["name"] = False, "FER-2013"
    toy_study.change(own, trials=2, epochs=None, train_samples=28, run={"max_epochs": 2})
    told = tuned(own, tmp_path, monkeypatch)
    assert (told["n_trials"], told["n_train"], told["synthetic"], told["name"]) == (2, 28, False, "FER-2013")
    rows = list(csv.DictReader((tmp_path / "plots/trials.csv").read_text().splitlines()))
    assert {(row["epochs"], row["corpus"]) for row in rows} == {("2", "FER-2013")}


def test_all_failed_is_one_error_and_leaves_no_output(own, tmp_path, monkeypatch):
    space = {"optimizer": {"lr": {"type": "log_float", "low": 1e30, "high": 1e37}}}
    toy_study.change(own, space=space, trials=2)
    with pytest.raises(UserError) as caught:
        tuned(own, tmp_path, monkeypatch)
    [line] = str(caught.value).splitlines()
    assert line.startswith(
        "studies.faces: all 2 trials failed, none was finished; to search again, mend that and remove "
    )
    assert line.endswith("lower optimizer.lr or set gradient_clip_norm")
    assert not (tmp_path / "faces.json").exists()


def test_a_worker_needs_a_database(own, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"^--worker: allowed: with machine\.storage_url"):
        tuned(own, tmp_path, monkeypatch, "--worker")


def test_too_few_training_samples_name_the_key(own, tmp_path, monkeypatch):
    toy_study.change(own, train_samples=3)
    with pytest.raises(UserError, match=r"^studies\.faces\.train_samples: too few; allowed: .* 84; received: 3$"):
        tuned(own, tmp_path, monkeypatch)
