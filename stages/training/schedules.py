"""The learning-rate schedules that `runs.<run>.schedule` names, with their options."""

from dataclasses import dataclass
from typing import Literal

from torch.optim import Optimizer, lr_scheduler

from stages.params.options import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt

# The direction in which each metric that a run may monitor improves.
MODES = {"validation_loss": "min", "validation_accuracy": "max"}


@dataclass(frozen=True)
class Horizon:
    """The length of a training, and the direction in which its monitored metric improves."""

    max_epochs: int
    total_steps: int
    mode: Literal["min", "max"]


@dataclass(frozen=True)
class Schedule:
    """A scheduler and when it steps: per optimiser `step`, per `epoch`, or per epoch with the `monitored` metric."""

    scheduler: lr_scheduler.LRScheduler
    per: Literal["step", "epoch", "monitored"]


def constant(optimizer: Optimizer, horizon: Horizon) -> Schedule:
    """Return a schedule that keeps the learning rate."""
    return Schedule(lr_scheduler.ConstantLR(optimizer, factor=1.0), "epoch")


def step(optimizer: Optimizer, horizon: Horizon, *, step_epochs: PositiveInt, gamma: PositiveFloat) -> Schedule:
    """Return a schedule that multiplies the rate by `gamma` every `step_epochs` epochs (StepLR)."""
    return Schedule(lr_scheduler.StepLR(optimizer, step_epochs, gamma), "epoch")


def plateau(
    optimizer: Optimizer,
    horizon: Horizon,
    *,
    factor: Fraction = 0.5,
    patience_epochs: PositiveInt = 5,
    min_lr: NonNegativeFloat = 0.0,
) -> Schedule:
    """Return a schedule that multiplies the rate by `factor` after `patience_epochs` without a better metric."""
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, horizon.mode, factor, patience_epochs, min_lr=min_lr)
    return Schedule(scheduler, "monitored")


def cosine(optimizer: Optimizer, horizon: Horizon, *, min_lr: NonNegativeFloat = 0.0) -> Schedule:
    """Return half a cosine down to `min_lr` over all epochs (Loshchilov & Hutter 2017, without restarts)."""
    return Schedule(lr_scheduler.CosineAnnealingLR(optimizer, horizon.max_epochs, min_lr), "epoch")


def one_cycle(optimizer: Optimizer, horizon: Horizon, *, warmup: Fraction = 0.3) -> Schedule:
    """Return a one-cycle schedule (Smith & Topin 2019): up to lr for the fraction `warmup`, then down to almost 0."""
    peak, steps = [group["lr"] for group in optimizer.param_groups], horizon.total_steps
    if warmup * steps == 1:  # a rise that ends before the second step, by whose length PyTorch would divide
        warmup = 0.0
    return Schedule(lr_scheduler.OneCycleLR(optimizer, peak, steps, pct_start=warmup), "step")
