"""Records of real results: read out of git, summed up over experiments, shown in README; nothing typed by hand."""

import json
import re

import numpy as np
import pytest
from experiment_refs import (
    CONFUSION,
    MD5,
    OFFICIAL,
    PARAMS,
    REAL,
    SPEAKERS,
    Project,
    accurate,
    called,
    changed,
    metrics,
    refused,
)
from scipy import stats

from stages.apps import provenance, reference
from stages.apps.finished import Experiment

LR = "runs.a.optimizer.lr"
KEYS = (
    *("run", "corpus", "name", "data", "protocol", "seeds", "folds", "n_test", "accuracy", "accuracy_sd"),
    *("accuracy_ci95", "accuracy_ci95_method", "balanced_accuracy", "f1_macro", "confusion", "command", "commit"),
    *("hardware", "date", "note"),
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


@pytest.fixture
def record(project, monkeypatch, tmp_path):
    """Call `add` for a record of these experiments."""

    def add(*experiments):
        called(reference, monkeypatch, "add", "a", "--name", "x", "--note", "a note", "--experiments", *experiments)
        return json.loads((tmp_path / "metrics/reference/x.json").read_text())

    return add


def test_one_experiment(project, record, tmp_path):
    figures = metrics(CONFUSION, accuracy_ci95_method="bootstrap over 4 speakers")
    project.experiment("fer", figures, **REAL, **{LR: 0.0003})
    found = record("fer")
    assert tuple(found) == KEYS
    assert (found["accuracy"], found["accuracy_sd"], found["accuracy_ci95"]) == (0.7, None, [0.6, 0.8])
    assert found["accuracy_ci95_method"] == "bootstrap over 4 speakers"
    assert (found["seeds"], found["folds"], found["n_test"], found["confusion"]) == ([7], [0], 100, CONFUSION)
    assert found["command"] == (
        "dvc exp run -S corpora.faces.name=FER-2013 -S corpora.faces.source=…/fer2013.zip -S runs.a.optimizer.lr=0.0003"
    )
    assert found["data"] == f"fer2013.zip, packed md5 {MD5} (800 train, 100 validation, 100 test)"
    assert (found["commit"], found["note"], found["name"]) == (project.baseline, "a note", "FER-2013")
    assert (found["protocol"], found["date"]) == (OFFICIAL, "2023-11-14")
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert re.fullmatch(r"before\n.*\nafter\n", readme, re.DOTALL)
    assert "old" not in readme
    assert "| `a` | FER-2013 | **70.0** [60.0, 80.0] | 69.0 | 68.0 | 100 |" in readme


def test_an_experiment_and_a_record_of_before_intervals_had_names(project, record, tmp_path):
    """Both are read as they are: what metrics without the method held was a bootstrap over samples."""
    project.experiment("fer", metrics(CONFUSION), **REAL)
    found = record("fer")
    assert found["accuracy_ci95_method"] == "bootstrap over test samples"
    del found["accuracy_ci95_method"]
    (tmp_path / "metrics/reference/older.json").write_text(json.dumps(found | {"accuracy": 0.9}))
    assert "**90.0** [60.0, 80.0]" in reference.table()


def test_an_added_corpus_is_told_in_blocks_and_other_runs_are_not():
    """Each block as one '+' of its own, which `dvc exp run` takes; folds after it, since they change it."""
    blocks = {
        "corpora.mine": {"source": "/data/mine.zip", "classes": ["sad", "happy"]},
        "datasets.mine": {"corpus": "mine", "feature": {"name": "faces", "size_px": 64}},
        "runs.other": {"corpus": "faces", "dataset": "faces"},
        "runs.own": {"corpus": "mine", "dataset": "mine", "augmentation": None},
        "runs.a.optimizer.lr": 0.5,
    }
    params = [changed(**blocks, **{"splits.mine": {"protocol": "group_disjoint", "fold": fold}}) for fold in (0, 1)]
    group = [Experiment(f"e{fold}", "", "own", {}, found, {}, {}) for fold, found in enumerate(params)]
    assert provenance.command(PARAMS, group) == (
        "dvc exp run --queue"
        " -S '+corpora.mine={source:…/mine.zip,classes:[sad,happy]}'"
        " -S '+datasets.mine={corpus:mine,feature:{name:faces,size_px:64}}'"
        " -S '+splits.mine={protocol:group_disjoint,fold:0}'"
        " -S '+runs.own={corpus:mine,dataset:mine,augmentation:null}'"
        " -S splits.mine.fold=0,1"
    )


def test_several_seeds_become_one_record(project, record):
    for seed, percent in enumerate((60, 70, 65)):
        project.experiment(f"s{seed}", accurate(percent), seed=seed, **REAL)
    found = record("s0", "s1", "s2")
    assert (found["accuracy"], found["accuracy_sd"]) == (0.65, 0.05)
    interval = stats.t.interval(0.95, 2, loc=0.65, scale=stats.sem([0.6, 0.7, 0.65]))
    assert found["accuracy_ci95"] == pytest.approx(interval, abs=1e-5)
    assert found["accuracy_ci95_method"] == "Student's t"
    assert (found["seeds"], found["n_test"]) == ([0, 1, 2], 100)  # the same hundred three times
    assert np.sum(found["confusion"]) == 300
    assert found["protocol"] == f"{OFFICIAL}; mean ± sd over 3 seeds"
    assert found["command"].startswith("dvc exp run --queue -S seed=0,1,2 -S corpora.faces.name=FER-2013 ")


def test_folds_are_pooled(project, record, tmp_path):
    """24 of 30 right; the interval is Student's t over the folds' .75 and .9, cut at 0 and 1."""
    for fold, confusion in enumerate(([[8, 2], [3, 7]], [[3, 1], [0, 6]])):
        label = f"speaker-disjoint (fold {fold} of 6; speakers: train 18, validation 3, test 3)"
        figures = metrics(confusion, protocol=label, n_train=800 + 300 * fold)
        project.experiment(f"fold-{fold}", figures, **{"splits.faces.fold": fold, **REAL, **SPEAKERS})
    project.experiment("other", accurate(60), **REAL)
    found = record("fold-*")
    assert (found["accuracy"], found["accuracy_sd"], found["accuracy_ci95"]) == (0.8, 0.106066, [0.0, 1.0])
    assert (found["balanced_accuracy"], found["f1_macro"]) == (0.799107, 0.799107)
    assert (found["folds"], found["seeds"], found["n_test"]) == ([0, 1], [7], 30)
    assert found["confusion"] == [[11, 3], [3, 13]]
    assert found["protocol"] == (
        "speaker-disjoint (folds 0, 1 of 6; speakers: train 18, validation 3, test 3)"
        "; pooled over 2 folds, sd over folds"
    )
    assert found["data"].endswith("(800–1,100 train, 100 validation, 10–20 test)")
    assert "--queue" in found["command"]
    assert "-S splits.faces.fold=0,1" in found["command"]
    assert "pooled over 2 folds" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_every_seed_needs_the_same_folds(project, monkeypatch):
    for seed, fold in ((1, 0), (1, 1), (2, 0)):
        values = {"seed": seed, "splits.faces.fold": fold}
        project.experiment(f"f-{seed}-{fold}", accurate(60), **values, **REAL, **SPEAKERS)
    said = refused(reference, monkeypatch, "add", "a", "--name", "x", "--experiments", "f-*")
    assert "allowed: the same folds of every seed" in said
    assert "f-2-0 (seed 2, fold 0)" in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"figures": {"synthetic": True}}, "a synthetic corpus gives no reference"),
        (
            {"corpora.faces.name": "RAF-DB"},
            "differ in more than seed and fold are not averaged; in: corpora.faces.name",
        ),
        ({LR: 0.1}, "differ in more than seed and fold are not averaged; in: optimizer.lr"),
        ({"locked": {"md5": 32 * "f", "used": 32 * "f"}}, "in: data/raw/faces.zip"),
    ],
)
def test_what_is_not_comparable_is_refused(project, monkeypatch, tmp_path, values, said):
    figures = accurate(60, **values.pop("figures", {}))
    project.experiment("one", accurate(60), **REAL)
    project.experiment("other", figures, seed=8, **REAL | values)
    assert said in refused(reference, monkeypatch, "add", "a", "--name", "x", "--experiments", "one", "other")
    assert not (tmp_path / "metrics/reference").exists()


def test_an_unknown_experiment_is_one_line(project, monkeypatch):
    assert "nosuch" in refused(reference, monkeypatch, "add", "a", "--name", "x", "--experiments", "nosuch")


def test_the_workspace_is_the_default(project, monkeypatch):
    """Which here is synthetic."""
    assert "a synthetic corpus" in refused(reference, monkeypatch, "add", "a", "--name", "x")


def test_readme_shows_the_records_that_are_there():
    """The committed table is the one the committed records give."""
    text = reference.README.read_text(encoding="utf-8")
    assert text.split(reference.BEGIN)[1].split(reference.END)[0].strip() == reference.table()


# ---- searches --------------------------------------------------------------------------------------------------------

FOUND = {
    "study": "s",
    "run": "a",
    "corpus": "faces",
    "dataset": "faces",
    "name": "FER-2013",
    "synthetic": False,
    "protocol": OFFICIAL,
}
FOUND |= {"objective": "validation_accuracy", "best_value": 0.6, "best_params": {"batch_size": 32}, "n_trials": 15}


def test_a_search(project, monkeypatch, tmp_path):
    project.experiment("search", {}, study=FOUND, **REAL, **{"studies.s.n_trials": 15})
    called(reference, monkeypatch, "study", "s", "--name", "x", "--note", "a note", "--experiment", "search")
    found = json.loads((tmp_path / "metrics/reference/x.json").read_text())
    assert {key: found[key] for key in FOUND} == FOUND
    assert found["command"] == (
        "dvc exp run -S corpora.faces.name=FER-2013 -S corpora.faces.source=…/fer2013.zip "
        "-S studies.s.n_trials=15 tune@s"
    )
    assert (found["commit"], found["note"], found["date"]) == (project.baseline, "a note", "2023-11-14")
    assert (found["data"], found["seed"], found["space"]) == ("fer2013.zip", 7, {"batch_size": {"type": "int"}})
    assert "FER-2013" not in (tmp_path / "README.md").read_text()  # the table is of runs


def test_a_search_that_is_no_reference(project, monkeypatch):
    project.experiment("drawn", {}, study=FOUND | {"synthetic": True})
    project.experiment("older", {}, study=FOUND, locked={"seed": 8})
    project.experiment("without", {})
    said = {
        name: refused(reference, monkeypatch, "study", "s", "--name", "x", "--experiment", name)
        for name in ("drawn", "older", "without")
    }
    assert said["drawn"] == "s: a synthetic corpus gives no reference; set corpora.faces.source to a real one"
    assert said["older"] == "older: the figures of studies.s are older than its seed; `dvc repro` renews them"
    assert "metrics/tune/s.json" in said["without"]
