"""A script that runs searches in forked processes, some of which kill themselves (SIGKILL) in a chosen trial.

    python workers.py <journal inputs> <journal outputs> <database inputs> <database outputs>

One worker with a journal runs without interruption, another is killed and resumed, and two share a database, of which
one is killed. The exit statuses are printed as JSON. Each process records in <outputs>/<name>.txt the values of every
trial that it starts and ends. The modules are imported once, before the forks.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import kornia.augmentation  # noqa: F401  so that not every process has to import it, as the next two
import lightning_fabric  # noqa: F401
import optuna.importance  # noqa: F401
from toy_study import arguments

from stages import tune
from stages.core.errors import exit_with_one_line
from stages.training.trial import Trials
from stages.tuning import search, storage

storage.HEARTBEAT_S, storage.GRACE_S, search.POLL_S = 1, 5, 0.2


def start(inputs: Path, output: Path, name: str, *more: str, killed_in: int | None = None) -> int:
    """Fork a search and return its process id; it kills itself after an epoch of its trial `killed_in` (from 1)."""
    child = os.fork()
    if child:
        return child
    with (output / f"{name}.log").open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.argv = ["tune", *arguments(inputs, output), *more]
    record_trials(output / f"{name}.txt", killed_in)
    exit_with_one_line(tune.main)
    sys.stdout.flush()
    os._exit(0)


def record_trials(path: Path, killed_in: int | None) -> None:
    original, started = Trials.fit, []

    def fit(self, run, report):
        values = f"{run.optimizer['lr']!r} {run.model['activation']} {run.batch_size}"
        started.append(values)

        def killing_report(row):
            if len(started) == killed_in:
                os.kill(os.getpid(), signal.SIGKILL)
            report(row)

        with path.open("a") as stream:
            stream.write(f"starts {values}\n")
        row = original(self, run, killing_report)
        with path.open("a") as stream:
            stream.write(f"ends {values}\n")
        return row

    Trials.fit = fit


def wait(*children: int) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main() -> None:
    inputs, output, shared_inputs, shared_output = map(Path, sys.argv[1:])
    for name in ("uninterrupted", "killed"):
        (output / name).mkdir()
    killed = start(shared_inputs, shared_output, "killed", "--worker", killed_in=2)
    while not (shared_output / "killed.txt").exists():
        time.sleep(0.02)  # until its first trial starts, so that the other does not run all of them
    survivor = start(shared_inputs, shared_output, "survivor")
    statuses = {
        "uninterrupted": wait(start(inputs, output / "uninterrupted", "only")),
        "killed": wait(start(inputs, output / "killed", "first", killed_in=3)),
        "resumed": wait(start(inputs, output / "killed", "second")),
        "shared": wait(killed, survivor),
    }
    print(json.dumps(statuses))


if __name__ == "__main__":
    main()
