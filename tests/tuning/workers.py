"""Run as a script: searches in processes of their own, some of which kill themselves (SIGKILL) in a chosen trial.

    python workers.py <inputs of one> <outputs of one> <inputs of many> <outputs of many>

Imports once and forks for every process. First one worker with a journal: left alone, then killed and resumed. Then two
on one database, of which one is killed. Prints the exit statuses as JSON. Each process notes in <outputs>/<name>.txt
the values of every trial that it begins and ends.
"""

import json
import os
import signal
import sys
from pathlib import Path

import kornia.augmentation  # noqa: F401  imported by every training otherwise
import optuna.storages._rdb.storage  # noqa: F401  imported with the first database otherwise
from toy_study import arguments

from stages import tune
from stages.core.errors import exit_with_one_line
from stages.training.trial import Trials
from stages.tuning import search, storage

storage.HEARTBEAT_S, storage.GRACE_S, search.POLL_S = 1, 8, 0.2


def start(inputs: Path, output: Path, name: str, *more: str, killed_in: int | None = None) -> int:
    """The number of a process that searches; it dies after the first epoch of its trial number `killed_in` (from 1)."""
    child = os.fork()
    if child:
        return child
    with (output / f"{name}.log").open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    sys.argv = ["tune", *arguments(inputs, output), *more]
    note(output / f"{name}.txt", killed_in)
    exit_with_one_line(tune.main)
    sys.stdout.flush()
    os._exit(0)


def note(path: Path, killed_in: int | None) -> None:
    original, begun = Trials.fit, []

    def fit(self, run, tell):
        values = f"{run.optimizer['lr']!r} {run.model['activation']} {run.batch_size}"
        begun.append(values)

        def told(row):
            if len(begun) == killed_in:
                os.kill(os.getpid(), signal.SIGKILL)
            tell(row)

        with path.open("a") as stream:
            stream.write(f"begins {values}\n")
        row = original(self, run, told)
        with path.open("a") as stream:
            stream.write(f"ends {values}\n")
        return row

    Trials.fit = fit


def ended(*children: int) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main() -> None:
    inputs, output, shared, many = map(Path, sys.argv[1:])
    for name in ("unbroken", "killed"):
        (output / name).mkdir()
    statuses = {
        "unbroken": ended(start(inputs, output / "unbroken", "alone")),
        "killed": ended(start(inputs, output / "killed", "first", killed_in=3)),
        "resumed": ended(start(inputs, output / "killed", "second")),
    }
    dying = start(shared, many, "dying", "--worker", killed_in=2)
    staying = start(shared, many, "staying")
    statuses["many"] = ended(dying, staying)
    print(json.dumps(statuses))


if __name__ == "__main__":
    main()
