"""Where beside its face a panel stands: over no face and no other panel where there is room for that."""

import math
from dataclasses import dataclass

from stages.apps.boxes import Box, Rect, common

STAYS = 0.1  # of a panel that may be over something before it goes elsewhere: it must not jump to and fro


@dataclass(frozen=True)
class Marked:
    """A face as it is drawn: its number, its box and the label above it."""

    number: int
    box: Box
    label: Rect


class PanelPlaces:
    """Called once a frame; remembers on which side of each face its panel stood."""

    def __init__(self) -> None:
        self._sides: dict[int, int] = {}

    def __call__(
        self,
        faces: list[Marked],
        panels: int,
        picture: tuple[int, int],
        size: tuple[int, int],
        gap: int,
    ) -> list[tuple[int, int]]:
        """Upper left corners of the panels of the first `panels` of `faces`, one after the other.

        `picture` and `size` (of a panel): width, height in pixels.
        """
        taken: list[Rect] = [rect for face in faces for rect in (extent(face.box), face.label)]
        corners, sides = [], {}
        for face in faces[:panels]:
            places = sides_of(face, picture, size, gap)
            covered = [sum(common((*corner, *size), other) for other in taken) for corner in places]
            side, best = self._sides.get(face.number, 0), covered.index(min(covered))
            sides[face.number] = side if covered[side] <= covered[best] + STAYS * math.prod(size) else best
            corners.append(places[sides[face.number]])
            taken.append((*corners[-1], *size))
        self._sides = sides
        return corners


def sides_of(face: Marked, picture: tuple[int, int], size: tuple[int, int], gap: int) -> list[tuple[int, int]]:
    """Upper left corners on its right, on its left, below and above, as far inside the picture as they can be.

    On its sides a panel begins with the box, under the label, which may be wider than the box.
    """
    left, top, w, h = extent(face.box)
    width, height = size
    above = min(top, face.label[1]) - gap - height
    sides = (left + w + gap, face.box.top), (left - gap - width, face.box.top), (left, top + h + gap), (left, above)
    return [(max(min(round(x), picture[0] - width), 0), max(min(round(y), picture[1] - height), 0)) for x, y in sides]


def extent(box: Box) -> Rect:
    """Of a box that may lean."""
    turn = math.radians(box.tilt_deg)
    grown = (abs(math.sin(turn)) + math.cos(turn) - 1) / 2  # a square that is turned is so much wider on each side
    grown_x, grown_y = grown * box.width, grown * box.height
    return box.left - grown_x, box.top - grown_y, box.width + 2 * grown_x, box.height + 2 * grown_y
