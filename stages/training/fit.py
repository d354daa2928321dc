"""Runs the training of one recogniser: from batches to best and final weights, resumable after every epoch."""

import logging
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lightning.pytorch as lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from stages.core.errors import UserError
from stages.core.malloc import keep_freed_memory
from stages.params.schema import Loss, Machine, Run
from stages.training.callbacks import Progress, ResumePoint, WeightAverage
from stages.training.confusion_images import ConfusionImages
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser
from stages.training.schedules import MODES


@dataclass(frozen=True)
class Outcome:
    """What training leaves behind. `history`: one row per epoch; weights on the CPU."""

    history: list[dict[str, float]]
    best_epoch: int
    best_weights: dict[str, torch.Tensor]
    final_weights: dict[str, torch.Tensor]
    is_global_zero: bool


def class_weights(loss: Loss, classes: list[str], counts: np.ndarray) -> torch.Tensor | None:
    """(n_classes,) weights of the loss; 'balanced' is N / (n_classes * count), scikit-learn's formula."""
    if loss.class_weights == "none":
        return None
    if loss.class_weights == "balanced":
        return torch.tensor(counts.sum() / (len(counts) * counts), dtype=torch.float32)
    return torch.tensor([loss.class_weights[name] for name in classes], dtype=torch.float32)


def make_trainer(
    run: Run, machine: Machine, max_epochs: int, callbacks: list, logger: TensorBoardLogger | Literal[False]
) -> lightning.Trainer:
    """Lightning's trainer with its own progress bar, checkpoints, summaries and sampler left out: those are ours."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    torch.set_num_threads(machine.threads)
    # Fills every new tensor, for code that reads memory before it writes it: a pass over each tensor, for nothing here.
    torch.utils.deterministic.fill_uninitialized_memory = False
    keep_freed_memory()
    try:
        trainer = lightning.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            strategy=machine.strategy,
            num_nodes=machine.nodes,
            precision=run.precision,
            max_epochs=max_epochs,
            gradient_clip_val=run.gradient_clip_norm,
            deterministic="warn",
            callbacks=callbacks,
            logger=logger,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
    except MisconfigurationException as error:  # no such accelerator here, or not as many devices
        raise UserError(f"machine: {error}") from None
    if trainer.precision != run.precision:  # Lightning would train in another one, and say so in a warning
        raise UserError(f"precision: {run.precision} needs a GPU; allowed here: 32-true, bf16-mixed")
    return trainer


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
    resume_folder: Path,
    log_folder: Path,
) -> Outcome:
    """Train on one part, choose the epoch by the other; an interrupted call continues from `resume_folder`."""
    learner = Learner(recogniser, augmentation, run, weights, run.max_epochs, seed)
    progress = Progress(run.monitor, say=lambda line: print(line, flush=True))
    checkpoint = resume_folder / "last.ckpt"
    callbacks = [progress, ConfusionImages(classes), *early_stopping(run), *weight_average(run, recogniser)]
    logger = TensorBoardLogger(log_folder.parent, name=log_folder.name)
    resume_point = ResumePoint(checkpoint, machine.checkpoint_every_s)
    trainer = make_trainer(run, machine, run.max_epochs, [*callbacks, resume_point], logger)
    if checkpoint.exists():
        print(f"continues from {checkpoint}", flush=True)
    else:
        recogniser.load_pretrained()
    trainer.fit(
        learner,
        train_batches,
        validation_batches,
        ckpt_path=checkpoint if checkpoint.exists() else None,
        weights_only=True,
    )
    final = {name: value.detach().cpu() for name, value in recogniser.architecture.state_dict().items()}
    return Outcome(progress.history, progress.best_epoch, progress.best_weights, final, trainer.is_global_zero)


def resume_folder(folder: Path, digest: str) -> Path:
    """`folder`/<digest>; what other params, data or code left there is removed, since nothing can continue it."""
    for other in folder.glob("*"):
        if other.is_dir() and other.name != digest:
            shutil.rmtree(other)
    return folder / digest


def early_stopping(run: Run) -> list[EarlyStopping]:
    """The callback that ends a training which no longer improves, or none."""
    if run.early_stopping is None:
        return []
    mode = MODES[run.monitor]
    return [EarlyStopping(run.monitor, patience=run.early_stopping, mode=mode, check_on_train_epoch_end=False)]


def weight_average(run: Run, recogniser: Recogniser) -> list[WeightAverage]:
    """The callback that validates and keeps averaged weights, or none."""
    decay = run.ema_decay
    return [] if decay is None else [WeightAverage(decay, recogniser.architecture)]
