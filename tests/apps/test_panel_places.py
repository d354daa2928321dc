"""Panels stand beside their faces, over no face and no other panel where there is room."""

import pytest

from stages.apps.boxes import Box
from stages.apps.panel_places import Marked, PanelPlaces, sides_of

PICTURE, SIZE = (640, 360), (150, 100)


def corners(places: PanelPlaces, *boxes: Box, panels: int = 4) -> list[tuple[int, int]]:
    return places([marked(box, number) for number, box in enumerate(boxes)], panels, PICTURE, SIZE, 8)


def marked(box: Box, number: int = 0) -> Marked:
    """With a label above it, ten pixels high and as wide as the box."""
    return Marked(number, box, (box.left, box.top - 10, box.width, 10))


@pytest.mark.parametrize(
    ("box", "corner"),
    [
        (Box(100, 50, 100, 100), (208, 50)),
        (Box(480, 300, 100, 60), (322, 260)),
        (Box(10, 0, 620, 360), (490, 0)),  # no room at all
        (Box(120, 20, 400, 180), (120, 208)),  # on either side there is less than a panel
        (Box(120, 150, 400, 180), (120, 32)),
        (Box(150, 100, 100, 100, tilt_deg=30.0), (276, 100)),  # 18 px of its corners stand out
    ],
)
def test_one_face(box: Box, corner: tuple[int, int]):
    assert corners(PanelPlaces(), box) == [corner]


def test_two_faces_that_look_at_each_other():
    """Between them there is room for one panel; the other goes to the left of its face, or below."""
    assert corners(PanelPlaces(), Box(180, 80, 80, 80), Box(450, 80, 80, 80)) == [(268, 80), (450, 168)]
    assert corners(PanelPlaces(), Box(60, 80, 80, 80), Box(300, 80, 80, 80)) == [(148, 80), (388, 80)]


def test_no_panel_beyond_those_asked_for_but_room_for_every_face():
    assert corners(PanelPlaces(), Box(100, 50, 100, 100), Box(220, 50, 90, 90), panels=1) == [(100, 158)]


def test_a_panel_stays_where_it_is_for_a_trifle():
    places = PanelPlaces()
    sides = [corners(places, Box(left, 50, 100, 100), panels=1)[0][0] for left in (380, 384, 395, 420, 390, 380)]
    assert sides == [488, 490, 490, 262, 232, 222]  # not back to the right as soon as it would fit


def test_who_left_is_forgotten():
    places = PanelPlaces()
    assert corners(places, Box(420, 50, 100, 100)) == [(262, 50)]
    places([], 4, PICTURE, SIZE, 8)
    assert corners(places, Box(384, 50, 100, 100)) == [(490, 50)]


def test_what_is_larger_than_the_picture():
    assert sides_of(marked(Box(5, 5, 20, 20)), (30, 30), SIZE, 8) == [(0, 0)] * 4
