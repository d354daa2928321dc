"""Trains variants of one run on the same samples, for a search: nothing is written, each epoch is told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import torch

from stages.core import lookup
from stages.core.seeding import derive
from stages.params.schema import Machine, Run
from stages.training import model_folder
from stages.training.callbacks import Progress, Watch
from stages.training.fit import class_weights, early_stopping, make_trainer, weight_average
from stages.training.learner import Learner

Row = dict[str, float]  # of the history


class Rebatchable(Protocol, Iterable):
    """Batches that stay in memory while their size changes."""

    def rebatched(self, batch_size: int) -> Self: ...


@dataclass(frozen=True)
class Trials:
    """What all trials share: run's key, the dataset's attributes with `shape`, `mean`, `sd`, samples of each class, …

    `max_epochs` caps those of every trial; None: as many as its run has.
    """

    key: str
    dataset: dict[str, Any]
    counts: np.ndarray
    train_batches: Rebatchable
    validation_batches: Rebatchable
    max_epochs: int | None
    machine: Machine
    seed: int

    def epochs_of(self, run: Run) -> int:
        """How many a trial trains at most."""
        return min(run.max_epochs, self.max_epochs or run.max_epochs)

    def fit(self, run: Run, tell: Callable[[Row], None]) -> Row:
        """Train as `train@<run>` would; the history row of the epoch whose weights it would keep.

        `tell` gets every epoch's row; what it raises ends the training.
        """
        max_epochs = self.epochs_of(run)
        normaliser = {name: self.dataset[name] for name in ("mean", "sd")}
        info = model_folder.describe(self.key, run, self.dataset, normaliser)
        torch.manual_seed(derive(self.seed, "initial weights"))
        recogniser = model_folder.build(info)
        recogniser.load_pretrained()
        augmentation = lookup.build("datasets.augmentation", run.augmentation) if run.augmentation else None
        weights = class_weights(run.loss, info["classes"], self.counts)
        progress = Progress(run.monitor, say=lambda line: None)
        callbacks = [progress, *early_stopping(run), *weight_average(run, recogniser), Watch(progress, tell)]
        # of several devices each is for a worker of its own
        machine = self.machine.model_copy(update={"devices": 1, "nodes": 1, "strategy": "auto"})
        make_trainer(run, machine, max_epochs, callbacks, logger=False).fit(
            Learner(recogniser, augmentation, run, weights, max_epochs, self.seed),
            self.train_batches.rebatched(run.batch_size),
            self.validation_batches.rebatched(run.batch_size),
        )
        return progress.history[progress.best_epoch - 1]
