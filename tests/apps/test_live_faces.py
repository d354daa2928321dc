"""What is said of a face stays with its frame and its face."""

from types import SimpleNamespace

import numpy as np
import pytest

from stages.apps.boxes import Box
from stages.apps.following import Located
from stages.apps.frames import Frame
from stages.apps.live_faces import Seen, Steadier, Steadiness, classify, find_faces
from stages.apps.running_ahead import Ahead
from stages.core.errors import UserError


class Telling:
    """A run over two classes whose first probability is a face's red value / 255, and which counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def prepare(self, image: np.ndarray):
        return image[..., 0].mean() / 255, 0

    def probabilities(self, prepared) -> np.ndarray:
        self.asked.append(len(prepared))
        return np.array([(first, 1 - first) for first, _ in prepared]).reshape(-1, 2)


def frame(number: int) -> Frame:
    """Red tells the number on the left, ten more on the right."""
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20, 2], image[:, 20:, 2] = number, number + 10
    return Frame(number / 10, image)


def locate(given: Frame) -> list[Located]:
    """None in every third frame; in the others two that change places in the list."""
    number = round(given.time_s * 10)
    faces = [Located(0, Box(0, 0, 20, 20)), Located(4, Box(20, 0, 20, 20))]
    return [] if number % 3 == 2 else faces[:: 1 if number % 2 else -1]


def seen(run: Telling, count: int, at_once: int, settings: Steadiness) -> list[Seen]:
    frames = Ahead("frames", map(frame, range(count)), 8)
    found = Ahead("found", find_faces(run, locate, frames), 8)
    return list(classify(run, Steadier(settings), found, at_once))


@pytest.mark.parametrize("at_once", [1, 8])
def test_answers_stay_with_their_frames_and_faces(at_once: int):
    run = Telling()
    told = seen(run, 21, at_once, Steadiness("none", 0, 0))
    assert [round(one.frame.time_s * 10) for one in told] == list(range(21))
    for number, one in enumerate(told):
        assert one.frame.image[0, 0, 2] == number
        expected = {} if number % 3 == 2 else {1: number / 255, 5: (number + 10) / 255}
        assert {face.number: face.raw[0] for face in one.faces} == pytest.approx(expected)
        assert all(face.box.left == (0 if face.number == 1 else 20) for face in one.faces)
        assert all(face.shown == 1 for face in one.faces)
    assert run.asked == ([0 if n % 3 == 2 else 2 for n in range(21)] if at_once == 1 else [12, 10, 6])


def test_each_face_is_smoothed_by_itself():
    told = seen(Telling(), 5, 8, Steadiness("moving_average", 0.35, 0))
    # the last 0.35 s before 0.4 s hold the frames of 0.1, 0.3 and 0.4, since there is no face in that of 0.2
    last = {face.number: 255 * face.smoothed[0] for face in told[-1].faces}
    assert last == pytest.approx({1: (1 + 3 + 4) / 3, 5: (11 + 13 + 14) / 3})


def test_the_label_is_held():
    steadier = Steadier(Steadiness("none", 0, 0.3))
    firsts = [0.9, 0.2, 0.2, 0.2, 0.2, 0.2]
    assert [steadier(n / 10, 1, np.array([p, 1 - p]))[1] for n, p in enumerate(firsts)] == [0, 0, 0, 0, 1, 1]
    assert steadier(0.6, 2, np.array([0.9, 0.1]))[1] == 0  # another face's label is its own


def test_faces_that_are_gone_are_forgotten():
    steadier = Steadier(Steadiness("exponential", 0.5, 0.3))
    for number in range(500):
        steadier.forget(number / 10)
        steadier(number / 10, number, np.array([0.5, 0.5]))
    assert len(steadier._faces) == len(steadier._seen_s) <= 21


@pytest.mark.parametrize("value", [-0.1, 61.0, float("nan")])
def test_durations(value: float):
    with pytest.raises(UserError, match="--smooth-s: out of range; allowed: 0 to 60 seconds"):
        Steadiness(smooth_s=value)
    with pytest.raises(UserError, match="--hold-s: out of range"):
        Steadiness(hold_s=value)


def test_a_tilted_face_is_asked_upright():
    asked = []
    run = SimpleNamespace(prepare=lambda image: asked.append(image) or (0.5, 0))
    image = np.zeros((60, 60, 3), np.uint8)
    image[28:32, 30:52] = 255  # a bar to the right, 90 degrees clockwise from upright
    tilted = [Located(0, Box(10, 10, 40, 40, tilt_deg=90.0))]
    list(find_faces(run, lambda _: tilted, Ahead("frames", [Frame(0.0, image)], 1)))
    [face] = asked
    assert face[:18, 18:22].min() == 255  # upward
    assert face[:, 24:].max() == 0
