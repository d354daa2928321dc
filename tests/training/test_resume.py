"""Killed anywhere, the same command continues and ends with the bytes of a run that was never interrupted."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bombs import BOMBS, UNBROKEN
from toy_run import PROJECT, arguments, results, write_inputs

from stages.training.fit import HISTORY_COLUMNS

HERE = Path(__file__).parent
# One thread whatever the machine, and no second copy of OpenMP's threads spinning
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, HERE, HERE.parent))),
    "OMP_NUM_THREADS": "1",
}


def start(inputs: Path, output: Path) -> subprocess.Popen:
    output.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "stages.train", *arguments(inputs, output)]
    return subprocess.Popen(
        command, cwd=PROJECT, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def bombed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    """Outputs of every bombed and resumed run, and of one that was left alone."""
    outputs = tmp_path_factory.mktemp("bombed")
    command = [sys.executable, str(HERE / "bombs.py"), str(inputs), str(outputs), *BOMBS]
    done = subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return outputs, json.loads(done.stdout)


@pytest.fixture(scope="module")
def unbroken(bombed: tuple[Path, dict[str, list[int]]]) -> Path:
    outputs, statuses = bombed
    assert statuses[UNBROKEN] == [0]
    return outputs / UNBROKEN


def rows(output: Path) -> list[dict[str, float]]:
    with (output / "history.csv").open() as stream:
        return [{name: float(row[name]) for name in HISTORY_COLUMNS} for row in csv.DictReader(stream)]


def test_the_unbroken_run_has_what_resuming_could_get_wrong(unbroken: Path):
    history = rows(unbroken)
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    assert len(history) < 12  # stopped early, three epochs after the best
    accuracy = [row["validation_accuracy"] for row in history]
    assert accuracy.index(max(accuracy)) == len(history) - 4
    rates = [row["learning_rate"] for row in history]
    assert rates[0] == 0.01
    assert rates[-1] < rates[0]  # the plateau schedule stepped in
    assert not (unbroken / "checkpoints").exists()


def test_killed_from_outside(inputs: Path, unbroken: Path, tmp_path: Path):
    """`kill -9` as the line of the second epoch appears."""
    killed = start(inputs, tmp_path)
    for line in killed.stdout:
        if line.startswith("epoch   2/"):
            killed.kill()
            break
    killed.stdout.close()
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    said, _ = start(inputs, tmp_path).communicate(timeout=120)
    assert "continues from" in said
    assert "epoch   1/" not in said
    assert dict(results(tmp_path)) == dict(results(unbroken)), said


@pytest.mark.parametrize("bomb", BOMBS)
def test_killed_at(bomb: str, bombed: tuple[Path, dict[str, list[int]]], unbroken: Path):
    outputs, statuses = bombed
    output = outputs / bomb.replace(" ", "_")
    said = (output / "log.txt").read_text()
    assert statuses[bomb] == [-signal.SIGKILL, 0], said
    assert ("continues from" in said) == (bomb != "during the first epoch")
    for name, content in results(unbroken):
        assert (output / name).read_bytes() == content, f"{name}\n{said}"
    assert not (output / "checkpoints").exists()
