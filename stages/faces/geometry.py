"""Geometry of face boxes: scaling, tiles, overlap, and boxes in whole pixels inside the picture."""

import math

import cv2
import numpy as np

from stages.serving.boxes import Box

# Larger pictures are scaled down to this for detection; faces that a network sees at 48 px lose nothing.
MAX_SEARCH_PX = 1920
MIN_SEARCH_PX = 480
MIN_TILE_PX = 192  # the detector's own input
CUT_OFF = 0.02  # a face is cut off if more than this share of its side is outside the picture

Rect = tuple[float, float, float, float]  # left, top, width, height


def tiles(image: np.ndarray, side: int) -> list[tuple[int, int, int]]:
    """Return (left, top, side) of square tiles that cover the picture and overlap by a third of their side or more.

    In a picture that is narrower than `MIN_TILE_PX` they are larger than it, since so many small ones take minutes.
    """
    side = min(side, max(MIN_TILE_PX, min(image.shape[:2])))
    corners = []
    for length in image.shape[:2]:
        last = max(0, length - side)
        corners.append(np.linspace(0, last, 1 + math.ceil(last / (side * 2 / 3))).round().astype(int).tolist())
    return [(left, top, side) for top in corners[0] for left in corners[1]]


def scaled_down(image: np.ndarray, factor: float) -> np.ndarray:
    """Return the image smaller by `factor`, 1 or more."""
    if factor == 1:
        return image
    size = max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def scale_factor(image: np.ndarray) -> float:
    """Return by how much the image is scaled down for detection; 1 or more.

    Then its longer side has at most `MAX_SEARCH_PX`, but in a panorama the shorter one keeps `MIN_SEARCH_PX`.
    """
    shorter, longer = sorted(image.shape[:2])
    return max(1.0, min(longer / MAX_SEARCH_PX, shorter / MIN_SEARCH_PX))


def intersection_over_union(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return IoU in 0..1 of each of (N, 4) boxes with each of (M, 4) as (N, M); 0 for empty boxes."""
    one, other = np.reshape(one, (-1, 1, 4)).astype(float), np.reshape(other, (1, -1, 4)).astype(float)
    intersection = _intersection(one, other)  # (N, M)
    union = one[..., 2:].prod(-1) + other[..., 2:].prod(-1) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def overlap_of_smaller(one: Rect, others: list[Rect]) -> np.ndarray:
    """Return (N,): the intersection of a box with each of N others as a share of the smaller one's area."""
    one, others = np.array(one, dtype=float), np.array(others, dtype=float).reshape(-1, 4)
    return _intersection(one, others) / np.minimum(one[2:].prod(), others[:, 2:].prod(-1))


def _intersection(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the areas that boxes (…, 4) have in common."""
    begin = np.maximum(one[..., :2], other[..., :2])
    end = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    return (end - begin).clip(min=0).prod(-1)


def to_boxes(found: list[tuple[Rect, float]], image: np.ndarray) -> list[Box]:
    """Return boxes of (rect, tilt_deg) from left to right, without faces of which too little lies in the picture."""
    boxes = [(to_box(rect, tilt_deg, image), rect) for rect, tilt_deg in sorted(found)]
    return [box for box, rect in boxes if is_visible(box, rect)]


def is_visible(box: Box, rect: Rect) -> bool:
    """Return whether `box` keeps at least half of each side of the face `rect`."""
    return min(box.width, box.height) >= min(rect[2:]) / 2


def to_box(rect: Rect, tilt_deg: float, image: np.ndarray) -> Box:
    """Return the part of `rect` inside the picture in whole pixels, at least one.

    A tilted face is rotated about its centre, so a tilted box is reduced on all sides, not only where it is cut off.
    """
    (left, top, w, h), (height, width) = rect, image.shape[:2]
    cut_off = min(left, top, width - left - w, height - top - h) < -CUT_OFF * w
    if tilt_deg and cut_off:
        center_x, center_y = left + w / 2, top + h / 2
        side = 2 * min(w / 2, center_x, center_y, width - center_x, height - center_y)
        left, top, w, h = center_x - side / 2, center_y - side / 2, side, side
    x0, y0 = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
    x1, y1 = max(min(round(left + w), width), x0 + 1), max(min(round(top + h), height), y0 + 1)
    return Box(x0, y0, x1 - x0, y1 - y0, bool(cut_off), tilt_deg)
