"""Records of real results: read out of git, summed up over experiments, shown in README; nothing typed by hand."""

import json
import subprocess

import numpy as np
import pytest
from scipy import stats

from stages.apps import reference
from stages.core.checks import UserError

CONFUSION = [[30, 10], [20, 40]]
LOCK = """schema: '2.0'
stages:
  download@faces:
    cmd: python
    outs:
    - path: data/raw/faces.zip
      hash: md5
      md5: 0123456789abcdef0123456789abcdef
"""


def metrics(accuracy, **changed):
    return {
        "run": "a", "model": "cnn", "corpus": "faces", "name": "FER-2013", "source": "zip", "synthetic": False,
        "protocol": "official (test = PrivateTest)", "n_train": 800, "n_validation": 100, "n_test": 100,
        "accuracy": accuracy, "accuracy_ci95": [accuracy - 0.1, accuracy + 0.1], "balanced_accuracy": accuracy - 0.01,
        "f1_macro": accuracy - 0.02, "confusion": CONFUSION,
    } | changed  # fmt: skip


def params(seed=7, fold=0, source="synthetic", lr=0.001):
    return f"""seed: {seed}
machine:
  threads: 2
  accelerator: cpu
corpora:
  faces:
    source: {source}
splits:
  faces:
    protocol: official
    seed: 7
    fold: {fold}
datasets:
  faces:
    corpus: faces
runs:
  a:
    dataset: faces
    optimizer:
      lr: {lr}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a synthetic baseline; call it to add a finished experiment as DVC would keep it."""
    monkeypatch.chdir(tmp_path)

    def git(*arguments):
        identity = ("-c", "user.name=test", "-c", "user.email=test")
        return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    def write(figures, text):
        (tmp_path / "metrics/runs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "metrics/runs/a.json").write_text(json.dumps(figures))
        (tmp_path / "params.yaml").write_text(text)
        (tmp_path / "dvc.lock").write_text(LOCK)
        (tmp_path / "README.md").write_text(f"before\n{reference.BEGIN}\nold\n{reference.END}\nafter\n")
        git("add", "-A")

    git("init", "-q", "-b", "main")
    write(metrics(0.5, synthetic=True), params())
    git("commit", "-qm", "baseline")

    def experiment(name, figures, text):
        write(figures, text)
        git("commit", "-qm", name)
        git("update-ref", f"refs/exps/ab/cdef/{name}", "HEAD")
        git("reset", "-q", "--hard", "HEAD^")
        return git("rev-parse", "HEAD")

    return experiment


def add(*arguments, monkeypatch):
    monkeypatch.setattr("sys.argv", ["reference", *arguments])
    reference.main()


def test_one_experiment(project, monkeypatch, tmp_path):
    baseline = project("fer", metrics(0.6), params(source="/home/me/fer2013.zip", lr=0.0003))
    add("add", "a", "--name", "fer2013_a", "--experiments", "fer", "--note", "a note", monkeypatch=monkeypatch)
    found = json.loads((tmp_path / "metrics/reference/fer2013_a.json").read_text())
    assert (found["accuracy"], found["accuracy_sd"], found["accuracy_ci95"]) == (0.6, None, [0.5, 0.7])
    assert (found["seeds"], found["folds"], found["n_test"], found["confusion"]) == ([7], [0], 100, CONFUSION)
    assert found["command"] == "dvc exp run -S corpora.faces.source=…/fer2013.zip -S runs.a.optimizer.lr=0.0003"
    assert found["data"] == (
        "fer2013.zip, packed md5 0123456789abcdef0123456789abcdef (800 train, 100 validation, 100 test)"
    )
    assert (found["commit"], found["note"], found["name"]) == (baseline, "a note", "FER-2013")
    readme = (tmp_path / "README.md").read_text()
    assert readme.startswith("before\n")
    assert readme.endswith("after\n")
    assert "old" not in readme
    assert "| `a` | FER-2013 | **60.0** [50.0, 70.0] | 59.0 | 58.0 | 100 |" in readme


def test_several_seeds_become_one_record(project, monkeypatch, tmp_path):
    accuracies = [0.6, 0.7, 0.65]
    for seed, accuracy in enumerate(accuracies):
        project(f"s{seed}", metrics(accuracy), params(seed=seed, source="/data/fer2013.zip"))
    add("add", "a", "--name", "seeds", "--experiments", "s0", "s1", "s2", monkeypatch=monkeypatch)
    found = json.loads((tmp_path / "metrics/reference/seeds.json").read_text())
    assert found["accuracy"] == pytest.approx(0.65)
    assert found["accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1), abs=1e-6)
    interval = stats.t.interval(0.95, 2, loc=0.65, scale=stats.sem(accuracies))
    assert found["accuracy_ci95"] == pytest.approx(interval, abs=1e-5)
    assert (found["seeds"], found["n_test"]) == ([0, 1, 2], 100)  # the same hundred three times
    assert found["confusion"] == (3 * np.array(CONFUSION)).tolist()


def test_folds_test_on_different_samples(project, monkeypatch, tmp_path):
    for fold in (0, 1):
        project(f"f{fold}", metrics(0.6, protocol=f"fold {fold}"), params(fold=fold, source="/data/fer2013.zip"))
    add("add", "a", "--name", "folds", "--experiments", "f0", "f1", monkeypatch=monkeypatch)
    found = json.loads((tmp_path / "metrics/reference/folds.json").read_text())
    assert (found["folds"], found["n_test"]) == ([0, 1], 200)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"synthetic": True}, "a synthetic corpus gives no reference"),
        ({"name": "RAF-DB"}, "differ in more than seed and fold"),
    ],
)
def test_what_is_not_comparable_is_refused(project, monkeypatch, tmp_path, figures, said):
    project("one", metrics(0.6), params(source="/data/fer2013.zip"))
    project("other", metrics(0.6, **figures), params(seed=8, source="/data/fer2013.zip"))
    with pytest.raises(UserError, match=said):
        add("add", "a", "--name", "x", "--experiments", "one", "other", monkeypatch=monkeypatch)
    assert not (tmp_path / "metrics/reference").exists()


def test_other_learning_rates_are_not_averaged(project, monkeypatch):
    project("one", metrics(0.6), params(source="/data/fer2013.zip"))
    project("other", metrics(0.6), params(seed=8, lr=0.1, source="/data/fer2013.zip"))
    with pytest.raises(UserError, match="differ in more than seed and fold"):
        add("add", "a", "--name", "x", "--experiments", "one", "other", monkeypatch=monkeypatch)


def test_an_unknown_experiment_is_one_line(project, monkeypatch):
    with pytest.raises(UserError, match="nosuch"):
        add("add", "a", "--name", "x", "--experiments", "nosuch", monkeypatch=monkeypatch)


def test_readme_shows_the_records_that_are_there():
    """The committed table is the one the committed records give."""
    text = reference.README.read_text(encoding="utf-8")
    assert text.split(reference.BEGIN)[1].split(reference.END)[0].strip() == reference.table()
