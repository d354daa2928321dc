"""From a study's metrics to the line that trains with its best values (the whole way: tests/test_end_to_end.py)."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from stages.apps import best
from stages.checks.params import load
from stages.core.errors import UserError

ROOT = Path(__file__).parents[2]
KEY = "faces_custom_cnn"
VALUES = {
    "model.activation": "elu",
    "optimizer.name": "sgd_nesterov",
    "optimizer.lr": 5.586e-05,
    "optimizer.weight_decay": 3.84e-08,
    "schedule.step_epochs": 7,
    "schedule.gamma": 0.30000000000000004,
    "batch_size": 64,
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml and the metrics of its study."""
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    (tmp_path / "metrics/tune").mkdir(parents=True)
    found = {"study": KEY, "run": KEY, "best_params": VALUES, "synthetic": True}
    (tmp_path / f"metrics/tune/{KEY}.json").write_text(json.dumps(found))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["best", KEY])
    return tmp_path


def test_the_line_sets_exactly_the_best_values(project, capsys):
    """Applied by DVC's own reading of `-S`."""
    best.main()
    said = capsys.readouterr()
    words = shlex.split(said.out)
    assert words[:3] == ["dvc", "exp", "run"]
    assert words[3::2] == ["-S"] * len(VALUES)
    assert "synthetic" in said.err
    apply_overrides(project / "params.yaml", words[4::2])
    run = load(project / "params.yaml").runs[KEY]
    assert (run.model["activation"], run.optimizer["name"], run.batch_size) == ("elu", "sgd_nesterov", 64)
    assert (run.optimizer["lr"], run.optimizer["weight_decay"]) == (5.586e-05, 3.84e-08)
    assert (run.schedule["step_epochs"], run.schedule["gamma"]) == (7, 0.30000000000000004)


def test_a_key_that_the_run_leaves_out_is_added(project, capsys):
    best.main()
    words = shlex.split(capsys.readouterr().out)
    assert f"+runs.{KEY}.model.activation=elu" in words
    apply_overrides(project / "params.yaml", words[4::2])
    assert load(project / "params.yaml").runs[KEY].model["activation"] == "elu"


def test_a_setting_of_the_run_itself_that_it_leaves_out_is_added(project):
    params = load(project / "params.yaml")
    words = best.command({"run": KEY, "best_params": {"ema_decay": 0.9}}, params, {"recipe": "faces_custom"})
    assert words[4:] == [f"+runs.{KEY}.ema_decay=0.9"]
    apply_overrides(project / "params.yaml", words[4::2])
    assert load(project / "params.yaml").runs[KEY].ema_decay == 0.9


def test_a_block_of_another_name_is_set_whole(project, capsys):
    """What the recipe's optimizer has beside the values that were searched counted in the trial, too."""
    names = "studies.faces_custom_cnn.space.optimizer.name.choices=[adam,adamw]"
    apply_overrides(project / "params.yaml", ["+recipes.faces_custom.optimizer.epsilon=1e-6", names])
    path = project / f"metrics/tune/{KEY}.json"
    found = json.loads(path.read_text())
    found["best_params"] |= {"optimizer.name": "adamw"}
    path.write_text(json.dumps(found))
    best.main()
    apply_overrides(project / "params.yaml", shlex.split(capsys.readouterr().out)[4::2])
    optimizer = {"name": "adamw", "lr": 5.586e-05, "weight_decay": 3.84e-08, "epsilon": 1e-6}
    assert load(project / "params.yaml").runs[KEY].optimizer == optimizer


@pytest.mark.parametrize(
    ("value", "shown"),
    [("none", "none"), ("null", '"null"'), ("16-mixed", '"16-mixed"'), ("True", '"True"'), (True, "true"),
     (None, "null"), (1e-08, "1e-08"), (3, "3"), ("a b,c", '"a b,c"')],
)  # fmt: skip
def test_values_come_back_as_they_were(tmp_path, value, shown):
    assert best.shown(value) == shown
    (tmp_path / "params.yaml").write_text("x: 0\n")
    apply_overrides(tmp_path / "params.yaml", [f"x={shown}"])
    from stages.params.load import parse

    assert parse((tmp_path / "params.yaml").read_text())["x"] == value


@pytest.mark.parametrize("apply", [False, True])
def test_it_is_run_only_on_request_and_its_status_is_passed_on(project, monkeypatch, apply):
    ran = []

    def run(words, check):
        ran.append(words)
        return type("Done", (), {"returncode": 3})

    monkeypatch.setattr(best.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["best", KEY, "--apply"] if apply else ["best", KEY])
    if apply:
        with pytest.raises(SystemExit) as caught:
            best.main()
        assert (caught.value.code, ran[0][:3]) == (3, ["dvc", "exp", "run"])
    else:
        best.main()
        assert ran == []


def refusal():
    with pytest.raises(UserError) as caught:
        best.main()
    return str(caught.value)


def test_what_cannot_be_used_is_one_line(project, monkeypatch):
    path = project / f"metrics/tune/{KEY}.json"
    path.write_text(json.dumps({"run": KEY, "best_params": {"optimizer.lr": 0.1}, "synthetic": True}))
    renews = f"`dvc repro tune@{KEY}` renews it"
    assert refusal() == f"metrics/tune/{KEY}.json: of another run or space than studies.{KEY}; {renews}"
    path.unlink()
    assert refusal() == f"metrics/tune/{KEY}.json: no such file; run `dvc repro` first"
    monkeypatch.setattr(sys, "argv", ["best", "face_custom_cnn"])
    assert refusal().startswith("studies.face_custom_cnn: not in params.yaml; Did you mean 'faces_custom_cnn'?")
