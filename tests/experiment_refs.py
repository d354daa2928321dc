"""A small git repository with completed experiments as DVC keeps them, written quickly by `git fast-import`."""

import copy
import json
import subprocess

import pytest

from stages.core.errors import UserError
from stages.experiments.records import BEGIN, END, README, RESULTS

CLASSES = ["happy", "sad"]
OFFICIAL = "official (test = PrivateTest, validation = PublicTest)"
REAL = {"corpora.faces.source": "/home/me/fer2013.zip", "corpora.faces.name": "FER-2013"}
SPEAKERS = {"splits.faces.protocol": "group_disjoint"}  # each fold has its own test samples
PARAMS = {
    "seed": 7,
    "machine": {"threads": 2, "accelerator": "cpu"},
    "corpora": {"faces": {"name": None, "source": "synthetic", "classes": CLASSES, "synthetic": {"size": 100}}},
    "datasets": {"faces": {"corpus": "faces", "feature": {"name": "faces", "size_px": 48}}},
    "splits": {"faces": {"protocol": "official", "seed": 7, "fold": 0}},
    "runs": {
        run: {"corpus": "faces", "dataset": "faces", "model": {"name": "cnn", "widths": [8, 16]},
              "optimizer": {"name": "adam", "lr": 0.001}, "schedule": {"name": "constant"}}
        for run in ("a", "b")
    },
    "ensembles": {"e": {"corpus": "faces", "members": ["a", "b"], "weights": "equal"}},
    "studies": {"s": {"run": "a", "corpus": "faces", "dataset": "faces", "n_trials": 100,
                      "space": {"batch_size": {"type": "int"}}}},
}  # fmt: skip
STAGES = """  {stage}:
    cmd: python
    deps:
    - path: stages/core
      hash: md5
      md5: {code}
    - path: data/raw/faces.zip
      hash: md5
      md5: {used}
    params:
      params.yaml:
        seed: {seed}
    outs:
    - path: {out}
      hash: md5
      md5: {md5}
"""
OUTS = {
    "download@faces": "data/raw/faces.zip",
    "split@faces": "data/splits/faces.json",
    "prepare@faces": "data/prepared/faces.h5",
    **{f"train@{run}": f"data/models/{run}" for run in "ab"},
    **{f"evaluate@{run}": f"data/predictions/{run}.h5" for run in "ab"},
    "ensemble@e": "metrics/ensembles/e.json",
    "tune@s": "metrics/tune/s.json",
    "report": "metrics/ablation.json",
}
MD5 = "0123456789abcdef0123456789abcdef"


def changed(**values):
    """Return the params with dotted keys set or added: changed(**{"runs.a.optimizer.lr": 0.1})."""
    params = copy.deepcopy(PARAMS)
    for dotted, value in values.items():
        *path, last = dotted.split(".")
        section = params
        for key in path:
            section = section[key]
        section[last] = value
    return params


def metrics(confusion, *, synthetic=False, **values):
    """Return the metrics that `evaluate` writes, as far as they are read here."""
    correct, n = sum(confusion[at][at] for at in range(2)), sum(map(sum, confusion))
    accuracy = correct / n
    return {
        "run": "a", "model": "cnn", "corpus": "faces", "name": "synthetic" if synthetic else "FER-2013",
        "source": "zip", "synthetic": synthetic, "protocol": OFFICIAL, "n_train": 800, "n_validation": 100, "n_test": n,
        "accuracy": accuracy, "accuracy_ci95": [round(accuracy - 0.1, 6), round(accuracy + 0.1, 6)],
        "balanced_accuracy": round(accuracy - 0.01, 6), "f1_macro": round(accuracy - 0.02, 6), "confusion": confusion,
    } | values  # fmt: skip


def accurate(percent, **values):
    """Return the metrics of a hundred test samples, of which so many are correct."""
    correct = percent // 2
    return metrics([[correct, 50 - correct], [50 - percent + correct, percent - correct]], **values)


def lock(seed, code=MD5, md5=MD5, used=MD5, report_seed=None):
    """Return a dvc.lock with the md5s of the code, of every output, and of the archive as each stage read it."""
    entries = {stage: {"seed": seed, "code": code, "md5": md5, "used": used} for stage in OUTS}
    entries["report"]["seed"] = seed if report_seed is None else report_seed
    lines = (STAGES.format(stage=stage, out=out, **entries[stage]) for stage, out in OUTS.items())
    return "schema: '2.0'\nstages:\n" + "".join(lines)


class Project:
    """A repository in `root`, whose HEAD is a synthetic baseline."""

    def __init__(self, root):
        self.root, self.time_s = root, 1_700_000_000
        self.git("init", "-q", "-b", "main")
        files = self._files(PARAMS, {"a": accurate(50, synthetic=True)}, {})
        files |= {str(page): f"before\n{BEGIN}\nold\n{END}\nafter\n" for page in (README, RESULTS)}
        self._commit("refs/heads/main", files)
        self.git("reset", "-q", "--hard", "main")
        self.baseline = self.git("rev-parse", "main")

    def experiment(self, name, figures, locked=None, study=None, steps=None, ensemble=None, **values):
        """Add a completed experiment that changed dotted params; `figures` of run a, or {run: figures}.

        `locked`: arguments of `lock`; `study`: the result of study s; `steps`: of metrics/ablation.json; `ensemble`:
        the metrics of ensemble e.
        """
        of_runs = {"a": figures} if "accuracy" in figures else figures
        ref = f"refs/exps/{self.baseline[:2]}/{self.baseline[2:]}/{name}"
        files = self._files(changed(**values), of_runs, locked or {})
        files |= {"metrics/tune/s.json": json.dumps(study)} if study else {}
        files |= {"metrics/ensembles/e.json": json.dumps(ensemble)} if ensemble else {}
        files |= {"metrics/ablation.json": json.dumps({"steps": steps})} if steps is not None else {}
        self._commit(ref, files, self.baseline)

    def git(self, *arguments, text=None):
        how = {"input": text, "check": True, "capture_output": True, "text": True}
        return subprocess.run(["git", *arguments], cwd=self.root, **how).stdout.strip()

    def _files(self, params, of_runs, locked):
        """JSON is YAML too, and faster to write."""
        runs = {f"metrics/runs/{run}.json": json.dumps(figures) for run, figures in of_runs.items()}
        return {"params.yaml": json.dumps(params), "dvc.lock": lock(**{"seed": params["seed"]} | locked), **runs}

    def _commit(self, ref, files, parent=None):
        """Commit files, a minute after the commit before."""
        self.time_s += 60
        lines = [f"commit {ref}", f"committer t <t@t> {self.time_s} +0000", "data 1", "x"]
        lines += [f"from {parent}"] if parent else []
        for path, text in files.items():
            lines += [f"M 100644 inline {path}", f"data {len(text.encode())}", text]
        self.git("fast-import", "--quiet", "--force", text="\n".join(lines) + "\n")


@pytest.fixture(name="project")
def project_fixture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def run_app(app, monkeypatch, *arguments):
    """Call the main function of an app with these command-line arguments."""
    monkeypatch.setattr("sys.argv", [app.__name__, *map(str, arguments)])
    app.main()


def error_of(app, monkeypatch, *arguments):
    """Return the one-line message of the `UserError` that the app raises."""
    with pytest.raises(UserError) as caught:
        run_app(app, monkeypatch, *arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)
