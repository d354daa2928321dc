"""Trains one recogniser, from batches to best and final weights; resumable after every epoch."""

import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from stages.params.schema import Loss, Machine, Run
from stages.training.board import Board
from stages.training.devices import connect
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser
from stages.training.schedules import MODES

if TYPE_CHECKING:
    from lightning_fabric import Fabric

HISTORY_COLUMNS = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "learning_rate")
Row = dict[str, float]  # of the history


@dataclass
class Outcome:
    """What training leaves behind. `history`: one row per epoch; weights on the CPU."""

    history: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    final_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    is_global_zero: bool = True  # the first of several processes, which alone writes


def fit(
    recogniser: Recogniser,
    augmentation: nn.Module | None,
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
    """Train on one part, choose the epoch by the other; an interrupted call continues from `resume_folder`.

    `report` gets each row of the history in the place of lines on the console; what it raises ends the training.
    """
    fabric = connect(machine, run.precision)
    outcome = Outcome(is_global_zero=fabric.is_global_zero)
    checkpoint = Checkpoint(fabric, resume_folder and resume_folder / "last.ckpt", machine.checkpoint_every_s)
    say = fabric.print if report is None else lambda *_, **__: None
    say(f"precision {run.precision}, {machine.threads} threads, {fabric.device.type}", flush=True)
    if not checkpoint.exists():
        recogniser.load_pretrained()
    learner = Learner(fabric, recogniser, augmentation, run, weights, len(train_batches), seed)
    if checkpoint.exists():
        say(f"continues from {checkpoint.path}", flush=True)
        checkpoint.load(learner, outcome)
    board = Board(log_folder if fabric.is_global_zero else None, classes)
    while len(outcome.history) < run.max_epochs and not _has_stopped(run, outcome):
        train_batches.set_epoch(len(outcome.history))
        trained = learner.train_epoch(train_batches)
        with learner.averaged():
            validated, counts = learner.validate(validation_batches, len(classes))
            values = (len(outcome.history) + 1, *trained, *validated, learner.learning_rate)
            row = dict(zip(HISTORY_COLUMNS, values, strict=True))
            outcome.history.append(row)
            if _is_best(run.monitor, outcome.history):
                outcome.best_epoch, outcome.best_weights = row["epoch"], learner.weights()
        say(_line(row, run.max_epochs, outcome.best_epoch), flush=True)
        board.add(row, counts.numpy())
        learner.end_epoch(row)
        if report is not None:
            report(row)
        checkpoint.save(learner, outcome)
    with learner.averaged():
        outcome.final_weights = learner.weights()
    return outcome


class Checkpoint:
    """The whole state after an epoch, at most every `every_s` seconds; the file is replaced whole."""

    def __init__(self, fabric: "Fabric", path: Path | None, every_s: float) -> None:
        self.fabric, self.path, self.every_s = fabric, path, every_s
        self._saved_s = time.monotonic()

    def exists(self) -> bool:
        return self.path is not None and self.path.exists()

    def load(self, learner: Learner, outcome: Outcome) -> None:
        """Put the saved state into both."""
        state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        learner.load_state_dict(state["learner"])
        outcome.history, outcome.best_epoch = state["history"], state["best_epoch"]
        outcome.best_weights = state["best_weights"]

    def save(self, learner: Learner, outcome: Outcome) -> None:
        due = self.path is not None and time.monotonic() - self._saved_s >= self.every_s
        if not self.fabric.broadcast(due):  # all devices save or none does: their clocks may differ
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


def resume_folder(folder: Path, digest: str) -> Path:
    """`folder`/<digest>; what other params, data or code left there is removed, since nothing can continue it."""
    for other in folder.glob("*"):
        if other.is_dir() and other.name != digest:
            shutil.rmtree(other)
    return folder / digest


def class_weights(loss: Loss, classes: list[str], counts: np.ndarray) -> torch.Tensor | None:
    """(n_classes,) weights of the loss; 'balanced' is N / (n_classes * count), scikit-learn's formula."""
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        return torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)
    return torch.tensor([loss.class_weights[name] for name in classes], dtype=torch.float32)


def _is_best(monitor: str, history: list[Row]) -> bool:
    """Whether the last epoch is better than all before it."""
    if monitor == "last_epoch":
        return True
    *earlier, last = (row[monitor] for row in history)
    return not earlier or (last < min(earlier) if MODES[monitor] == "min" else last > max(earlier))


def _has_stopped(run: Run, outcome: Outcome) -> bool:
    """Whether the monitored figure has not improved for as many epochs as early stopping waits."""
    return run.early_stopping is not None and len(outcome.history) - outcome.best_epoch >= run.early_stopping


def _line(row: Row, max_epochs: int, best_epoch: int) -> str:
    return (
        f"epoch {row['epoch']:>3}/{max_epochs}   "
        f"train loss {row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}   "
        f"validation loss {row['validation_loss']:.4f} accuracy {row['validation_accuracy']:.4f}   "
        f"lr {row['learning_rate']:.2e}{'   best so far' if best_epoch == row['epoch'] else ''}"
    )
