"""Faces found by Haar cascades (Viola & Jones 2001, CVPR), which OpenCV carries: frontal, leaning, half profiles."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from stages.apps.boxes import Box, Rect, inside, shared, shrunk, turned
from stages.core.errors import refuse
from stages.corpora.decoding.images import MAX_SIDE_PX

View = Literal["frontal", "half profile"]
CASCADES = {"frontal": "haarcascade_frontalface_default.xml", "half profile": "haarcascade_profileface.xml"}
BORDER = 0.12  # of the shorter side, by which a picture is continued so that faces cut off at its edge are found
TURNS_DEG = (0.0, -30.0, 30.0)  # of the picture: no cascade knows a face that leans by more than some 15
STRICTER = 3  # neighbours more than in the first look: each further one would find more that is no face
PROFILE_SCALE = 1.2  # from one size to the next at least: the cascade takes three times as long as the frontal one,
PROFILE_SHARE = 0.5  # and finds half as many neighbours so
TURNED_PX = 960  # as large is the picture then: a quarter of the time, and the least face that Haar knows has 24 px
MOST_NEIGHBORS = 1_000  # OpenCV takes no number of its own accord
SAME_FACE = 0.3  # of the smaller of two boxes: those that share more are one face, the one of the earlier look


@dataclass(frozen=True)
class FinderSettings:
    """`min_neighbors`: how many of Haar's hits make a face; `scale_factor`: from one size it looks at to the next."""

    min_neighbors: int = 7
    scale_factor: float = 1.1
    min_face_px: int = 40

    def __post_init__(self) -> None:
        if not 0 <= self.min_neighbors <= MOST_NEIGHBORS:
            allowed = f"0 to {MOST_NEIGHBORS}"
            refuse("out of range", where="--min-neighbors", allowed=allowed, received=self.min_neighbors)
        if not 1.01 <= self.scale_factor <= 4:
            refuse("out of range", where="--scale-factor", allowed="1.01 to 4", received=self.scale_factor)
        if not 8 <= self.min_face_px <= MAX_SIDE_PX:
            refuse("out of range", where="--min-face-px", allowed=f"8 to {MAX_SIDE_PX}", received=self.min_face_px)


class HaarFinder:
    """Looks for faces of each view in the picture turned by each of `turns_deg`: all frontal ones first."""

    def __init__(
        self,
        settings: FinderSettings,
        border: float = BORDER,
        views: tuple[View, ...] = ("frontal", "half profile"),
        turns_deg: tuple[float, ...] = TURNS_DEG,
    ) -> None:
        self._settings, self._border, self._turns_deg = settings, border, turns_deg
        self._cascades = {view: cv2.CascadeClassifier(cv2.data.haarcascades + CASCADES[view]) for view in views}

    def __call__(self, image: np.ndarray) -> list[Box]:
        """(height, width[, 3]) uint8 → boxes from left to right."""
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small, factor = shrunk(gray)
        edge = round(self._border * min(small.shape))
        small = cv2.equalizeHist(cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_REPLICATE))
        least_px = self._settings.min_face_px / factor
        found: list[tuple[Rect, float]] = []
        for view in self._cascades:
            for degrees in self._turns_deg:
                boxes = self._turned(small, view, degrees, least_px)
                new = boxes if _is_first(view, degrees) else _others(boxes, [box for box, _ in found])
                found += [(box, degrees) for box in new]
        return inside([(_enlarged(box, edge, factor), tilt_deg) for box, tilt_deg in found], image)

    def _turned(self, gray: np.ndarray, view: View, degrees: float, least_px: float) -> list[Rect]:
        """Round faces of heads that lean by `degrees`, as if they were upright, in pixels of `gray`."""
        is_first = _is_first(view, degrees)
        small, factor = (gray, 1.0) if is_first else shrunk(gray, TURNED_PX)
        seen, back = turned(small, degrees)
        look = self._frontal if view == "frontal" else self._half_profiles
        rects = []
        for x, y, w, h in look(seen, max(round(least_px / factor), 1), 0 if is_first else STRICTER):
            center_x, center_y = back @ (x + w / 2, y + h / 2, 1.0)
            rects.append(tuple(factor * side for side in (center_x - w / 2, center_y - h / 2, w, h)))
        return rects

    def _frontal(self, gray: np.ndarray, least_px: int, stricter: int) -> list[Rect]:
        neighbors = self._settings.min_neighbors + stricter
        look = self._cascades["frontal"].detectMultiScale
        return [tuple(box) for box in look(gray, self._settings.scale_factor, neighbors, minSize=(least_px, least_px))]

    def _half_profiles(self, gray: np.ndarray, least_px: int, stricter: int) -> list[Rect]:
        """The cascade knows those that look to the left of the picture."""
        neighbors = round(PROFILE_SHARE * (self._settings.min_neighbors + stricter))
        scale = max(PROFILE_SCALE, self._settings.scale_factor)
        look, least = self._cascades["half profile"].detectMultiScale, (least_px, least_px)
        left = [tuple(box) for box in look(gray, scale, neighbors, minSize=least)]
        right = look(gray[:, ::-1].copy(), scale, neighbors, minSize=least)
        return left + _others([(gray.shape[1] - x - w, y, w, h) for x, y, w, h in right], left)


def _is_first(view: View, degrees: float) -> bool:
    """Whether this is the look that is told of whatever it finds."""
    return view == "frontal" and not degrees


def _others(boxes: list[Rect], known: list[Rect]) -> list[Rect]:
    others: list[Rect] = []
    for box in boxes:
        if all(shared(box, other) < SAME_FACE for other in [*known, *others]):
            others.append(box)
    return others


def _enlarged(box: Rect, edge: int, factor: float) -> Rect:
    """From the shrunk picture with its border to the whole one."""
    x, y, w, h = box
    return (x - edge) * factor, (y - edge) * factor, w * factor, h * factor
