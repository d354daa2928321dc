"""Face tracking by IoU and optical flow: a face keeps its number from frame to frame and through short gaps.

A box is x, y, width, height in pixels of the frame, (x, y) its upper left corner; (N, 4) are N boxes.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

from stages.faces.geometry import intersection_over_union

# Tracked points per side of the grid in a box: of 64, half may be lost and the median is still reliable.
GRID, MIN_POINTS = 8, 8
FLOW = {"winSize": (15, 15), "maxLevel": 2}


@dataclass
class _Track:
    number: int
    box: np.ndarray
    time_s: float


class Tracker:
    """Numbers faces 0, 1, 2, … in the order of their first frame; no number is used twice.

    Boxes with an IoU of at least `min_iou` are one face. A face that was not in the last frame and is unseen for more
    than `max_gap_s` is forgotten; if it returns, it gets a new number.
    """

    def __init__(self, min_iou: float = 0.3, max_gap_s: float = 0.5) -> None:
        self.min_iou, self.max_gap_s = min_iou, max_gap_s
        self._tracks: list[_Track] = []
        self._next = 0
        self._last_s = 0.0  # time of the last frame: a face in it is kept however long ago it was

    def update(self, time_s: float, boxes: np.ndarray) -> list[int]:
        """Return the number of each of the (N, 4) boxes of the frame at `time_s`."""
        last_s, self._last_s = self._last_s, time_s
        self._tracks = [
            track for track in self._tracks if track.time_s == last_s or time_s - track.time_s <= self.max_gap_s
        ]
        matches = self._matches(boxes)
        numbers = []
        for index, box in enumerate(boxes):
            if (track := matches.get(index)) is None:
                track = _Track(self._next, box, time_s)
                self._tracks.append(track)
                self._next += 1
            track.box, track.time_s = np.asarray(box, dtype=float), time_s
            numbers.append(track.number)
        return numbers

    def forget(self) -> None:
        """Give every face a new number from now on."""
        self._tracks = []

    def _matches(self, boxes: np.ndarray) -> dict[int, _Track]:
        """Return {index of a box: its track}, with the largest sum of IoUs."""
        if not self._tracks or not len(boxes):
            return {}
        iou = intersection_over_union(boxes, np.array([track.box for track in self._tracks]))
        iou = np.where(iou >= self.min_iou, iou, 0)  # small ones must not outweigh a good one
        pairs = zip(*linear_sum_assignment(iou, maximize=True), strict=True)
        return {box: self._tracks[track] for box, track in pairs if iou[box, track]}


def move_with_flow(before: np.ndarray, now: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the boxes (N, 4) of the gray frame `before`, (height, width) uint8, moved with their content to `now`.

    A box moves by the median optical flow (Lucas and Kanade 1981) of its points; one whose points are lost stays.
    """
    if not len(boxes):
        return np.zeros((0, 4))
    steps = (np.arange(GRID) + 0.5) / GRID
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)  # (P, 2), in sides of the box
    boxes = np.asarray(boxes, dtype=float)
    points = boxes[:, None, :2] + grid * boxes[:, None, 2:]  # (N, P, 2)
    flat = points.reshape(-1, 1, 2).astype(np.float32)
    moved, tracked, _ = cv2.calcOpticalFlowPyrLK(before, now, flat, None, **FLOW)  # (N · P, 1, 2), (N · P, 1)
    shifts = moved.reshape(points.shape) - points
    result = boxes.copy()
    for box, shift, is_tracked in zip(result, shifts, tracked.reshape(points.shape[:2]).astype(bool), strict=True):
        if is_tracked.sum() >= MIN_POINTS:
            box[:2] += np.median(shift[is_tracked], axis=0)
    return result
