"""`make repro`: independent stages run in parallel, and only those that a change affects."""

import json
import re
import shutil

import pytest
from conftest import ROOT, Clone, _environment

from tools import changed_metrics, check_folder, lock_order
from tools.repro import batched

PIPELINE = """
stages:
  prepare:
    cmd: python work.py data/prepared
    deps: [work.py]
    outs: [data/prepared]
  train:
    foreach: ${runs}
    do:
      cmd: python work.py data/train_${key}
      deps: [work.py, data/prepared]
      params:
        - runs.${key}
      outs:
        - data/train_${key}
  evaluate:
    foreach: ${runs}
    do:
      cmd: python work.py metrics/${key}.json
      deps:
        - work.py
        - data/prepared
        - data/train_${key}
      metrics:
        - metrics/${key}.json:
            cache: false
  report:
    cmd: python work.py data/report
    deps: [metrics]
    outs: [data/report]
"""
# If the file `parallel` exists, each training waits until the other has started, so they fail if run in sequence.
WORK = """
import json, sys, time
from pathlib import Path
path = Path(sys.argv[1])
if Path("fail").exists() and path.name == Path("fail").read_text():
    sys.exit(f"error: {path}: damaged")
if Path("parallel").exists() and path.name.startswith("train_"):
    Path(f"started_{path.name}").touch()
    end = time.monotonic() + 60
    while len(list(Path().glob("started_*"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    if time.monotonic() > end:
        sys.exit("error: the other training has not started")
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps({"accuracy": 0.5, "of": str(path)}))
"""

STAGES = ["prepare", "train@a", "train@b", "evaluate@a", "evaluate@b", "report"]


def run_stages(output):
    return re.findall(r"Running stage '([^']*)'", output)


@pytest.fixture
def toy(tmp_path):
    """Return a committed project of six stages, in a folder with spaces, parentheses and an é in its name."""
    root = tmp_path / "a project (é)"
    root.mkdir()
    clone = Clone(root, _environment(tmp_path / "home") | {"PYTHONPATH": str(ROOT)})
    for name, content in (
        ("dvc.yaml", PIPELINE),
        ("work.py", WORK),
        (".gitignore", "/data/\n/started_*\n/parallel\n/fail\n"),
    ):
        (root / name).write_text(content)
    (root / "params.yaml").write_text("machine:\n  threads: 1\nruns:\n  a: 1\n  b: 1\n")
    for command in ("git init -q", "dvc init -q", "git add -A", "git commit -qm toy"):
        clone.run(*command.split())
    return clone


def repro(clone, jobs=2, **options):
    return clone.run("python", "-m", "tools.repro", "--jobs", str(jobs), **options)


def test_dependent_stages_form_one_batch():
    """Of two runs on one dataset, each evaluation follows its training, and the trainings can run in parallel."""
    needs = {"split": set(), "prepare": set(), "train@a": {"split", "prepare"}, "train@b": {"split", "prepare"}}
    needs |= {f"evaluate@{run}": {"split", "prepare", f"train@{run}"} for run in "ab"}
    first = {("split",), ("prepare",)}
    expected = {("split",): set(), ("prepare",): set()}
    expected |= {(f"train@{run}", f"evaluate@{run}"): first for run in "ab"}
    assert batched(needs) == expected


def test_a_chain_is_one_batch():
    assert batched({"a": set(), "b": {"a"}, "c": {"b"}}) == {("a", "b", "c"): set()}


def test_parallel_repro_writes_the_same_lock_as_a_serial_one(toy):
    toy.run("dvc", "repro")
    serial = (toy.root / "dvc.lock").read_bytes()
    (toy.root / "dvc.lock").unlink()
    shutil.rmtree(toy.root / "data")
    (toy.root / "parallel").touch()
    shutil.rmtree(toy.root / ".dvc/cache")  # otherwise DVC would restore the outputs
    assert sorted(run_stages(repro(toy))) == sorted(STAGES)
    assert {path.name for path in toy.root.glob("started_*")} == {"started_train_a", "started_train_b"}
    assert (toy.root / "dvc.lock").read_bytes() == serial
    assert repro(toy) == "Data and pipelines are up to date.\n"
    assert toy.stages_run("dvc", "repro") == []


def test_only_changed_stages_run(toy):
    repro(toy)
    (toy.root / "params.yaml").write_text("machine:\n  threads: 1\nruns:\n  a: 1\n  b: 2\n")
    assert run_stages(repro(toy)) == ["train@b"]  # its output does not change, so the later stages do not run


def test_failing_stage_fails_the_command(toy):
    """Its message is printed last."""
    (toy.root / "fail").write_text("train_a")
    output = repro(toy, status=1)
    assert output.splitlines()[-2] == "error: data/train_a: damaged"
    assert output.splitlines()[-1].startswith("ERROR: failed to reproduce 'train@a'")
    assert "report" not in run_stages(output)
    (toy.root / "fail").unlink()
    assert set(run_stages(repro(toy))) >= {"train@a", "evaluate@a", "report"}


def test_lock_keeps_the_committed_order_of_stages(toy, monkeypatch):
    monkeypatch.chdir(toy.root)
    lock, entry = toy.root / "dvc.lock", "  {0}:\n    cmd: {0}\n"
    head = "schema: '2.0'\nstages:\n"
    lock.write_text(head + entry.format("report") + entry.format("train@a"))
    toy.run("git", "add", "-A")
    toy.run("git", "commit", "-qm", "lock")
    lock.write_text(head + "".join(entry.format(name) for name in ("train@b", "old", "train@a", "report", "prepare")))
    lock_order.order(["prepare", "train@a", "train@b", "report"])
    names = ["report", "train@a", "prepare", "train@b", "old"]
    assert lock.read_text() == head + "".join(entry.format(name) for name in names)


# ---- metrics that differ on another processor ------------------------------------------------------------------------


def test_counts_metrics_that_differ():
    rows = {
        "a": {"old": 0.5, "new": 0.513, "diff": 0.013},
        "n": {"old": 10, "new": 10},
        "name": {"old": "x", "new": "y"},
    }
    sentence = changed_metrics.sentence({"metrics/a.json": rows, "metrics/b.json": {"a": {"old": 0.25, "new": 0.25}}})
    assert "1 of 3 metrics" in sentence
    assert "0.013" in sentence


def test_reports_changed_metrics_only_if_settings_and_code_are_committed(toy):
    repro(toy)
    toy.run("git", "add", "-A")
    toy.run("git", "commit", "-qm", "reproduced")
    report = ("python", "-m", "tools.changed_metrics")
    assert toy.run(*report) == ""
    (toy.root / "metrics/a.json").write_text(json.dumps({"accuracy": 0.5625, "of": "another processor"}))
    toy.run("dvc", "commit", "-f", "evaluate@a")
    line = toy.run(*report)
    assert "1 of 2 metrics" in line
    assert "0.0625" in line
    (toy.root / "params.yaml").write_text("machine:\n  threads: 1\nruns:\n  a: 2\n  b: 1\n")
    repro(toy)
    assert toy.run(*report) == ""


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_warns_of_a_folder_with_a_non_ascii_name(toy):
    """DVC cannot queue experiments if the path of its cache has an é; another cache folder helps."""
    queued = ("dvc", "exp", "run", "--temp", "-S", "runs.a=2")
    assert "can't encode character '\\xe9'" in toy.run(*queued, status=1)
    assert check_folder.warning(str(toy.root / ".dvc/cache")).startswith("warning: ")
    toy.run("dvc", "cache", "dir", "--local", str(toy.root.parent / "a cache (1)"))
    assert toy.run("python", "-m", "tools.check_folder") == ""
    toy.run(*queued)


def test_make_finds_the_environment_in_any_folder(toy):
    """make itself would split a path at its spaces."""
    shutil.copyfile(ROOT / "Makefile", toy.root / "Makefile")
    environment = toy.root / ".venv"
    (environment / "bin").mkdir(parents=True)
    for name in ("requirements.txt", "requirements-weights.txt"):
        (toy.root / name).touch()
    for name in ("python", "tensorboard"):
        (environment / "bin" / name).write_text(f'#!/bin/sh\necho "{name}" "$@"\n')
        (environment / "bin" / name).chmod(0o755)
    (environment / ".installed").touch()
    make = ("env", "-u", "MAKEFLAGS", "make", "-s")  # `make test VENV=…` hands its VENV down to other calls of make
    assert toy.run(*make, "tensorboard") == "tensorboard --logdir data/logs\n"
    assert toy.run(*make, "repro", "JOBS=3").splitlines()[2] == "python -m tools.repro --jobs 3"
