"""A script that runs and resumes trainings which kill themselves (SIGKILL, without any clean-up) at a chosen point.

    python kill_points.py <inputs> <outputs> <kill point>…

The modules are imported once, before a fork for every training, because the imports take longer than the trainings. The
output is JSON: {"uninterrupted": [status], kill point: [signal of the killed run, status of the resumed one]}.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import kornia.augmentation  # noqa: F401  so that not every training has to import it
import lightning_fabric  # noqa: F401
import torch
from torch.utils.tensorboard import SummaryWriter  # noqa: F401
from toy_run import arguments

from stages import train
from stages.core.errors import exit_with_one_line
from stages.training import model_folder
from stages.training.learner import Learner

UNINTERRUPTED = "uninterrupted"
STEPS_PER_EPOCH = 6  # 84 samples, batches of 16


def kill(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def during_epoch(step: int) -> None:
    original = Learner._update

    def update(self: Learner, loss: object) -> None:
        if self.step == step:
            kill()
        original(self, loss)

    Learner._update = update


def half_written_checkpoint(count: int) -> None:
    """Half of a checkpoint is written to its temporary file, next to the complete older checkpoint."""
    original, saved = torch.save, []

    def save(content: object, path: Path) -> None:
        original(content, path)
        saved.append(path)
        if len(saved) == count:
            os.truncate(path, path.stat().st_size // 2)
            kill()

    torch.save = save


def after_rename(count: int) -> None:
    """A new checkpoint has just replaced the older one."""
    original, renamed = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        result = original(self, target)
        renamed.extend([target] if Path(target).suffix == ".ckpt" else [])
        if len(renamed) == count:
            kill()
        return result

    Path.replace = replace


KILL_POINTS: dict[str, Callable[[], None]] = {
    "during the first epoch": lambda: during_epoch(3),
    "during the third epoch": lambda: during_epoch(2 * STEPS_PER_EPOCH + 2),
    "half of the third checkpoint": lambda: half_written_checkpoint(3),
    "after the third rename": lambda: after_rename(3),
    "between weights and model.json": lambda: setattr(model_folder, "write_json", kill),
    "before the checkpoint is deleted": lambda: setattr(shutil, "rmtree", kill),
}


def fork_training(command: list[str], log: Path, prepare: Callable[[], object]) -> int:
    """Train in a forked process and return its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        with log.open("a") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        sys.argv = ["train", *command]
        prepare()
        exit_with_one_line(train.main)
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    inputs, outputs, *names = sys.argv[1:]
    statuses = {}
    for name in (UNINTERRUPTED, *names):
        output = Path(outputs) / name.replace(" ", "_")
        output.mkdir()
        starts = [KILL_POINTS[name], lambda: None] if name in KILL_POINTS else [lambda: None]
        command = arguments(Path(inputs), output)
        statuses[name] = [fork_training(command, output / "log.txt", prepare) for prepare in starts]
    print(json.dumps(statuses))


if __name__ == "__main__":
    main()
