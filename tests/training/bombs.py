"""Run as a script: trainings that kill themselves (SIGKILL, nothing is tidied up) at a chosen point, and resume.

    python bombs.py <inputs> <outputs> <bomb>…

Imports once and forks for every training, since the imports take longer than the trainings. Prints JSON:
{"unbroken": [status], bomb: [signal or status of the killed run, status of the resumed one]}.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import kornia.augmentation  # noqa: F401  imported by every training otherwise
import lightning_fabric  # noqa: F401
from torch.utils.tensorboard import SummaryWriter  # noqa: F401
from toy_run import arguments

from stages import train
from stages.core.errors import exit_with_one_line
from stages.training import model_folder
from stages.training.learner import Learner

UNBROKEN = "unbroken"  # beside the names of the bombs
STEPS_PER_EPOCH = 6  # 84 samples, 16 a batch


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def during(step: int) -> None:
    """Between two batches of an epoch."""
    original = Learner._update

    def update(self: Learner, loss: object) -> None:
        if self.step == step:
            die()
        original(self, loss)

    Learner._update = update


def half_a_checkpoint(epoch: int) -> None:
    """While the new checkpoint is written: half of it lies beside the whole old one."""
    import torch

    original, saved = torch.save, []

    def save(content: object, stream: object, *rest: object, **more: object) -> None:
        original(content, stream, *rest, **more)
        saved.append(content)
        if len(saved) == epoch + 1:
            stream.flush() if hasattr(stream, "flush") else None
            die()

    torch.save = save


def before_rename(epoch: int) -> None:
    """The new checkpoint is whole, but not yet in the place of the old one."""
    original, renamed = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".ckpt":
            renamed.append(target)
            if len(renamed) == epoch + 1:
                die()
        return original(self, target)

    Path.replace = replace


def after_rename(epoch: int) -> None:
    """Between two epochs."""
    original, renamed = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        moved = original(self, target)
        renamed.extend([target] if Path(target).suffix == ".ckpt" else [])
        if len(renamed) == epoch + 1:
            die()
        return moved

    Path.replace = replace


def after_training(_: int) -> None:
    """Trained to the end, nothing written."""
    train.write_csv = die


def half_a_model_folder(_: int) -> None:
    """Weights written, model.json not."""
    model_folder.write_json = die


def before_tidying(_: int) -> None:
    """All is written, the checkpoint is still there."""
    shutil.rmtree = die


BOMBS: dict[str, tuple[Callable[[int], None], int]] = {
    "during the first epoch": (during, 3),
    "during the third epoch": (during, 2 * STEPS_PER_EPOCH + 2),
    "half a third checkpoint": (half_a_checkpoint, 2),
    "before the third rename": (before_rename, 2),
    "between the third and fourth epoch": (after_rename, 2),
    "after training": (after_training, 0),
    "half a model folder": (half_a_model_folder, 0),
    "before tidying": (before_tidying, 0),
}


def forked(command: list[str], log: Path, prepare: Callable[[], None]) -> int:
    """Train in a forked process; its exit status, negative for a signal."""
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
    (Path(outputs) / UNBROKEN).mkdir()
    command = arguments(Path(inputs), Path(outputs) / UNBROKEN)
    statuses = {UNBROKEN: [forked(command, Path(outputs) / UNBROKEN / "log.txt", lambda: None)]}
    for name in names:
        bomb, when = BOMBS[name]
        output = Path(outputs) / name.replace(" ", "_")
        output.mkdir()
        command, log = arguments(Path(inputs), output), output / "log.txt"
        statuses[name] = [forked(command, log, lambda b=bomb, w=when: b(w)), forked(command, log, lambda: None)]
    print(json.dumps(statuses))


if __name__ == "__main__":
    main()
