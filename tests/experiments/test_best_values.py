"""The command that trains with the best values of a study (used in a whole pipeline in tests/test_end_to_end.py)."""

import json
import shlex
import shutil
import sys
from unittest.mock import Mock

import pytest
from conftest import ROOT
from dvc.utils.hydra import apply_overrides

from stages.apps import best
from stages.checks.params import load
from stages.core.errors import UserError

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
    result = {"study": KEY, "run": KEY, "best_params": VALUES, "synthetic": True}
    (tmp_path / f"metrics/tune/{KEY}.json").write_text(json.dumps(result))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["best", KEY])
    return tmp_path


def test_command_sets_exactly_the_best_values(project, capsys):
    """It is applied by DVC's own reading of `-S`; a key that the run leaves out is added with '+'."""
    best.main()
    output = capsys.readouterr()
    words = shlex.split(output.out)
    assert words[:3] == ["dvc", "exp", "run"]
    assert words[3::2] == ["-S"] * len(VALUES)
    assert f"+runs.{KEY}.model.activation=elu" in words
    assert "synthetic" in output.err
    apply_overrides(project / "params.yaml", words[4::2])
    run = load(project / "params.yaml").runs[KEY]
    assert (run.model["activation"], run.optimizer["name"], run.batch_size) == ("elu", "sgd_nesterov", 64)
    assert (run.optimizer["lr"], run.optimizer["weight_decay"]) == (5.586e-05, 3.84e-08)
    assert (run.schedule["step_epochs"], run.schedule["gamma"]) == (7, 0.30000000000000004)


def test_sets_all_of_a_block_with_another_name(project, capsys):
    """The trial also used the options of the recipe's optimizer that are not searched."""
    names = "studies.faces_custom_cnn.space.optimizer.name.choices=[adam,adamw]"
    apply_overrides(project / "params.yaml", ["+recipes.faces_custom.optimizer.epsilon=1e-6", names])
    path = project / f"metrics/tune/{KEY}.json"
    result = json.loads(path.read_text())
    result["best_params"] |= {"optimizer.name": "adamw"}
    path.write_text(json.dumps(result))
    best.main()
    apply_overrides(project / "params.yaml", shlex.split(capsys.readouterr().out)[4::2])
    optimizer = {"name": "adamw", "lr": 5.586e-05, "weight_decay": 3.84e-08, "epsilon": 1e-6}
    assert load(project / "params.yaml").runs[KEY].optimizer == optimizer


def test_runs_only_with_apply_and_returns_the_status(project, monkeypatch):
    run = Mock(return_value=Mock(returncode=3))
    monkeypatch.setattr(best.subprocess, "run", run)
    best.main()
    assert run.call_count == 0
    monkeypatch.setattr(sys, "argv", ["best", KEY, "--apply"])
    with pytest.raises(SystemExit) as caught:
        best.main()
    assert (caught.value.code, run.call_args.args[0][:3]) == (3, ["dvc", "exp", "run"])


@pytest.mark.parametrize(
    ("study", "content", "words"),
    [
        (KEY, json.dumps({"run": KEY, "best_params": {"optimizer.lr": 0.1}}), "of another run or space"),
        (KEY, None, rf"metrics/tune/{KEY}\.json: no such file"),
        ("face_custom_cnn", None, r"studies\.face_custom_cnn: not in params.*Did you mean 'faces_custom_cnn'"),
    ],
)
def test_refuses_other_and_missing_results_and_studies(project, monkeypatch, study, content, words):
    path = project / f"metrics/tune/{KEY}.json"
    path.write_text(content) if content else path.unlink()
    monkeypatch.setattr(sys, "argv", ["best", study])
    with pytest.raises(UserError, match=words):
        best.main()
