"""Reference records: read from git, summarised over experiments, and listed in README.md and docs/results.md."""

import json
import re
import shutil

import numpy as np
import pytest
from conftest import ROOT
from experiment_refs import MD5, OFFICIAL, REAL, SPEAKERS, accurate, changed, error_of, metrics, run_app
from experiment_refs import project_fixture as project_fixture
from scipy import stats

from stages.apps import reference
from stages.experiments import provenance, records
from stages.experiments.completed_experiments import Experiment

CONFUSION = [[30, 10], [20, 40]]
LR = "runs.a.optimizer.lr"
KEYS = (
    "run corpus name data protocol seeds folds n_test accuracy accuracy_sd accuracy_ci95 accuracy_ci95_method "
    "balanced_accuracy f1_macro confusion command commit hardware date note"
)


@pytest.fixture
def record(project, monkeypatch, tmp_path):
    """Call it for the record that `add` writes of these experiments."""

    def add(*experiments):
        run_app(reference, monkeypatch, "add", "a", "--name", "x", "--note", "a note", "--experiments", *experiments)
        return json.loads((tmp_path / "metrics/reference/x.json").read_text())

    return add


def test_records_one_experiment(project, record):
    figures = metrics(CONFUSION, accuracy_ci95_method="bootstrap over 4 speakers")
    project.experiment("fer", figures, **REAL, **{LR: 0.0003})
    recorded = record("fer")
    assert " ".join(recorded) == KEYS
    assert (recorded["accuracy"], recorded["accuracy_sd"], recorded["accuracy_ci95"]) == (0.7, None, [0.6, 0.8])
    assert recorded["accuracy_ci95_method"] == "bootstrap over 4 speakers"
    assert (recorded["seeds"], recorded["folds"], recorded["n_test"]) == ([7], [0], 100)
    assert recorded["confusion"] == CONFUSION
    assert recorded["command"] == (
        "dvc exp run -S corpora.faces.name=FER-2013 -S corpora.faces.source=…/fer2013.zip -S runs.a.optimizer.lr=0.0003"
    )
    assert recorded["data"] == f"fer2013.zip, packed md5 {MD5} (800 train, 100 validation, 100 test)"
    assert (recorded["commit"], recorded["note"], recorded["name"]) == (project.baseline, "a note", "FER-2013")
    assert (recorded["protocol"], recorded["date"]) == (OFFICIAL, "2023-11-14")


def test_records_an_ensemble_with_its_members(project, monkeypatch, tmp_path):
    both = {"a": accurate(60), "b": accurate(62)}
    changes = {LR: 0.0003, "runs.b.optimizer.lr": 0.1, "ensembles.e.weights": "validation"}
    mixed = [{"run": run, "predictions_md5": MD5} for run in "ab"]
    figures = metrics(CONFUSION, run="e", model="ensemble", members=mixed)
    project.experiment("fer", both, ensemble=figures, **REAL, **changes)
    run_app(reference, monkeypatch, "add", "e", "--name", "x", "--experiments", "fer")
    recorded = json.loads((tmp_path / "metrics/reference/x.json").read_text())
    assert " ".join(recorded) == KEYS
    assert (recorded["run"], recorded["corpus"], recorded["accuracy"]) == ("e", "faces", 0.7)
    assert recorded["command"] == (
        "dvc exp run -S corpora.faces.name=FER-2013 -S corpora.faces.source=…/fer2013.zip"
        " -S runs.a.optimizer.lr=0.0003 -S runs.b.optimizer.lr=0.1 -S ensembles.e.weights=validation"
    )
    # a member was evaluated again, and the ensemble was not
    mixed[1]["predictions_md5"] = "0" * 32
    project.experiment("old", both, ensemble=figures, **REAL, **changes)
    assert "old: the figures of e are older than its data/predictions/b.h5" in (
        error_of(reference, monkeypatch, "add", "e", "--name", "x", "--experiments", "old")
    )
    assert "c: no completed experiment of the 1 named f* has metrics/runs/c.json or metrics/ensembles/c.json" in (
        error_of(reference, monkeypatch, "add", "c", "--name", "x", "--experiments", "f*")
    )


def test_tables_list_the_best_record_of_each_corpus_and_all_records(project, record, monkeypatch, tmp_path):
    project.experiment("fer", metrics(CONFUSION), **REAL)
    recorded = record("fer")
    others = {"better": {"accuracy": 0.9}, "other": {"name": "RAF-DB", "accuracy": 0.5, "accuracy_sd": 0.01}}
    for name, changes in others.items():
        (tmp_path / f"metrics/reference/{name}.json").write_text(json.dumps(recorded | changes))
    run_app(reference, monkeypatch, "table")
    pages = {path: (tmp_path / path).read_text(encoding="utf-8") for path in (records.README, records.RESULTS)}
    listed = {path: re.findall(r"\[(\w+)\]\(([\w./]+)\) \|$", page, re.MULTILINE) for path, page in pages.items()}
    assert listed[records.README] == [(name, f"metrics/reference/{name}.json") for name in ("better", "other")]
    assert listed[records.RESULTS] == [(name, f"../metrics/reference/{name}.json") for name in ("better", "x", "other")]
    for page in pages.values():
        assert re.fullmatch(r"before\n.*\nafter\n", page, re.DOTALL)
        assert "old" not in page
        assert "| `a` | RAF-DB | **50.0** ± 1.0 [60.0, 80.0] | 69.0 | 68.0 | 100 |" in page


def test_reads_metrics_and_records_without_the_method_of_the_interval(project, record, tmp_path):
    """Older versions wrote no method; their intervals are from a bootstrap over samples."""
    project.experiment("fer", metrics(CONFUSION), **REAL)
    recorded = record("fer")
    assert recorded["accuracy_ci95_method"] == "bootstrap over test samples"
    del recorded["accuracy_ci95_method"]
    (tmp_path / "metrics/reference/older.json").write_text(json.dumps(recorded | {"accuracy": 0.9}))
    assert "**90.0** [60.0, 80.0]" in records.table(records.sorted_records(), "reference")


def test_tables_are_written_only_if_both_pages_mark_their_place(project, monkeypatch):
    records.RESULTS.write_text(f"{records.END}{records.BEGIN}")
    before = records.README.read_text()
    assert "in this order" in error_of(reference, monkeypatch, "table")
    assert records.README.read_text() == before


def test_command_adds_new_blocks_whole_and_leaves_out_other_runs():
    """`dvc exp run` accepts each block as one '+'; the folds come after it, since they change it."""
    blocks = {
        "corpora.mine": {"source": "/data/mine.zip", "classes": ["sad", "happy"]},
        "datasets.mine": {"corpus": "mine", "feature": {"name": "faces", "size_px": 64}},
        "runs.other": {"corpus": "faces", "dataset": "faces"},
        "runs.own": {"corpus": "mine", "dataset": "mine", "augmentation": None},
        "runs.a.optimizer.lr": 0.5,
    }
    params = [changed(**blocks, **{"splits.mine": {"protocol": "group_disjoint", "fold": fold}}) for fold in (0, 1)]
    group = [Experiment(f"e{fold}", "", "own", {}, one, {}, {}) for fold, one in enumerate(params)]
    assert provenance.command(changed(), group) == (
        "dvc exp run --queue"
        " -S '+corpora.mine={source:…/mine.zip,classes:[sad,happy]}'"
        " -S '+datasets.mine={corpus:mine,feature:{name:faces,size_px:64}}'"
        " -S '+splits.mine={protocol:group_disjoint,fold:0}'"
        " -S '+runs.own={corpus:mine,dataset:mine,augmentation:null}'"
        " -S splits.mine.fold=0,1"
    )


def test_averages_seeds(project, record):
    for seed, percent in enumerate((60, 70, 65)):
        project.experiment(f"s{seed}", accurate(percent), seed=seed, **REAL)
    recorded = record("s0", "s1", "s2")
    assert (recorded["accuracy"], recorded["accuracy_sd"]) == (0.65, 0.05)
    interval = stats.t.interval(0.95, 2, loc=0.65, scale=stats.sem([0.6, 0.7, 0.65]))
    assert recorded["accuracy_ci95"] == pytest.approx(interval, abs=1e-5)
    assert recorded["accuracy_ci95_method"] == "Student's t"
    assert (recorded["seeds"], recorded["n_test"]) == ([0, 1, 2], 100)  # the same hundred samples three times
    assert np.sum(recorded["confusion"]) == 300
    assert recorded["protocol"] == f"{OFFICIAL}; mean ± sd over 3 seeds"
    assert recorded["command"].startswith("dvc exp run --queue -S seed=0,1,2 -S corpora.faces.name=FER-2013 ")


def test_pools_folds(project, record):
    """24 of 30 are correct; the interval is Student's t over the folds' 0.75 and 0.9, cut at 0 and 1."""
    for fold, confusion in enumerate(([[8, 2], [3, 7]], [[3, 1], [0, 6]])):
        label = f"speaker-disjoint (fold {fold} of 6; speakers: train 18, validation 3, test 3)"
        figures = metrics(confusion, protocol=label, n_train=800 + 300 * fold)
        project.experiment(f"fold-{fold}", figures, **{"splits.faces.fold": fold, **REAL, **SPEAKERS})
    project.experiment("other", accurate(60), **REAL)
    recorded = record("fold-*")
    assert (recorded["accuracy"], recorded["accuracy_sd"], recorded["accuracy_ci95"]) == (0.8, 0.106066, [0.0, 1.0])
    assert (recorded["balanced_accuracy"], recorded["f1_macro"]) == (0.799107, 0.799107)
    assert (recorded["folds"], recorded["seeds"], recorded["n_test"]) == ([0, 1], [7], 30)
    assert recorded["confusion"] == [[11, 3], [3, 13]]
    assert recorded["protocol"] == (
        "speaker-disjoint (folds 0, 1 of 6; speakers: train 18, validation 3, test 3)"
        "; pooled over 2 folds, sd over folds"
    )
    assert recorded["data"].endswith("(800–1,100 train, 100 validation, 10–20 test)")
    assert "--queue" in recorded["command"]
    assert "-S splits.faces.fold=0,1" in recorded["command"]


def test_refuses_seeds_with_different_folds(project, monkeypatch):
    for seed, fold in ((1, 0), (1, 1), (2, 0)):
        values = {"seed": seed, "splits.faces.fold": fold}
        project.experiment(f"f-{seed}-{fold}", accurate(60), **values, **REAL, **SPEAKERS)
    message = error_of(reference, monkeypatch, "add", "a", "--name", "x", "--experiments", "f-*")
    assert "allowed: the same folds of every seed" in message
    assert "f-2-0 (seed 2, fold 0)" in message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"figures": {"synthetic": True}}, "a synthetic corpus gives no reference"),
        ({"corpora.faces.name": "RAF-DB"}, "differ in: corpora.faces.name"),
        ({LR: 0.1}, "differ in: optimizer.lr"),
        ({"locked": {"md5": 32 * "f", "used": 32 * "f"}}, "differ in: data/raw/faces.zip"),
    ],
)
def test_refuses_experiments_that_are_not_comparable(project, monkeypatch, tmp_path, values, words):
    figures = accurate(60, **values.pop("figures", {}))
    project.experiment("one", accurate(60), **REAL)
    project.experiment("other", figures, seed=8, **REAL | values)
    assert words in error_of(reference, monkeypatch, "add", "a", "--name", "x", "--experiments", "one", "other")
    assert not (tmp_path / "metrics/reference").exists()


def test_reads_the_workspace_by_default(project, monkeypatch):
    """The workspace is synthetic here."""
    assert "a synthetic corpus" in error_of(reference, monkeypatch, "add", "a", "--name", "x")


def test_committed_tables_match_the_committed_records(tmp_path, monkeypatch):
    pages = (records.README, records.RESULTS)
    for path in (*pages, records.FOLDER):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / path).is_dir() else shutil.copyfile)(ROOT / path, tmp_path / path)
    monkeypatch.chdir(tmp_path)
    records.render_tables()
    for path in pages:
        assert (tmp_path / path).read_text(encoding="utf-8") == (ROOT / path).read_text(encoding="utf-8")


# ---- searches --------------------------------------------------------------------------------------------------------

RESULT = {
    "study": "s", "run": "a", "corpus": "faces", "dataset": "faces", "name": "FER-2013", "synthetic": False,
    "protocol": OFFICIAL, "objective": "validation_accuracy", "best_value": 0.6, "best_params": {"batch_size": 32},
    "n_trials": 15,
}  # fmt: skip


def test_records_a_search(project, monkeypatch, tmp_path):
    project.experiment("search", {}, study=RESULT, **REAL, **{"studies.s.n_trials": 15})
    run_app(reference, monkeypatch, "study", "s", "--name", "x", "--note", "a note", "--experiment", "search")
    recorded = json.loads((tmp_path / "metrics/reference/x.json").read_text())
    assert {key: recorded[key] for key in RESULT} == RESULT
    assert recorded["command"] == (
        "dvc exp run -S corpora.faces.name=FER-2013 -S corpora.faces.source=…/fer2013.zip "
        "-S studies.s.n_trials=15 tune@s"
    )
    assert (recorded["commit"], recorded["note"], recorded["date"]) == (project.baseline, "a note", "2023-11-14")
    assert (recorded["data"], recorded["seed"]) == ("fer2013.zip", 7)
    assert recorded["space"] == {"batch_size": {"type": "int"}}
    assert "FER-2013" not in (tmp_path / "README.md").read_text()  # the table lists runs only


@pytest.mark.parametrize(
    ("study", "locked", "words"),
    [
        (RESULT | {"synthetic": True}, None, "s: a synthetic corpus gives no reference"),
        (RESULT, {"seed": 8}, "the figures of studies.s are older than its seed"),
        (None, None, "metrics/tune/s.json"),
    ],
)
def test_refuses_a_synthetic_outdated_or_missing_search(project, monkeypatch, study, locked, words):
    project.experiment("e", {}, study=study, locked=locked)
    assert words in error_of(reference, monkeypatch, "study", "s", "--name", "x", "--experiment", "e")
