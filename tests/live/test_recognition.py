"""Predictions stay with their frames and faces; each face is smoothed on its own."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.faces.follower import Located
from stages.faces.frames import Frame
from stages.live.prefetch import Prefetch
from stages.live.recognition import (
    SMOOTHINGS,
    Exponential,
    FaceSmoother,
    Hysteresis,
    LabeledFrame,
    MovingAverage,
    classify,
    prepare_faces,
)
from stages.serving.boxes import Box


class FakeRun:
    """A run with two classes. The probability of the first is the red value of a face / 255."""

    def __init__(self) -> None:
        self.batch_sizes: list[int] = []

    def prepare(self, image: np.ndarray) -> tuple[float, int]:
        return image[..., 0].mean() / 255, 0

    def is_unlike_training(self, prepared: tuple[float, int]) -> bool:
        return prepared[0] > 0.5

    def probabilities(self, prepared: list[tuple[float, int]]) -> np.ndarray:
        self.batch_sizes.append(len(prepared))
        return np.array([(first, 1 - first) for first, _ in prepared]).reshape(-1, 2)


def make_frame(number: int) -> Frame:
    """Return a frame with a red value of `number` on the left and ten more on the right."""
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20, 2], image[:, 20:, 2] = number, number + 10
    return Frame(number / 10, image)


def locate(frame: Frame) -> list[Located]:
    """Return no face in every third frame, in the others two, in changing order."""
    number = round(frame.time_s * 10)
    faces = [Located(0, Box(0, 0, 20, 20)), Located(4, Box(20, 0, 20, 20))]
    return [] if number % 3 == 2 else faces[:: 1 if number % 2 else -1]


def recognise(run: FakeRun, count: int, batch_frames: int, smoother: FaceSmoother) -> list[LabeledFrame]:
    frames = Prefetch("frames", map(make_frame, range(count)), 8)
    prepared = Prefetch("faces", prepare_faces(run, locate, frames), 8)
    return list(classify(run, smoother, prepared, batch_frames))


@pytest.mark.parametrize(
    ("batch_frames", "batch_sizes"), [(1, [0 if number % 3 == 2 else 2 for number in range(21)]), (8, [12, 10, 6])]
)
def test_predictions_stay_with_their_frames_and_faces(batch_frames: int, batch_sizes: list[int]):
    run = FakeRun()
    labeled_frames = recognise(run, 21, batch_frames, FaceSmoother("none", 0, 0))
    assert run.batch_sizes == batch_sizes
    assert [round(labeled.frame.time_s * 10) for labeled in labeled_frames] == list(range(21))
    for number, labeled in enumerate(labeled_frames):
        assert labeled.frame.image[0, 0, 2] == number
        expected = {} if number % 3 == 2 else {1: number / 255, 5: (number + 10) / 255}
        assert {face.number: face.raw[0] for face in labeled.faces} == pytest.approx(expected)
        assert all(face.box.left == (0 if face.number == 1 else 20) for face in labeled.faces)
        assert all(face.shown == 1 for face in labeled.faces)


def test_each_face_is_smoothed_on_its_own():
    last = recognise(FakeRun(), 5, 8, FaceSmoother("moving_average", 0.35, 0))[-1]
    # the window of 0.35 s before 0.4 s holds the frames of 0.1, 0.3 and 0.4 s; that of 0.2 s has no face
    smoothed = {face.number: 255 * face.smoothed[0] for face in last.faces}
    assert smoothed == pytest.approx({1: (1 + 3 + 4) / 3, 5: (11 + 13 + 14) / 3})


def test_each_face_has_its_own_hysteresis():
    smoother = FaceSmoother("none", 0, 0.3)
    first_class = [0.9, 0.2, 0.2, 0.2, 0.2, 0.2]
    shown = [smoother(number / 10, 1, np.array([p, 1 - p]))[1] for number, p in enumerate(first_class)]
    assert shown == [0, 0, 0, 0, 1, 1]
    assert smoother(0.6, 2, np.array([0.9, 0.1]))[1] == 0


def test_absent_faces_are_forgotten():
    smoother = FaceSmoother("exponential", 0.5, 0.3)
    for number in range(100):
        smoother.forget(number / 10)
        smoother(number / 10, number, np.array([0.5, 0.5]))
    assert len(smoother._faces) == len(smoother._last_s) <= 21  # of the last two seconds


def test_a_network_that_overflows_raises_a_user_error():
    run = SimpleNamespace(probabilities=lambda _: np.array([[np.nan, 0.5]]), info={"run": "faces"})
    frames = Prefetch("frames", [(None, [], [0])], 1)
    with pytest.raises(UserError, match=r"faces: .*overflows"):
        list(classify(run, FaceSmoother(), frames, 1))


def test_a_tilted_face_is_rotated_upright():
    faces = []
    run = SimpleNamespace(prepare=lambda image: faces.append(image) or (0.5, 0))
    image = np.zeros((60, 60, 3), np.uint8)
    image[28:32, 30:52] = 255  # a bar to the right: 90 degrees clockwise from upwards
    tilted = [Located(0, Box(10, 10, 40, 40, tilt_deg=90.0))]
    list(prepare_faces(run, lambda _: tilted, Prefetch("frames", [Frame(0.0, image)], 1)))
    [face] = faces
    assert face[:18, 18:22].min() == 255
    assert face[:, 24:].max() == 0


@pytest.mark.parametrize("value", [-0.1, 61.0, float("nan")])
def test_rejects_durations_out_of_range(value: float):
    for option, settings in (("--smooth-s", {"smooth_s": value}), ("--hold-s", {"hold_s": value})):
        with pytest.raises(UserError, match=f"{option}: .*allowed: 0 to 60 seconds"):
            FaceSmoother(**settings)


# ---- smoothing, against values computed by hand ----


def smooth(smoother: MovingAverage | Exponential, times: list[float], first_class: list[float]) -> list[float]:
    """Return the smoothed probabilities of the first of two classes."""
    smoothed = [smoother.update(t, np.array([p, 1 - p])) for t, p in zip(times, first_class, strict=True)]
    assert np.sum(smoothed, axis=1) == pytest.approx(1)
    return [float(both[0]) for both in smoothed]


def test_moving_average_over_the_last_second():
    times = [0.0, 0.4, 0.8, 1.2, 3.0, 3.1]  # a variable frame rate, and a gap
    smoothed = smooth(MovingAverage(1.0), times, [1.0, 0.0, 0.5, 0.1, 0.2, 0.6])
    # the window of 1.2 s holds 0.0, 0.5 and 0.1; after the gap it holds only new frames
    assert smoothed == pytest.approx([1.0, 0.5, 0.5, 0.2, 0.2, 0.4])


@pytest.mark.parametrize("smoother", [SMOOTHINGS[name](0.0) for name in SMOOTHINGS])
def test_zero_duration_means_no_smoothing(smoother: MovingAverage | Exponential):
    assert smooth(smoother, [0.0, 0.1, 0.1], [1.0, 0.3, 0.2]) == [1.0, 0.3, 0.2]


def test_exponential_by_hand():
    smoothed = smooth(Exponential(2.0), [0.0, 2.0, 2.0 + 2 * math.log(2)], [1.0, 0.0, 1.0])
    after_time_constant = 1 / math.e
    assert smoothed == pytest.approx([1.0, after_time_constant, after_time_constant / 2 + 1 / 2])


@pytest.mark.parametrize("rate_hz", [5, 30, 120])
def test_exponential_does_not_depend_on_the_frame_rate(rate_hz: int):
    times = [number / rate_hz for number in range(rate_hz + 1)]
    assert smooth(Exponential(0.5), times, [1.0] + [0.0] * rate_hz)[-1] == pytest.approx(math.exp(-2))


@pytest.mark.parametrize(
    ("times", "leading", "shown"),
    [
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [3, 1, 1, 1, 1, 1], [3, 3, 3, 3, 1, 1]),  # leads since 0.2 s
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [3, 1, 3, 1, 1, 1], [3, 3, 3, 3, 3, 3]),  # an interruption starts anew
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.1], [3, 1, 1, 2, 2, 2], [3, 3, 3, 3, 3, 2]),  # so does another class
        ([0.0, 0.1, 0.9], [3, 1, 1], [3, 3, 1]),  # a low frame rate
        ([5.0], [2], [2]),  # the first class is shown at once
    ],
)
def test_hysteresis_of_half_a_second(times: list[float], leading: list[int], shown: list[int]):
    hysteresis = Hysteresis(0.5)
    assert [hysteresis.update(t, label) for t, label in zip(times, leading, strict=True)] == shown
