"""Boxes, labels, bars and notes on frames of any size, with no, one and many faces."""

import numpy as np
import pytest

from stages.evaluation.pictures.canvas import PALETTE
from stages.faces.frames import Frame
from stages.live.overlay import Overlay, bgr, panel_corner
from stages.live.recognition import LabeledFace, LabeledFrame
from stages.serving.boxes import Box

CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
BACKGROUND = 40


def face(box: Box, shown: int = 3, number: int = 1) -> LabeledFace:
    probabilities = np.full(7, 0.05)
    probabilities[shown] = 0.7
    return LabeledFace(number, box, probabilities, probabilities, shown)


def draw(faces: list[LabeledFace], size: tuple[int, int] = (360, 640), note: str = "") -> np.ndarray:
    image = np.full((*size, 3), BACKGROUND, np.uint8)
    Overlay(CLASSES, note)(LabeledFrame(Frame(1.5, image), faces))
    return image


def has_colour(image: np.ndarray, colour: str) -> np.ndarray:
    return (image == bgr(colour)).all(axis=2)


def test_box_has_the_colour_of_its_class_and_leaves_the_face_free():
    coloured = has_colour(draw([face(Box(300, 100, 160, 160))]), PALETTE[3])
    for y, x in ((100, 380), (259, 380), (180, 300), (180, 459)):
        assert coloured[y - 2 : y + 3, x - 2 : x + 3].any()
    assert not coloured[130:230, 330:430].any()


def test_box_is_tilted_as_the_face():
    """At 30 degrees clockwise, the middle of the upper side moves to the right."""
    coloured = has_colour(draw([face(Box(300, 100, 161, 161, tilt_deg=30.0))]), PALETTE[3])
    x, y = 380 + round(80 * np.sin(np.pi / 6)), 180 - round(80 * np.cos(np.pi / 6))
    assert coloured[y - 3 : y + 4, x - 3 : x + 4].any()
    assert not coloured[130:230, 330:430].any()
    assert not coloured[177:184, 298:304].any()  # the left side of an upright box


def test_bars_are_proportional_to_the_probabilities():
    panel = draw([face(Box(40, 100, 160, 160))])[:, 210:]
    lengths = [has_colour(panel, PALETTE[index]).sum(axis=1).max() for index in range(7)]
    assert lengths[3] == pytest.approx(14 * lengths[0], rel=0.35)  # 0.70 and 0.05, in whole pixels
    assert lengths[0] == lengths[6]


@pytest.mark.parametrize("shown", [0, 3])
def test_label_of_a_small_box_does_not_cover_its_bars(shown: int):
    image = draw([face(Box(200, 100, 60, 60), shown)])
    assert (image[100:190, 269:272] > 190).all()  # the margin of the panel
    assert all(has_colour(image[100:200, 262:], PALETTE[index]).any() for index in range(7))


def test_without_a_face_only_the_corner_and_the_note_change():
    changed = (draw([], note="synthetic faces") != BACKGROUND).any(axis=2)
    assert changed[:60, :300].any()
    assert changed[340:].any()
    assert not changed[60:320].any()
    assert not changed[:60, 300:].any()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (48, 64), (2160, 3840), (2000, 30)])
def test_draws_on_frames_of_any_size(size: tuple[int, int]):
    height, width = size
    boxes = [Box(0, 0, width, height), Box(width - 1, height - 1, 1, 1), Box(width // 2, 0, (width + 1) // 2, 1)]
    image = draw([face(box) for box in boxes], size, "note")
    assert image.shape == (*size, 3)
    assert (image != BACKGROUND).any()


def test_draws_many_faces_and_class_names_in_any_script():
    image = np.zeros((360, 640, 3), np.uint8)
    faces = [face(Box(3 * n % 600, 5 * n % 320, 30, 30), n % 7, n) for n in range(200)]
    overlay = Overlay(["très heureux, vraiment", "злость", "怒り", "x" * 90, "", "a\nb", "$^_{"])
    overlay(LabeledFrame(Frame(0.0, image), faces))
    assert image.any()


# ---- panels ----

PICTURE, PANEL, GAP = (640, 360), (150, 100), 8  # width, height


@pytest.mark.parametrize(
    ("box", "corner"),
    [
        (Box(100, 50, 100, 100), (208, 50)),  # right of the face
        (Box(382, 50, 100, 100), (490, 50)),  # right, up to the edge of the picture
        (Box(383, 50, 100, 100), (225, 50)),  # left: it does not fit on the right
        (Box(480, 300, 100, 60), (322, 260)),  # left, and moved up into the picture
        (Box(10, 0, 620, 360), (490, 0)),  # over the face: it fits on neither side
        (Box(600, 340, 400, 400), (442, 260)),
        (Box(150, 100, 100, 100, tilt_deg=30.0), (276, 100)),  # 18 px further: corners of a tilted box stick out
        (Box(150, 100, 100, 100, tilt_deg=-30.0), (276, 100)),
    ],
)
def test_panel_is_right_of_the_face_or_else_left(box: Box, corner: tuple[int, int]):
    assert panel_corner(box, PICTURE, PANEL, GAP) == corner
