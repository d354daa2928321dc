"""Steadied probabilities and labels, against values worked out by hand."""

import math

import numpy as np
import pytest

from stages.apps.smoothing import Exponential, HeldLabel, MovingAverage, Unsmoothed
from stages.core.errors import UserError


def fed(smoother, times: list[float], firsts: list[float]) -> list[float]:
    """What becomes of the first of two probabilities."""
    found = [smoother.update(t, np.array([p, 1 - p])) for t, p in zip(times, firsts, strict=True)]
    assert all(np.isclose(both.sum(), 1) for both in found)
    return [float(both[0]) for both in found]


def test_moving_average_over_the_last_second():
    times = [0.0, 0.4, 0.8, 1.2, 3.0, 3.1]  # a variable frame rate, and a gap
    found = fed(MovingAverage(1.0), times, [1.0, 0.0, 0.5, 0.1, 0.2, 0.6])
    # of 1.2 the last second begins after 0.2: 0.0, 0.5, 0.1; after the gap only the new ones are left
    assert found == pytest.approx([1.0, 0.5, 0.5, 0.2, 0.2, 0.4])


def test_moving_average_leaves_out_what_is_a_window_old():
    assert fed(MovingAverage(1.0), [0.0, 1.0], [1.0, 0.0]) == pytest.approx([1.0, 0.0])


def test_moving_average_of_no_window_is_the_frame():
    assert fed(MovingAverage(0.0), [0.0, 0.1, 0.1], [1.0, 0.3, 0.2]) == pytest.approx([1.0, 0.3, 0.2])


def test_moving_average_keeps_no_more_than_its_window():
    smoother = MovingAverage(1.0)
    fed(smoother, [number / 100 for number in range(5_000)], [0.5] * 5_000)
    assert len(smoother._recent) == 100


def test_exponential_by_hand():
    found = fed(Exponential(2.0), [0.0, 2.0, 2.0 + 2 * math.log(2)], [1.0, 0.0, 1.0])
    once = 1 / math.e  # one time constant after a step from 1 to 0
    assert found == pytest.approx([1.0, once, once / 2 + 1 / 2])  # then half of it is kept


def test_exponential_does_not_depend_on_the_frame_rate():
    ends = []
    for rate_hz in (5, 30, 120):
        times = [number / rate_hz for number in range(rate_hz + 1)]
        ends.append(fed(Exponential(0.5), times, [1.0] + [0.0] * rate_hz)[-1])
    assert ends == pytest.approx([math.exp(-2)] * 3)


def test_exponential_of_no_time_constant_is_the_frame():
    assert fed(Exponential(0.0), [0.0, 0.1], [1.0, 0.25]) == [1.0, 0.25]


def test_exponential_at_the_same_time_changes_nothing():
    assert fed(Exponential(1.0), [1.0, 1.0], [0.9, 0.1]) == pytest.approx([0.9, 0.9])


def test_unsmoothed():
    assert fed(Unsmoothed(), [0.0, 0.1], [1.0, 0.25]) == [1.0, 0.25]


@pytest.mark.parametrize(
    ("times", "leading", "shown"),
    [
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [3, 1, 1, 1, 1, 1], [3, 3, 3, 3, 1, 1]),  # led from 0.2 on, for 0.5 at 0.8
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [3, 1, 3, 1, 1, 1], [3, 3, 3, 3, 3, 3]),  # a break starts it anew
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.1], [3, 1, 1, 2, 2, 2], [3, 3, 3, 3, 3, 2]),  # so does another rival
        ([0.0, 0.1, 0.9], [3, 1, 1], [3, 3, 1]),  # a low frame rate
        ([5.0], [2], [2]),  # the first at once
    ],
)
def test_held_label(times: list[float], leading: list[int], shown: list[int]):
    held = HeldLabel(0.5)
    assert [held.update(t, label) for t, label in zip(times, leading, strict=True)] == shown


def test_label_that_is_not_held():
    held = HeldLabel(0.0)
    assert [held.update(t, label) for t, label in ((0.0, 3), (0.1, 1), (0.2, 3))] == [3, 1, 3]


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_no_duration(value: float):
    for kind, name in ((MovingAverage, "window_s"), (Exponential, "time_constant_s"), (HeldLabel, "hold_s")):
        with pytest.raises(UserError, match=f"{name}: no duration; allowed: 0 seconds or more; received: "):
            kind(value)
