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
from stages.training.fit import Row, class_weights, fit


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

    def fit(self, run: Run, report: Callable[[Row], None]) -> Row:
        """Train as `train@<run>` would; the history row of the epoch whose weights it would keep.

        `report` gets every epoch's row; what it raises ends the training.
        """
        run = run.model_copy(update={"max_epochs": self.epochs_of(run)})
        normaliser = {name: self.dataset[name] for name in ("mean", "sd")}
        info = model_folder.describe(self.key, run, self.dataset, normaliser)
        torch.manual_seed(derive(self.seed, "initial weights"))
        outcome = fit(
            model_folder.build(info),
            lookup.build("datasets.augmentation", run.augmentation) if run.augmentation else None,
            self.train_batches.rebatched(run.batch_size),
            self.validation_batches.rebatched(run.batch_size),
            run,
            classes=info["classes"],
            weights=class_weights(run.loss, info["classes"], self.counts),
            # of several devices each is for a worker of its own
            machine=self.machine.model_copy(update={"devices": 1, "nodes": 1, "strategy": "auto"}),
            seed=self.seed,
            report=report,
        )
        return outcome.history[outcome.best_epoch - 1]
