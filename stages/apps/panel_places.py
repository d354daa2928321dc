"""Where beside its face a panel stands: over no face and no other panel where there is room for that."""

import math

from stages.apps.boxes import Box, Rect, common

STAYS = 0.1  # of a panel that may be over something before it goes elsewhere: it must not jump to and fro


class PanelPlaces:
    """Called once a frame; remembers on which side of each face its panel stood."""

    def __init__(self) -> None:
        self._sides: dict[int, int] = {}

    def __call__(
        self,
        faces: list[tuple[int, Box]],
        panels: int,
        picture: tuple[int, int],
        size: tuple[int, int],
        gap: int,
        label_px: int,
    ) -> list[tuple[int, int]]:
        """Upper left corners of the panels of the first `panels` of `faces` (number, box), one after the other.

        `picture` and `size` (of a panel): width, height. `label_px`: how high what stands above each box is.
        """
        around = [_around(box, label_px) for _, box in faces]
        taken, corners, sides = list(around), [], {}
        for (number, _), rect in list(zip(faces, around, strict=True))[:panels]:
            places = sides_of(rect, picture, size, gap)
            covered = [sum(common((*corner, *size), other) for other in taken) for corner in places]
            side, best = self._sides.get(number, 0), covered.index(min(covered))
            sides[number] = side if covered[side] <= covered[best] + STAYS * math.prod(size) else best
            corners.append(places[sides[number]])
            taken.append((*corners[-1], *size))
        self._sides = sides
        return corners


def sides_of(around: Rect, picture: tuple[int, int], size: tuple[int, int], gap: int) -> list[tuple[int, int]]:
    """Upper left corners on its right, on its left, below and above, as far inside the picture as they can be."""
    left, top, w, h = around
    width, height = size
    sides = (left + w + gap, top), (left - gap - width, top), (left, top + h + gap), (left, top - gap - height)
    return [(max(min(round(x), picture[0] - width), 0), max(min(round(y), picture[1] - height), 0)) for x, y in sides]


def _around(box: Box, label_px: int) -> Rect:
    """All that is drawn of a face: the box, which may lean, and the label above it."""
    turn = math.radians(box.tilt_deg)
    grown = (abs(math.sin(turn)) + math.cos(turn) - 1) / 2  # a square that is turned is so much wider on each side
    left, top = box.left - grown * box.width, box.top - max(grown * box.height, label_px)
    return left, top, (1 + 2 * grown) * box.width, box.top + (1 + grown) * box.height - top
