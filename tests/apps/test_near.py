"""A known face is found again where it is, also tilted."""

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from stages.apps.boxes import Box
from stages.apps.detection import in_frames
from stages.apps.haar import FinderSettings
from stages.apps.near import Tilted, find_again

PORTRAIT = ROOT.parent / "shared/media/astronaut.png"
FACE = np.array([173.0, 68, 102, 102])  # of the portrait, by eye


@pytest.mark.skipif(not PORTRAIT.exists(), reason="no picture of a person comes with the project")
@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, -30.0])
def test_a_tilted_face_is_found_again(tilt_deg: float):
    portrait = np.asarray(Image.open(PORTRAIT).convert("RGB"))[..., ::-1]
    middle = FACE[:2] + FACE[2:] / 2
    matrix = cv2.getRotationMatrix2D(middle.tolist(), -tilt_deg, 1.0)  # clockwise
    image = cv2.warpAffine(portrait, matrix, portrait.shape[1::-1])
    find = in_frames(FinderSettings(5, 1.2, 30), "frontal")
    found = find_again(find, image, Tilted(FACE + np.array([12, -10, 0, 0])))
    assert found.tilt_deg == tilt_deg
    assert np.abs(found.box[:2] + found.box[2:] / 2 - middle).max() < 14
    assert 80 < found.box[2] < 130
    assert find_again(find, image, Tilted(np.array([400.0, 380, 60, 60]))) is None


@pytest.mark.parametrize("at", [(700, 10), (10, 400), (-300, 10), (10, -300)])
def test_a_face_that_has_left_the_picture(at: tuple[int, int]):
    """Beyond each edge; what is looked at is not counted from the other one."""

    def never(image: np.ndarray) -> list[Box]:
        raise AssertionError(f"looked at {image.shape}")

    image = np.zeros((360, 640, 3), np.uint8)
    assert find_again(never, image, Tilted(np.array([*at, 100.0, 100]))) is None


def test_where_a_face_is_found_in_a_turned_picture():
    """A finder of bright spots, whose answers are worked out by eye: the middle stays where the spot is."""

    def find_spot(image: np.ndarray) -> list[Box]:
        bright = image[..., 0] > 128
        if not bright.any():
            return []
        y, x = (places.mean() for places in np.nonzero(bright))
        return [Box(round(x) - 30, round(y) - 30, 60, 60)] if y < image.shape[0] * 0.34 else []

    image = np.zeros((200, 200, 3), np.uint8)
    cv2.circle(image, (125, 92), 4, (255, 255, 255), cv2.FILLED)  # far right of the box's middle
    found = find_again(find_spot, image, Tilted(np.array([80.0, 80, 40, 40])))
    assert found.tilt_deg == 30  # upright it is not high enough to be taken
    assert found.box + np.array([30, 30, 0, 0]) == pytest.approx([125, 92, 60, 60], abs=2)


@pytest.mark.parametrize(("left", "is_found"), [(20, True), (33, True), (34, False), (60, False)])
def test_what_hardly_overlaps_is_another_face(left: int, is_found: bool):
    """Of two squares of 50, one to the right of the other by 33, a fifth is shared."""
    face = Tilted(np.array([100.0, 100, 50, 50]))
    upright = 90, 90, 3  # what is looked at, from (80, 80) on: .4 of the side beyond the box
    found = find_again(
        lambda seen: [Box(20 + left, 20, 50, 50)] if seen.shape == upright else [],
        np.zeros((300, 300, 3), np.uint8),
        face,
    )
    assert (found is not None) == is_found


@pytest.mark.parametrize("box", [(-15, -15, 40, 40), (90, 90, 60, 60), (0, 0, 1, 1), (50, 50, 500, 500)])
def test_boxes_at_the_edge(box: tuple[int, ...]):
    find = in_frames(FinderSettings(5, 1.2, 30), "frontal")
    assert find_again(find, np.zeros((100, 100, 3), np.uint8), Tilted(np.array(box, float))) is None
