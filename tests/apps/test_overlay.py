"""What is drawn on frames of any size, with no face, one and very many."""

import numpy as np
import pytest

from stages.apps.boxes import Box
from stages.apps.frames import Frame
from stages.apps.live_faces import Face, Seen
from stages.apps.overlay import Overlay, bgr, letters, readable
from stages.evaluation.canvas import PALETTE

CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def face(box: Box, shown: int = 3, number: int = 1) -> Face:
    probabilities = np.full(7, 0.05)
    probabilities[shown] = 0.7
    return Face(number, box, probabilities, probabilities, shown)


def drawn(faces: list[Face], size: tuple[int, int] = (360, 640), note: str = "") -> np.ndarray:
    image = np.full((*size, 3), 40, np.uint8)
    Overlay(CLASSES, note)(Seen(Frame(1.5, image), faces))
    return image


def pixels(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (image == colour).all(axis=2)


def test_box_is_where_the_face_is_in_the_colour_of_its_class():
    box = Box(300, 100, 160, 160)
    coloured = pixels(drawn([face(box)]), bgr(PALETTE[3]))
    for y, x in ((100, 380), (259, 380), (180, 300), (180, 459)):
        assert coloured[y - 2 : y + 3, x - 2 : x + 3].any()
    assert not coloured[130:230, 330:430].any()  # the face itself is left free


def test_box_leans_as_the_face_does():
    """By 30 degrees clockwise: the middle of its upper side goes to the right."""
    coloured = pixels(drawn([face(Box(300, 100, 161, 161, tilt_deg=30.0))]), bgr(PALETTE[3]))
    x, y = 380 + round(80 * np.sin(np.pi / 6)), 180 - round(80 * np.cos(np.pi / 6))
    assert coloured[y - 3 : y + 4, x - 3 : x + 4].any()
    assert not coloured[130:230, 330:430].any()
    assert not coloured[177:184, 298:304].any()  # where the left side stands upright


def test_bars_are_as_long_as_probabilities():
    image = drawn([face(Box(40, 100, 160, 160))])
    panel = image[:, 210:]
    lengths = [pixels(panel, bgr(PALETTE[index])).sum(axis=1).max() for index in range(7)]
    assert lengths[3] == pytest.approx(14 * lengths[0], rel=0.35)  # .70 and .05, in whole pixels
    assert lengths[0] == lengths[6]


@pytest.mark.parametrize("shown", range(7))
def test_no_label_covers_bars_or_their_names(shown: int):
    """A label is wider than a small box; its bars stand beside the box nevertheless."""
    image = drawn([face(Box(200, 100, 60, 60), shown)])
    assert (image[100:190, 269:272] > 190).all()  # the panel's margin, from its first row to its last
    for index in range(7):
        assert pixels(image[100:200, 262:], bgr(PALETTE[index])).any()


def test_nothing_but_the_corner_without_a_face():
    image = drawn([])
    assert (image[60:] == 40).all()
    assert (image[:60, 300:] == 40).all()
    assert (image[:60, :300] != 40).any()


def test_note_stands_at_the_bottom():
    assert (drawn([], note="drawn faces")[340:] != 40).any()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (48, 64), (2160, 3840), (2000, 30)])
def test_any_size(size: tuple[int, int]):
    height, width = size
    boxes = [Box(0, 0, width, height), Box(width - 1, height - 1, 1, 1), Box(width // 2, 0, (width + 1) // 2, 1)]
    image = drawn([face(box) for box in boxes], size, "note")
    assert image.shape == (*size, 3)
    assert (image != 40).any()


def test_many_faces_and_names_of_any_script():
    image = np.zeros((360, 640, 3), np.uint8)
    faces = [face(Box(3 * n % 600, 5 * n % 320, 30, 30), n % 7, n) for n in range(200)]
    overlay = Overlay(["très heureux, vraiment", "злость", "怒り", "x" * 90, "", "a\nb", "$^_{"])
    overlay(Seen(Frame(0.0, image), faces))
    assert image.any()


def test_letters():
    assert letters("happy", 14, False).shape[0] == letters("xxx", 14, False).shape[0]
    assert letters("happy", 14, False).dtype == np.uint8
    assert 0 == letters("happy", 14, False).min() < 128 < letters("happy", 14, False).max()
    assert letters("happy", 14, True).shape[1] > letters("happy", 14, False).shape[1]
    assert letters("happy", 14, False) is letters("happy", 14, False)  # drawn once


def test_readable():
    assert readable(bgr("#332288")) == (255, 255, 255)
    assert readable(bgr("#88ccee")) != (255, 255, 255)
    assert bgr("#112233") == (0x33, 0x22, 0x11)
