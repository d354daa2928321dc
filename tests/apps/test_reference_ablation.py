"""The record of an ablation: its steps out of a finished experiment, and the line that makes all runs they name."""

import json

import pytest
from experiment_refs import MD5, OFFICIAL, REAL, Project, accurate, called, refused

from stages.apps import reference

KEYS = (*("corpus", "name", "data", "protocol", "seeds", "command", "commit", "hardware", "date", "note", "steps"),)
FIGURES = {"a": accurate(60), "b": accurate(70)}


def step(**values):
    """From run a, 60 of a hundred right, to run b, 70 right, as `report` writes it."""
    return {
        "run": "b", "before": "a", "corpus": "faces", "name": "FER-2013", "synthetic": False, "protocol": OFFICIAL,
        "adds": ["attention"], "accuracy": 0.7, "gain": 0.1, "gain_ci95": [0.02, 0.18], "mcnemar_p": 0.03,
        "n_test": 100, "parameters": 20, "flops": 200, "parameters_added": 10, "flops_added": 100,
    } | values  # fmt: skip


STEPS = [step()]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def said(project, monkeypatch):
    """How `ablation` refuses an experiment."""

    def say(figures=FIGURES, steps=STEPS, corpus="faces", locked=None, **values):
        project.experiment("e", figures, steps=steps, locked=locked, **REAL, **values)
        return refused(reference, monkeypatch, "ablation", corpus, "--name", "x", "--experiment", "e")

    return say


def test_steps_and_the_line_that_sets_all_their_runs(project, monkeypatch, tmp_path):
    steps = [step(), step(corpus="other", run="c")]
    values = {"runs.a.optimizer.lr": 0.0003, "runs.b.optimizer.lr": 0.0005, "runs.c": {"corpus": "faces"}}
    project.experiment("e", FIGURES, steps=steps, **REAL, **values)
    called(reference, monkeypatch, "ablation", "faces", "--name", "x", "--note", "a note", "--experiment", "e")
    found = json.loads((tmp_path / "metrics/reference/x.json").read_text())
    assert tuple(found) == KEYS
    assert found["steps"] == [step()]
    assert found["command"] == (
        "dvc exp run -S corpora.faces.name=FER-2013 -S corpora.faces.source=…/fer2013.zip"
        " -S runs.a.optimizer.lr=0.0003 -S runs.b.optimizer.lr=0.0005 report"
    )
    assert found["data"] == f"fer2013.zip, packed md5 {MD5} (800 train, 100 validation, 100 test)"
    assert (found["corpus"], found["name"], found["protocol"]) == ("faces", "FER-2013", OFFICIAL)
    assert (found["seeds"], found["commit"], found["date"]) == ([7], project.baseline, "2023-11-14")
    assert found["note"] == "a note"
    assert "FER-2013" not in (tmp_path / "README.md").read_text()  # the table is of runs


def test_the_workspace_is_the_default_and_synthetic_here(project, monkeypatch, tmp_path):
    path = tmp_path / "metrics/ablation.json"
    path.write_text(json.dumps({"steps": [step(synthetic=True)]}))
    assert refused(reference, monkeypatch, "ablation", "faces", "--name", "x") == (
        "metrics/ablation.json: a synthetic corpus gives no reference; set corpora.faces.source to a real one"
    )
    assert not (tmp_path / "metrics/reference").exists()


def test_a_corpus_without_steps(said):
    assert said(corpus="face") == (
        "e: metrics/ablation.json: no step between runs of this corpus; Did you mean 'faces'? allowed: faces; "
        "received: 'face'"
    )


def test_no_report(said):
    assert "metrics/ablation.json" in said(steps=None)


def test_a_report_of_other_params(said):
    assert (
        said(locked={"reported": 8})
        == "e: the figures of the ablation are older than its seed; `dvc repro` renews them"
    )


def test_a_run_of_other_params(said):
    assert said(locked={"seed": 8}) == "e: the figures of a are older than its seed; `dvc repro` renews them"


@pytest.mark.parametrize("run", ["a", "b"])
def test_a_run_evaluated_after_the_report(said, run):
    """As `dvc exp run evaluate@<run>` leaves it."""
    assert said(figures=FIGURES | {run: accurate(64)}) == (
        f"e: the figures of the ablation are older than its metrics/runs/{run}.json; `dvc repro` renews them"
    )


def test_no_gain_says_nothing_of_the_run_before(project, monkeypatch, tmp_path):
    """The two were tested on other samples."""
    project.experiment("e", FIGURES | {"a": accurate(64)}, steps=[step(gain=None)], **REAL)
    called(reference, monkeypatch, "ablation", "faces", "--name", "x", "--experiment", "e")
    assert json.loads((tmp_path / "metrics/reference/x.json").read_text())["steps"] == [step(gain=None)]
