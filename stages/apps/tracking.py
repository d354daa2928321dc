"""Who is who from frame to frame: boxes that overlap are one face, which keeps its number through short gaps.

A box is x, y, width, height in pixels of the frame, x and y of its upper left corner; (N, 4) are N of them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

# Points that are followed inside a box, a side of the grid: of 64, half may be lost and the median still holds.
GRID, LEAST_FOUND = 8, 8
FLOW = {"winSize": (15, 15), "maxLevel": 2}


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union in 0..1 of each of (N, 4) boxes with each of (M, 4) → (N, M); 0 of empty boxes."""
    one, other = np.reshape(one, (-1, 1, 4)).astype(float), np.reshape(other, (1, -1, 4)).astype(float)
    begin = np.maximum(one[..., :2], other[..., :2])  # (N, M, 2), the upper left corner of what they share
    end = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    shared = (end - begin).clip(min=0).prod(-1)  # (N, M)
    together = one[..., 2:].prod(-1) + other[..., 2:].prod(-1) - shared
    return np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)


@dataclass
class _Seen:
    number: int
    box: np.ndarray
    time_s: float


class Tracker:
    """Numbers faces 0, 1, 2, … in the order they appear; no number is given twice.

    Two boxes are of one face from an overlap of `min_iou` on. A face that was not in the last frame, and is unseen for
    more than `max_gap_s`, is forgotten: who comes back later is another one.
    """

    def __init__(self, min_iou: float = 0.3, max_gap_s: float = 0.5) -> None:
        self.min_iou, self.max_gap_s = min_iou, max_gap_s
        self._faces: list[_Seen] = []
        self._next = 0
        self._last_s = 0.0  # of the last frame, however long ago: nobody left between two frames that follow each other

    def update(self, time_s: float, boxes: np.ndarray) -> list[int]:
        """This frame's (N, 4) boxes → the number of each."""
        seen_last, self._last_s = self._last_s, time_s
        self._faces = [
            face for face in self._faces if face.time_s == seen_last or time_s - face.time_s <= self.max_gap_s
        ]
        matches = self._matches(boxes)
        numbers = []
        for index, box in enumerate(boxes):
            face = matches.get(index) or self._newcomer()
            face.box, face.time_s = np.asarray(box, dtype=float), time_s
            numbers.append(face.number)
        return numbers

    @property
    def known(self) -> set[int]:
        """Numbers of the faces that are not forgotten."""
        return {face.number for face in self._faces}

    def forget(self) -> None:
        """Whoever comes from now on is new."""
        self._faces = []

    def _matches(self, boxes: np.ndarray) -> dict[int, _Seen]:
        """{index of a box: the face it is of}, such that the overlaps add up to the most."""
        if not self._faces or not len(boxes):
            return {}
        found = overlaps(boxes, np.array([face.box for face in self._faces]))
        found = np.where(found >= self.min_iou, found, 0)  # too small ones must not outweigh a good one
        pairs = zip(*linear_sum_assignment(found, maximize=True), strict=True)
        return {box: self._faces[face] for box, face in pairs if found[box, face]}

    def _newcomer(self) -> _Seen:
        self._faces.append(_Seen(self._next, np.zeros(4), 0.0))
        self._next += 1
        return self._faces[-1]


def follow(before: np.ndarray, now: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Boxes (N, 4) of the gray frame `before`, (height, width) uint8, moved to where their content is in `now`.

    By the median of the optical flow (Lucas and Kanade 1981) of points inside; a box whose points are lost stays.
    """
    if not len(boxes):
        return np.zeros((0, 4))
    steps = (np.arange(GRID) + 0.5) / GRID
    places = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)  # (P, 2), of the box's sides
    boxes = np.asarray(boxes, dtype=float)
    points = boxes[:, None, :2] + places * boxes[:, None, 2:]  # (N, P, 2)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, now, points.reshape(-1, 1, 2).astype(np.float32), None, **FLOW
    )  # (N · P, 1, 2), (N · P, 1)
    shifts = moved.reshape(points.shape) - points
    result = boxes.copy()
    for box, shift, good in zip(result, shifts, found.reshape(points.shape[:2]).astype(bool), strict=True):
        if good.sum() >= LEAST_FOUND:
            box[:2] += np.median(shift[good], axis=0)
    return result
