"""The stage graph as `make repro` runs it: side by side, with pictures out of git, and only what a change concerns."""

import json
import re
import shutil

import pytest
from conftest import ROOT, RUN, Clone, _environment

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
# Where `meet` exists, both trainings wait until the other has begun: one after the other, they never end.
WORK = """
import json, sys, time
from pathlib import Path
path = Path(sys.argv[1])
if Path("fail").exists() and path.name == Path("fail").read_text():
    sys.exit(f"error: {path}: damaged")
if Path("meet").exists() and path.name.startswith("train_"):
    Path(f"met_{path.name}").touch()
    end = time.monotonic() + 60
    while len(list(Path().glob("met_*"))) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    if time.monotonic() > end:
        sys.exit("error: alone")
path.parent.mkdir(exist_ok=True)
path.write_text(json.dumps({"accuracy": 0.5, "of": str(path)}))
"""


STAGES = ["prepare", "train@a", "train@b", "evaluate@a", "evaluate@b", "report"]


def run_stages(output):
    return re.findall(r"Running stage '([^']*)'", output)


@pytest.fixture
def toy(tmp_path):
    """A project of six stages, committed."""
    root = tmp_path / "a project (é)"
    root.mkdir()
    clone = Clone(root, _environment(tmp_path / "home") | {"PYTHONPATH": str(ROOT)})
    for name, content in (("dvc.yaml", PIPELINE), ("work.py", WORK), (".gitignore", "/data/\n/met_*\n/meet\n/fail\n")):
        (root / name).write_text(content)
    (root / "params.yaml").write_text("machine:\n  threads: 1\nruns:\n  a: 1\n  b: 1\n")
    for command in ("git init -q", "dvc init -q", "git add -A", "git commit -qm toy"):
        clone.run(*command.split())
    return clone


def repro(clone, jobs=2, **options):
    return clone.run("python", "-m", "tools.repro", "--jobs", str(jobs), **options)


def test_stages_that_need_each_other_are_one_batch_and_others_are_not():
    """Two runs on one dataset: each evaluation follows its training; the trainings could run side by side."""
    needs = {"split": set(), "prepare": set(), "train@a": {"split", "prepare"}, "train@b": {"split", "prepare"}}
    needs |= {f"evaluate@{run}": {"split", "prepare", f"train@{run}"} for run in "ab"}
    first = {("split",), ("prepare",)}
    expected = {("split",): set(), ("prepare",): set()}
    expected |= {(f"train@{run}", f"evaluate@{run}"): first for run in "ab"}
    assert batched(needs) == expected


def test_a_chain_is_one_batch():
    assert batched({"a": set(), "b": {"a"}, "c": {"b"}}) == {("a", "b", "c"): set()}


def test_two_stages_run_side_by_side_and_dvc_lock_is_that_of_a_serial_repro(toy):
    toy.run("dvc", "repro")
    serial = (toy.root / "dvc.lock").read_bytes()
    (toy.root / "dvc.lock").unlink()
    shutil.rmtree(toy.root / "data")
    (toy.root / "meet").touch()
    shutil.rmtree(toy.root / ".dvc/cache")  # from which the stages would be restored
    assert sorted(run_stages(repro(toy))) == sorted(STAGES)
    assert {path.name for path in toy.root.glob("met_*")} == {"met_train_a", "met_train_b"}
    assert (toy.root / "dvc.lock").read_bytes() == serial
    assert repro(toy) == "Data and pipelines are up to date.\n"
    assert toy.stages_run("dvc", "repro") == []


def test_only_what_changed_runs(toy):
    repro(toy)
    (toy.root / "params.yaml").write_text("machine:\n  threads: 1\nruns:\n  a: 1\n  b: 2\n")
    assert run_stages(repro(toy)) == ["train@b"]  # its output is the same, so DVC runs nothing behind it


def test_a_failing_stage_fails_the_command_with_its_message_last(toy):
    (toy.root / "fail").write_text("train_a")
    output = repro(toy, status=1)
    assert output.splitlines()[-2] == "error: data/train_a: damaged"
    assert output.splitlines()[-1].startswith("ERROR: failed to reproduce 'train@a'")
    assert "report" not in run_stages(output)
    (toy.root / "fail").unlink()
    assert set(run_stages(repro(toy))) >= {"train@a", "evaluate@a", "report"}


def test_entries_of_the_lock_keep_the_order_they_were_committed_in(toy, monkeypatch):
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


# ---- another machine's rounding --------------------------------------------------------------------------------------


def test_metrics_that_differ_are_counted():
    rows = {
        "a": {"old": 0.5, "new": 0.513, "diff": 0.013},
        "n": {"old": 10, "new": 10},
        "name": {"old": "x", "new": "y"},
    }
    told = changed_metrics.sentence({"metrics/a.json": rows, "metrics/b.json": {"a": {"old": 0.25, "new": 0.25}}})
    assert told.startswith("1 of 3 metrics differ from the committed ones, by at most 0.013: ")


def test_changed_metrics_are_told_of_only_while_settings_and_code_are_as_committed(toy):
    repro(toy)
    toy.run("git", "add", "-A")
    toy.run("git", "commit", "-qm", "reproduced")
    told = ("python", "-m", "tools.changed_metrics")
    assert toy.run(*told) == ""
    (toy.root / "metrics/a.json").write_text(json.dumps({"accuracy": 0.5625, "of": "another processor"}))
    toy.run("dvc", "commit", "-f", "evaluate@a")
    assert toy.run(*told).startswith("1 of 2 metrics differ from the committed ones, by at most 0.0625: ")
    (toy.root / "params.yaml").write_text("machine:\n  threads: 1\nruns:\n  a: 2\n  b: 1\n")
    repro(toy)
    assert toy.run(*told) == ""


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_a_folder_whose_name_is_not_ascii_is_told_of(toy):
    """In `toy`'s folder DVC fails so indeed; with its cache elsewhere it does not."""
    queued = ("dvc", "exp", "run", "--temp", "-S", "runs.a=2")
    assert "can't encode character '\\xe9'" in toy.run(*queued, status=1)
    assert check_folder.warning(str(toy.root / ".dvc/cache")).startswith("warning: ")
    toy.run("dvc", "cache", "dir", "--local", str(toy.root.parent / "a cache (1)"))
    assert toy.run("python", "-m", "tools.check_folder") == ""
    toy.run(*queued)


def test_make_finds_the_environment_in_any_folder(toy):
    """Spaces, parentheses and é in the folder's name, which make itself would split."""
    shutil.copyfile(ROOT / "Makefile", toy.root / "Makefile")
    environment = toy.root / ".venv"
    (environment / "bin").mkdir(parents=True)
    (toy.root / "requirements.txt").touch()
    for name in ("python", "tensorboard"):
        (environment / "bin" / name).write_text(f'#!/bin/sh\necho "{name}" "$@"\n')
        (environment / "bin" / name).chmod(0o755)
    (environment / ".installed").touch()
    assert toy.run("make", "-s", "tensorboard") == "tensorboard --logdir data/logs\n"
    assert toy.run("make", "-s", "repro", "JOBS=3").splitlines()[2] == "python -m tools.repro --jobs 3"


# ---- the real graph, small -------------------------------------------------------------------------------------------


@pytest.fixture
def clone(reproduced):
    """The copy, put back to what is committed after each test."""
    clone, _ = reproduced
    yield clone
    clone.run("git", "reset", "-q", "--hard")
    clone.run("dvc", "checkout", "-q", "--force")


def test_git_holds_numbers_and_dvc_holds_pictures(clone):
    tracked = clone.run("git", "ls-files").split()
    assert [name for name in tracked if name.endswith((".png", "report.html"))] == []
    assert f"metrics/runs/{RUN}.json" in tracked
    assert f"plots/runs/{RUN}/confusion.csv" in tracked
    assert [name for name in tracked if name.endswith(".gitignore")] == [
        ".dvc/.gitignore",
        ".gitignore",
        "data/.gitignore",
    ]
    assert clone.run("git", "status", "--porcelain") == ""
    assert (clone.root / f"plots/runs/{RUN}/per_group.png").is_file()


def test_a_check_makes_nothing_stale_and_core_does(clone):
    def changed(file):
        path = clone.root / file
        path.write_text(path.read_text(encoding="utf-8") + "\n# another word\n", encoding="utf-8")
        return set(json.loads(clone.run("dvc", "status", "--json")))

    assert changed("stages/checks/combinations.py") == set()
    assert {"download@faces", f"train@{RUN}", f"evaluate@{RUN}", "report"} <= changed("stages/core/labels.py")


def test_what_was_computed_before_comes_back(clone):
    """`-S` there and back: the run cache restores training, predictions, pictures and the page."""
    before, key = clone.outputs(), "recipes.faces_custom.optimizer.lr"
    assert f"train@{RUN}" in clone.stages_run("dvc", "exp", "run", "-S", f"{key}=0.002")
    assert clone.outputs() != before
    assert clone.stages_run("dvc", "exp", "run", "-S", f"{key}=0.0005586") == []
    assert clone.outputs() == before
