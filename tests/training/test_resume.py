"""A training that is killed at any point can be continued and then writes the bytes of an uninterrupted one."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kill_points import KILL_POINTS, UNINTERRUPTED
from toy_run import PROJECT, results, write_inputs

from stages.training.fit import HISTORY_COLUMNS

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(map(str, (PROJECT, HERE, HERE.parent))),
    "OMP_NUM_THREADS": "1",  # the same results on every machine
}


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    """Outputs and exit statuses of an uninterrupted training and of every killed and resumed one."""
    inputs, outputs = tmp_path_factory.mktemp("inputs"), tmp_path_factory.mktemp("resumed")
    write_inputs(inputs)
    command = [sys.executable, str(HERE / "kill_points.py"), str(inputs), str(outputs), *KILL_POINTS]
    done = subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return outputs, json.loads(done.stdout)


@pytest.fixture(scope="module")
def uninterrupted(resumed: tuple[Path, dict[str, list[int]]]) -> Path:
    outputs, statuses = resumed
    assert statuses[UNINTERRUPTED] == [0]
    return outputs / UNINTERRUPTED


def test_the_uninterrupted_training_uses_all_that_resuming_must_restore(uninterrupted: Path):
    with (uninterrupted / "history.csv").open() as stream:
        history = [{name: float(row[name]) for name in HISTORY_COLUMNS} for row in csv.DictReader(stream)]
    assert [row["epoch"] for row in history] == list(range(1, len(history) + 1))
    assert len(history) < 12  # stopped early, three epochs after the best
    accuracy = [row["validation_accuracy"] for row in history]
    assert accuracy.index(max(accuracy)) == len(history) - 4
    rates = [row["learning_rate"] for row in history]
    assert rates[0] == 0.01
    assert rates[-1] < rates[0]  # the plateau schedule has reduced the rate
    assert not (uninterrupted / "checkpoints").exists()


@pytest.mark.parametrize("point", KILL_POINTS)
def test_killed_at(point: str, resumed: tuple[Path, dict[str, list[int]]], uninterrupted: Path):
    outputs, statuses = resumed
    output = outputs / point.replace(" ", "_")
    log = (output / "log.txt").read_text()
    assert statuses[point] == [-signal.SIGKILL, 0], log
    assert ("continues from" in log) == (point != "during the first epoch")
    for name, content in results(uninterrupted):
        assert (output / name).read_bytes() == content, f"{name}\n{log}"
    assert not (output / "checkpoints").exists()
