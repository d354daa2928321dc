"""Learning-rate schedules by the name and options `runs.<run>.schedule` gives."""

from dataclasses import dataclass
from typing import Literal

from torch.optim import Optimizer, lr_scheduler

from stages.params.options import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

# Which way each figure a run may monitor improves.
MODES = {"validation_loss": "min", "validation_accuracy": "max"}


@dataclass(frozen=True)
class Horizon:
    """How long the training is, and which way its monitored figure improves."""

    max_epochs: int
    total_steps: int
    mode: Literal["min", "max"]


@dataclass(frozen=True)
class Schedule:
    """A scheduler and when it steps: after every optimiser `step`, every `epoch`, or an epoch's `monitored` figure."""

    scheduler: lr_scheduler.LRScheduler
    per: Literal["step", "epoch", "monitored"]


def constant(optimizer: Optimizer, horizon: Horizon) -> Schedule:
    """The learning rate stays as it is."""
    return Schedule(lr_scheduler.ConstantLR(optimizer, factor=1.0), "epoch")


def step(optimizer: Optimizer, horizon: Horizon, *, step_epochs: PositiveInt, gamma: PositiveFloat) -> Schedule:
    """Times `gamma` every `step_epochs` epochs (StepLR)."""
    return Schedule(lr_scheduler.StepLR(optimizer, step_epochs, gamma), "epoch")


def plateau(
    optimizer: Optimizer,
    horizon: Horizon,
    *,
    factor: Fraction = 0.5,
    patience_epochs: PositiveInt = 5,
    min_lr: NonNegativeFloat = 0.0,
) -> Schedule:
    """Times `factor` once the run's monitored figure has not improved for `patience_epochs` (ReduceLROnPlateau)."""
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, horizon.mode, factor, patience_epochs, min_lr=min_lr)
    return Schedule(scheduler, "monitored")


def cosine(optimizer: Optimizer, horizon: Horizon, *, min_lr: NonNegativeFloat = 0.0) -> Schedule:
    """Half a cosine down to `min_lr` over all epochs (Loshchilov & Hutter 2017, without restarts)."""
    return Schedule(lr_scheduler.CosineAnnealingLR(optimizer, horizon.max_epochs, min_lr), "epoch")


def one_cycle(optimizer: Optimizer, horizon: Horizon, *, warmup: Fraction = 0.3) -> Schedule:
    """Up to the optimiser's lr over the first `warmup` of all steps, then down to nothing (Smith & Topin 2019)."""
    peak = [group["lr"] for group in optimizer.param_groups]
    return Schedule(lr_scheduler.OneCycleLR(optimizer, peak, horizon.total_steps, pct_start=warmup), "step")
