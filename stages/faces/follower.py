"""Locates and numbers the faces of each video frame: detected in every k-th frame, tracked in those between."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from stages.core.errors import refuse
from stages.faces.frames import Frame
from stages.faces.geometry import (
    Rect,
    intersection_over_union,
    is_visible,
    overlap_of_smaller,
    scaled_down,
    tiles,
    to_box,
)
from stages.faces.tracking import Tracker, move_with_flow
from stages.serving.boxes import Box, Finder


@dataclass(frozen=True)
class Located:
    """A numbered face in a frame."""

    number: int
    box: Box


Locate = Callable[[Frame], list[Located]]

# A frame is scaled down so that the smallest face has this many pixels.
SEARCH_FACE_PX = 30
# The detector's network has 192 px: in larger frames, small faces are searched for in one tile after the other.
MIN_TILED_PX, TILE_PX = 400, 320
MARGIN = 1.0  # around a known face that was not found in the whole frame, on each side, as a share of the box
MAX_LOCAL_SEARCHES = 4
MIN_IOU = 0.2  # of the found and the expected box; a lower IoU means another face
MAX_UNSEEN_S = 0.5  # longest time that a face is tracked without being detected again
FLOW_WEIGHT = 0.5  # weight of the tracked box in its mean with the detected box
SAME_FACE = 0.5  # share of the smaller of two boxes from which on they are one face
CUT_GRAY_LEVELS = 30.0  # mean difference between two frames from which on they are different scenes


@dataclass(frozen=True)
class FollowSettings:
    """`detect_every`: frames from one detection to the next; `min_face_px`: the smallest face searched for."""

    detect_every: int = 3
    min_face_px: int = 60

    def __post_init__(self) -> None:
        if self.detect_every < 1:
            refuse("too few", where="--detect-every", allowed="1 or more", received=self.detect_every)

    @property
    def scale_factor(self) -> float:
        """Return by how much a frame is scaled down for detection."""
        return max(1.0, self.min_face_px / SEARCH_FACE_PX)


@dataclass
class _Face:
    """A face in the scaled-down frame, and when it was last detected."""

    box: np.ndarray
    tilt_deg: float
    detected_s: float


class Follower:
    """Locates the faces of consecutive frames. `find` detects faces of at least `SEARCH_FACE_PX`."""

    def __init__(self, find: Finder, settings: FollowSettings) -> None:
        self._find, self._settings = find, settings
        self._tracker = Tracker(max_gap_s=MAX_UNSEEN_S)
        self._before: np.ndarray | None = None
        self._faces: list[_Face] = []
        self._frames_until_detection = self._n_detections = 0

    def __call__(self, frame: Frame) -> list[Located]:
        """Return the faces of the frame with boxes in its pixels. After a cut, all faces are new."""
        factor = self._settings.scale_factor
        small = scaled_down(frame.image, factor)
        gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        self._move(gray)
        if self._frames_until_detection <= 0:
            self._frames_until_detection = self._settings.detect_every
            self._detect(frame.time_s, small)
        self._frames_until_detection -= 1
        centers = _boxes(self._faces)[:, :2] + _boxes(self._faces)[:, 2:] / 2  # (N, 2)
        is_inside = ((centers >= 0) & (centers < gray.shape[::-1])).all(axis=1)
        self._faces = [face for face, inside in zip(self._faces, is_inside, strict=True) if inside]
        located = []
        numbers = self._tracker.update(frame.time_s, _boxes(self._faces))
        for number, face in zip(numbers, self._faces, strict=True):
            rect = tuple(face.box * factor)
            box = to_box(rect, face.tilt_deg, frame.image)
            if is_visible(box, rect):
                located.append(Located(number, box))
        return located

    def _move(self, gray: np.ndarray) -> None:
        """Move the faces with their pixels; after a cut there are none."""
        if self._before is None or cv2.absdiff(self._before, gray).mean() > CUT_GRAY_LEVELS:
            self._tracker.forget()
            self._faces, self._frames_until_detection = [], 0
        else:
            moved = move_with_flow(self._before, gray, _boxes(self._faces))
            for face, box in zip(self._faces, moved, strict=True):
                face.box = box
        self._before = gray

    def _detect(self, time_s: float, image: np.ndarray) -> None:
        """Search the frame and one of its tiles, and near known faces that were not found there."""
        found = self._search(image, (0, 0, *image.shape[1::-1]))
        if max(image.shape) > MIN_TILED_PX:
            choices = tiles(image, TILE_PX)
            left, top, side = choices[self._n_detections % len(choices)]
            found += self._search(image, (left, top, side, side))
        self._n_detections += 1
        self._update(time_s, found)
        lost = [face for face in self._faces if face.detected_s < time_s]
        for face in lost if len(lost) <= MAX_LOCAL_SEARCHES else ():
            (left, top, width, height), margin = face.box, MARGIN * face.box[2]
            region = left - margin, top - margin, width + 2 * margin, height + 2 * margin
            self._update(time_s, self._search(image, region), known_only=True)
        self._faces = _distinct([face for face in self._faces if time_s - face.detected_s < MAX_UNSEEN_S])

    def _search(self, image: np.ndarray, region: Rect) -> list[tuple[np.ndarray, float]]:
        """Return box (4,) and tilt of the faces in a region of (height, width, 3) BGR."""
        left, top, width, height = region
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in (left, top, left + width, top + height))
        part = image[y0:y1, x0:x1]
        boxes = self._find(cv2.cvtColor(part, cv2.COLOR_BGR2RGB)) if part.size else []
        return [(np.array((box.left + x0, box.top + y0, box.width, box.height), float), box.tilt_deg) for box in boxes]

    def _update(self, time_s: float, found: list[tuple[np.ndarray, float]], known_only: bool = False) -> None:
        """Update known faces with those found, and add new ones."""
        for box, tilt_deg in found:
            overlaps = intersection_over_union(box, _boxes(self._faces))[0]  # (known,)
            known = self._faces[overlaps.argmax()] if overlaps.max(initial=0) >= MIN_IOU else None
            if known is None:
                self._faces += (
                    [] if known_only else [_Face(box, tilt_deg, time_s)]
                )  # `_distinct` removes parts of faces
            elif known.detected_s < time_s:
                known.box = FLOW_WEIGHT * known.box + (1 - FLOW_WEIGHT) * box
                known.tilt_deg, known.detected_s = tilt_deg, time_s


def whole_frame(frame: Frame) -> list[Located]:
    """Return the whole frame as one face."""
    return [Located(0, Box(0, 0, frame.image.shape[1], frame.image.shape[0]))]


def _boxes(faces: list[_Face]) -> np.ndarray:
    """Return (N, 4)."""
    return np.array([face.box for face in faces], dtype=float).reshape(-1, 4)


def _distinct(faces: list[_Face]) -> list[_Face]:
    """Return the faces without those that overlap an earlier one."""
    kept: list[_Face] = []
    for face in faces:
        if (overlap_of_smaller(face.box, [other.box for other in kept]) < SAME_FACE).all():
            kept.append(face)
    return kept
