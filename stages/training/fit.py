"""The training of one recogniser, from batches to its best and final weights, resumable after every epoch."""

import math
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stages.params.schema import Loss, Machine, Run
from stages.training.devices import connect, lost_processes, require_same, require_samples
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser
from stages.training.schedules import MODES
from stages.training.tensorboard_log import TensorBoardLog

if TYPE_CHECKING:
    from lightning_fabric import Fabric

HISTORY_COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
Row = dict[str, float]  # one epoch of the history


@dataclass
class Outcome:
    """The result of a training. `history`: one row per epoch. Weights are on the CPU."""

    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    final_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    is_global_zero: bool = True  # whether this is the first of several processes, the only one that writes


@lost_processes()
def fit(
    recogniser: Recogniser,
    augmentation: Callable | None,
    train_batches: Iterable,
    validation_batches: Iterable,
    run: Run,
    *,
    classes: list[str],
    weights: torch.Tensor | None,
    machine: Machine,
    seed: int,
    resume_folder: Path | None = None,
    log_folder: Path | None = None,
    report: Callable[[Row], None] | None = None,
) -> Outcome:
    """Train on the training batches and choose the best epoch on the validation batches.

    An interrupted training continues from `resume_folder`, named after its params, data and code, with the number of
    processes appended; other checkpoints beside it are deleted. `report` is called with each history row instead of
    printing a line; an exception that it raises ends the training.
    """
    fabric = connect(machine, run.precision)
    require_same(fabric, resume_folder.name if resume_folder else "")
    if fabric.world_size > 1:
        require_samples(fabric, len(train_batches.indices), len(validation_batches.indices))
    outcome = Outcome(is_global_zero=fabric.is_global_zero)
    # Another number of processes has other steps in an epoch, and so another schedule.
    folder = resume_folder and resume_folder.with_name(f"{resume_folder.name}-{fabric.world_size}")
    checkpoint = Checkpoint(fabric, folder and folder / "last.ckpt", machine.checkpoint_every_s)
    log = fabric.print if report is None else lambda *_, **__: None
    log(f"precision {run.precision}, {machine.threads} threads, {fabric.device.type}", flush=True)
    state = checkpoint.read()
    if state is None:
        recogniser.load_pretrained(train_batches)
    learner = Learner(fabric, recogniser, augmentation, run, weights, len(train_batches), seed)
    if state is not None:
        log(f"continues from {checkpoint.path}", flush=True)
        learner.load_state_dict(state["learner"])
        outcome.history, outcome.best_epoch = state["history"], state["best_epoch"]
        outcome.best_weights = state["best_weights"]
        del state  # as large as the network, its average and the optimizer
    tensorboard_log = TensorBoardLog(log_folder if fabric.is_global_zero else None, classes)
    patience = run.early_stopping or math.inf  # number of epochs
    while len(outcome.history) < min(run.max_epochs, outcome.best_epoch + patience):
        train_batches.set_epoch(len(outcome.history))
        train_means = learner.train_epoch(train_batches)
        with learner.averaged():
            validation_means, counts = learner.validate(validation_batches, len(classes))
            values = (len(outcome.history) + 1, *train_means, *validation_means, learner.learning_rate)
            row = dict(zip(HISTORY_COLUMNS, values, strict=True))
            outcome.history.append(row)
            if _is_best(run.monitor, outcome.history):
                outcome.best_epoch, outcome.best_weights = row["epoch"], learner.weights()
        log(_line(row, run.max_epochs, outcome.best_epoch), flush=True)
        tensorboard_log.add(row, counts.numpy())
        learner.end_epoch(row)
        if report is not None:
            report(row)
        checkpoint.save(learner, outcome)
    with learner.averaged():
        outcome.final_weights = learner.weights()
    return outcome


class Checkpoint:
    """The file with the whole state after an epoch, replaced atomically at most every `every_s` seconds."""

    def __init__(self, fabric: "Fabric", path: Path | None, every_s: float) -> None:
        self.fabric, self.path, self.every_s = fabric, path, every_s
        self._saved_s = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """Return the state in the file of process 0, the only one that writes it; None if there is none.

        Deletes the checkpoints of other params, data, code or numbers of processes, which cannot be continued.
        """
        state = None
        if self.fabric.is_global_zero and self.path is not None:
            for other in self.path.parent.parent.glob("*/last.ckpt"):
                if other != self.path:
                    shutil.rmtree(other.parent)
            if self.path.exists():
                state = torch.load(self.path, map_location="cpu", weights_only=True)
        return self.fabric.broadcast(state)

    def save(self, learner: Learner, outcome: Outcome) -> None:
        due = self.path is not None and time.monotonic() - self._saved_s >= self.every_s
        if not self.fabric.broadcast(due):  # the processes must agree, but their clocks may differ
            return
        state = {"learner": learner.state_dict(), "history": outcome.history}
        state |= {"best_epoch": outcome.best_epoch, "best_weights": outcome.best_weights}
        if self.fabric.is_global_zero:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(".part")
            torch.save(state, temporary)
            temporary.replace(self.path)
        self.fabric.barrier()
        self._saved_s = time.monotonic()


def class_weights(loss: Loss, classes: list[str], counts: np.ndarray) -> torch.Tensor | None:
    """Return the loss weights (n_classes,) or None; 'balanced' is N / (n_classes * count), as in scikit-learn."""
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        return torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)
    return torch.tensor([loss.class_weights[name] for name in classes], dtype=torch.float32)


def _is_best(monitor: str, history: list[Row]) -> bool:
    """Return whether the last epoch is better than all earlier ones."""
    if monitor == "last_epoch":
        return True
    *earlier, last = (row[monitor] for row in history)
    return not earlier or (last < min(earlier) if MODES[monitor] == "min" else last > max(earlier))


def _line(row: Row, max_epochs: int, best_epoch: int) -> str:
    return (
        f"epoch {row['epoch']:>3}/{max_epochs}   "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}   "
        f"validation loss {row['validation_loss']:.4f} accuracy {row['validation_accuracy']:.4f}   "
        f"lr {row['learning_rate']:.2e}{'   best so far' if best_epoch == row['epoch'] else ''}"
    )
