"""Learning rates over a training, against closed-form values."""

import math
import warnings

import pytest
import torch

from stages.core import lookup
from stages.training.schedules import Horizon, Schedule

EPOCHS, STEPS = 10, 6
LR = 0.4


def build(name: str, mode: str = "max", **options: object) -> tuple[Schedule, torch.optim.Optimizer]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], LR)
    horizon = Horizon(EPOCHS, EPOCHS * STEPS, mode)
    return lookup.build("training.schedules", {"name": name, **options}, optimizer, horizon), optimizer


def rates(name: str, **options: object) -> list[float]:
    """Return the learning rate of each step or epoch."""
    schedule, optimizer = build(name, **options)
    values = []
    with warnings.catch_warnings(action="ignore"):  # PyTorch warns because the optimiser does not step
        for _ in range(EPOCHS * STEPS if schedule.per == "step" else EPOCHS):
            values.append(optimizer.param_groups[0]["lr"])
            schedule.scheduler.step()
    return values


def test_constant():
    assert rates("constant") == [LR] * EPOCHS


def test_step():
    expected = [0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.025, 0.025, 0.025, 0.00625]
    assert rates("step", step_epochs=3, gamma=0.25) == pytest.approx(expected)


@pytest.mark.parametrize("min_lr", [0.0, 0.1])
def test_cosine(min_lr: float):
    expected = [min_lr + (LR - min_lr) * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2 for epoch in range(EPOCHS)]
    assert rates("cosine", min_lr=min_lr) == pytest.approx(expected)


def test_one_cycle_rises_to_the_peak_and_falls_to_almost_zero():
    values = rates("one_cycle", warmup=0.3)
    assert len(values) == EPOCHS * STEPS
    peak = values.index(max(values))
    assert max(values) == pytest.approx(LR)
    assert peak == 0.3 * EPOCHS * STEPS - 1
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    assert values[0] == pytest.approx(LR / 25)
    assert values[-1] < LR / 1e4


def test_one_cycle_whose_rise_is_one_step_only_falls():
    values = rates("one_cycle", warmup=1 / (EPOCHS * STEPS))
    assert values == sorted(values, reverse=True)
    assert values[0] == pytest.approx(LR, rel=0.2)


@pytest.mark.parametrize(
    ("mode", "metrics"), [("max", [0.3, 0.5, 0.4, 0.5, 0.45, 0.6, 0.1]), ("min", [1.5, 1.0, 1.1, 1.0, 1.2, 0.5, 0.9])]
)
def test_plateau_reduces_the_rate_after_its_patience(mode: str, metrics: list[float]):
    schedule, optimizer = build("plateau", mode, factor=0.5, patience_epochs=2)
    assert schedule.per == "monitored"
    values = []
    for metric in metrics:
        schedule.scheduler.step(metric)
        values.append(optimizer.param_groups[0]["lr"])
    # The second epoch is the best; the third one after it without an improvement exceeds the patience.
    assert values == pytest.approx([0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2])


def test_plateau_stops_at_the_minimum_rate():
    schedule, optimizer = build("plateau", "max", factor=0.1, patience_epochs=1, min_lr=0.05)
    for _ in range(12):
        schedule.scheduler.step(0.0)
    assert optimizer.param_groups[0]["lr"] == 0.05


@pytest.mark.parametrize("name", lookup.names("training.schedules"))
def test_state_is_restored(name: str):
    """A schedule that is saved half way and loaded into a new one continues in the same way."""
    options = {"step": {"step_epochs": 3, "gamma": 0.5}}.get(name, {})
    (whole, optimizer), (resumed, other) = build(name, **options), build(name, **options)
    step = (lambda s, e: s.step(-e)) if whole.per == "monitored" else (lambda s, e: s.step())
    with warnings.catch_warnings(action="ignore"):
        for epoch in range(5):
            step(whole.scheduler, epoch)
        resumed.scheduler.load_state_dict(whole.scheduler.state_dict())
        other.load_state_dict(optimizer.state_dict())
        for epoch in range(5, 10):
            step(whole.scheduler, epoch)
            step(resumed.scheduler, epoch)
            assert optimizer.param_groups[0]["lr"] == other.param_groups[0]["lr"]
