"""Learning rates over a training, against closed forms."""

import math
import warnings

import pytest
import torch

from stages.core import lookup
from stages.training.schedules import MODES, Horizon, Schedule

EPOCHS, STEPS = 10, 6
LR = 0.4


def made(name: str, mode: str = "max", **options: object) -> tuple[Schedule, torch.optim.Optimizer]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], LR)
    horizon = Horizon(EPOCHS, EPOCHS * STEPS, mode)
    return lookup.build("training.schedules", {"name": name, **options}, optimizer, horizon), optimizer


def rates(name: str, **options: object) -> list[float]:
    """The rate each step (per step) or epoch (per epoch) runs at."""
    schedule, optimizer = made(name, **options)
    found = []
    with warnings.catch_warnings(action="ignore"):  # the optimiser itself does not step here
        for _ in range(EPOCHS * STEPS if schedule.per == "step" else EPOCHS):
            found.append(optimizer.param_groups[0]["lr"])
            schedule.scheduler.step()
    return found


def test_constant():
    assert rates("constant") == [LR] * EPOCHS


def test_step():
    expected = [0.4, 0.4, 0.4, 0.1, 0.1, 0.1, 0.025, 0.025, 0.025, 0.00625]
    assert rates("step", step_epochs=3, gamma=0.25) == pytest.approx(expected)


@pytest.mark.parametrize("min_lr", [0.0, 0.1])
def test_cosine(min_lr: float):
    expected = [min_lr + (LR - min_lr) * (1 + math.cos(math.pi * epoch / EPOCHS)) / 2 for epoch in range(EPOCHS)]
    assert rates("cosine", min_lr=min_lr) == pytest.approx(expected)


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing():
    found = rates("one_cycle", warmup=0.3)
    assert len(found) == EPOCHS * STEPS
    peak = found.index(max(found))
    assert max(found) == pytest.approx(LR)
    assert peak == 0.3 * EPOCHS * STEPS - 1
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert found[0] == pytest.approx(LR / 25)
    assert found[-1] < LR / 1e4


@pytest.mark.parametrize(
    ("mode", "figures"), [("max", [0.3, 0.5, 0.4, 0.5, 0.45, 0.6, 0.1]), ("min", [1.5, 1.0, 1.1, 1.0, 1.2, 0.5, 0.9])]
)
def test_plateau_waits_then_cuts(mode: str, figures: list[float]):
    schedule, optimizer = made("plateau", mode, factor=0.5, patience_epochs=2)
    assert schedule.per == "monitored"
    found = []
    for figure in figures:
        schedule.scheduler.step(figure)
        found.append(optimizer.param_groups[0]["lr"])
    # best at the second; the third epoch after it without a better one is one too many
    assert found == pytest.approx([0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2])


def test_plateau_stops_at_the_least_rate():
    schedule, optimizer = made("plateau", "max", factor=0.1, patience_epochs=1, min_lr=0.05)
    for _ in range(12):
        schedule.scheduler.step(0.0)
    assert optimizer.param_groups[0]["lr"] == 0.05


def test_modes_point_the_right_way():
    assert MODES == {"validation_loss": "min", "validation_accuracy": "max"}


@pytest.mark.parametrize("name", lookup.names("training.schedules"))
def test_state_survives(name: str):
    """Half way saved and loaded into a fresh one, the second half is the same."""
    options = {"step": {"step_epochs": 3, "gamma": 0.5}}.get(name, {})
    (whole, optimizer), (resumed, other) = made(name, **options), made(name, **options)
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
