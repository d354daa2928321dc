"""Boxes round faces, and the geometry of pictures in which they are looked for."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

# Larger pictures are shrunk to this before faces are looked for: nothing is lost on faces that a network sees at 48 px.
SEARCHED_PX = 1920
CUT_OFF = 0.02  # of its side that a face may lie outside the picture before it is called cut off

Rect = tuple[float, float, float, float]  # left, top, width, height


@dataclass(frozen=True)
class Box:
    """A face in pixels of the picture, all of it inside, round it as if it were upright; it leans by `tilt_deg`,
    clockwise. `cut_off`: part of the face lies outside."""

    left: int
    top: int
    width: int
    height: int
    cut_off: bool = False
    tilt_deg: float = 0.0


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """(height, width[, 3]) → the face alone, turned upright; without a tilt as a view."""
    if not box.tilt_deg:
        return image[box.top : box.top + box.height, box.left : box.left + box.width]
    middle = box.left + (box.width - 1) / 2, box.top + (box.height - 1) / 2
    matrix = cv2.getRotationMatrix2D(middle, box.tilt_deg, 1.0)
    matrix[:, 2] -= box.left, box.top
    return cv2.warpAffine(image, matrix, (box.width, box.height), borderMode=cv2.BORDER_REPLICATE)


def turned(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """(height, width[, 3]) → all of it, counterclockwise, on a canvas that holds it, and the matrix (2, 3) back."""
    if not degrees:
        return image, np.eye(2, 3)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = np.abs(turn[0, :2])
    size = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REPLICATE), cv2.invertAffineTransform(turn)


def shrunk(image: np.ndarray, longest_px: int = SEARCHED_PX) -> tuple[np.ndarray, float]:
    """The picture to look at, and how much larger the real one is."""
    factor = max(1.0, max(image.shape[:2]) / longest_px)
    if factor == 1:
        return image, 1.0
    size = max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor


def common(one: Rect, other: Rect) -> float:
    """Area of what both cover."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def shared(one: Rect, other: Rect) -> float:
    """Of the smaller one's area."""
    return common(one, other) / min(one[2] * one[3], other[2] * other[3])


def inside(found: list[tuple[Rect, float]], image: np.ndarray) -> list[Box]:
    """Whole pixels within the picture; faces of which too little can be cut out are left out."""
    placed = [(within(rect, tilt_deg, image), rect) for rect, tilt_deg in sorted(found)]
    return [box for box, rect in placed if is_whole_enough(box, rect)]


def is_whole_enough(box: Box, rect: Rect) -> bool:
    """Whether at least half of each side of the face `rect` is left in `box`."""
    return min(box.width, box.height) >= min(rect[2:]) / 2


def within(rect: Rect, tilt_deg: float, image: np.ndarray) -> Box:
    """In whole pixels, all of it inside the picture, one pixel at least.

    What is cut off is left out; on all sides of a face that leans, which is turned round its middle.
    """
    (left, top, w, h), (height, width) = rect, image.shape[:2]
    cut_off = min(left, top, width - left - w, height - top - h) < -CUT_OFF * w
    if tilt_deg and cut_off:
        middle_x, middle_y = left + w / 2, top + h / 2
        side = 2 * min(w / 2, middle_x, middle_y, width - middle_x, height - middle_y)
        left, top, w, h = middle_x - side / 2, middle_y - side / 2, side, side
    x0, y0 = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
    x1, y1 = max(min(round(left + w), width), x0 + 1), max(min(round(top + h), height), y0 + 1)
    return Box(x0, y0, x1 - x0, y1 - y0, bool(cut_off), tilt_deg)
