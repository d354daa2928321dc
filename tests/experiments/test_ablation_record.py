"""The record of an ablation: its steps from a completed experiment, and the command that repeats their runs."""

import json

import pytest
from experiment_refs import MD5, OFFICIAL, REAL, accurate, error_of, project_fixture, run_app  # noqa: F401

from stages.apps import reference

FIGURES = {"a": accurate(60), "b": accurate(70)}


def step(**values):
    """Return a step from run a, 60 of a hundred correct, to run b, 70 correct, as `report` writes it."""
    return {
        "run": "b", "before": "a", "corpus": "faces", "name": "FER-2013", "synthetic": False, "protocol": OFFICIAL,
        "adds": ["attention"], "accuracy": 0.7, "gain": 0.1, "gain_ci95": [0.02, 0.18], "mcnemar_p": 0.03,
        "n_test": 100, "parameters": 20, "flops": 200, "parameters_added": 10, "flops_added": 100,
    } | values  # fmt: skip


STEPS = [step()]


@pytest.fixture
def record(project, monkeypatch, tmp_path):
    """Call it for the record of an experiment with these figures and steps."""

    def make(figures=FIGURES, steps=STEPS, **values):
        project.experiment("e", figures, steps=steps, **REAL, **values)
        run_app(reference, monkeypatch, "ablation", "faces", "--name", "x", "--note", "a note", "--experiment", "e")
        return json.loads((tmp_path / "metrics/reference/x.json").read_text())

    return make


@pytest.fixture
def error(project, monkeypatch):
    """Call it for the message with which an experiment is refused."""

    def make(figures=FIGURES, steps=STEPS, corpus="faces", locked=None):
        project.experiment("e", figures, steps=steps, locked=locked, **REAL)
        return error_of(reference, monkeypatch, "ablation", corpus, "--name", "x", "--experiment", "e")

    return make


def test_records_the_steps_and_the_command_of_all_their_runs(project, record, tmp_path):
    values = {"runs.a.optimizer.lr": 0.0003, "runs.b.optimizer.lr": 0.0005, "runs.c": {"corpus": "faces"}}
    recorded = record(steps=[step(), step(corpus="other", run="c")], **values)
    assert " ".join(recorded) == "corpus name data protocol seeds command commit hardware date note steps"
    assert recorded["steps"] == [step()]
    assert recorded["command"] == (
        "dvc exp run -S corpora.faces.name=FER-2013 -S corpora.faces.source=…/fer2013.zip"
        " -S runs.a.optimizer.lr=0.0003 -S runs.b.optimizer.lr=0.0005 report"
    )
    assert recorded["data"] == f"fer2013.zip, packed md5 {MD5} (800 train, 100 validation, 100 test)"
    assert (recorded["corpus"], recorded["name"], recorded["protocol"]) == ("faces", "FER-2013", OFFICIAL)
    assert (recorded["seeds"], recorded["commit"], recorded["date"]) == ([7], project.baseline, "2023-11-14")
    assert recorded["note"] == "a note"
    assert "FER-2013" not in (tmp_path / "README.md").read_text()  # the table lists runs only


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"corpus": "face"}, "metrics/ablation.json: no step between runs of this corpus; Did you mean 'faces'?"),
        ({"steps": None}, "metrics/ablation.json"),
        ({"steps": [step(synthetic=True)]}, "metrics/ablation.json: a synthetic corpus gives no reference"),
        ({"locked": {"report_seed": 8}}, "the figures of the ablation are older than its seed"),
        ({"locked": {"seed": 8}}, "the figures of a are older than its seed"),
        # as `dvc exp run evaluate@<run>` leaves it
        ({"figures": FIGURES | {"a": accurate(64)}}, "the ablation are older than its metrics/runs/a.json"),
        ({"figures": FIGURES | {"b": accurate(64)}}, "the ablation are older than its metrics/runs/b.json"),
    ],
)
def test_refuses_missing_and_outdated_steps(error, arguments, words):
    assert words in error(**arguments)


def test_a_step_without_gain_does_not_restrict_the_run_before(record):
    """Such a step compares two runs that were tested on different samples."""
    assert record(figures=FIGURES | {"a": accurate(64)}, steps=[step(gain=None)])["steps"] == [step(gain=None)]
