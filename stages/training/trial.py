"""Trainings of a hyperparameter search: variants of one run on the same samples, which write no files."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from stages.core import lookup
from stages.core.seeding import derive
from stages.params.schema import Machine, Run
from stages.training import model_folder
from stages.training.fit import Row, class_weights, fit


@dataclass(frozen=True)
class Trials:
    """The data and settings that all trials of a study share.

    `key`: of the run. `dataset`: attributes of the prepared file, with `shape`, `mean` and `sd`. `counts`: training
    samples of each class. `max_epochs`: limit for every trial; None: that of the run.
    """

    key: str
    dataset: dict[str, Any]
    counts: np.ndarray
    train_batches: Any  # batches as `datasets.batches` gives them
    validation_batches: Any
    max_epochs: int | None
    machine: Machine
    seed: int

    def epochs_of(self, run: Run) -> int:
        """Return the maximum number of epochs of a trial of `run`."""
        return min(run.max_epochs, self.max_epochs or run.max_epochs)

    def fit(self, run: Run, report: Callable[[Row], None]) -> Row:
        """Train like the stage `train@<run>` and return the history row of the best epoch.

        `report` is called with every epoch's row; an exception that it raises ends the training.
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
            # Several devices are used by several workers.
            machine=self.machine.model_copy(update={"devices": 1, "nodes": 1, "strategy": "auto"}),
            seed=self.seed,
            report=report,
        )
        return outcome.history[outcome.best_epoch - 1]
