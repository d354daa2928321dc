"""Locates and numbers the faces of each video frame: detected in every k-th frame, tracked in those between."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle

import cv2
import numpy as np

from stages.core.errors import refuse
from stages.faces.frames import Frame
from stages.faces.geometry import intersection_over_union, is_visible, overlap_of_smaller, rotated, scaled_down, to_box
from stages.faces.tracking import Tracker, move_with_flow
from stages.serving.boxes import Box, Finder


@dataclass(frozen=True)
class Located:
    """A numbered face in a frame."""

    number: int
    box: Box


Locate = Callable[[Frame], list[Located]]
Search = tuple[Finder, float]  # a finder and the tilt of the faces it searches for

# A frame is scaled down so that the smallest face has this many pixels; the window of Haar's cascades has 24.
SEARCH_FACE_PX = 30
TILTS_DEG = (0.0, 30.0, -30.0)  # clockwise; Haar finds faces some 15 degrees from upright
# Near a known face: searched margin on each side, as a share of the box; size to which the face is scaled down.
MARGIN, FACE_PX = 0.4, 60
MIN_IOU = 0.2  # of the found and the expected box; a lower IoU means another face
MAX_UNSEEN_S = 0.5  # longest time that a face is tracked without being detected again
FLOW_WEIGHT = 0.5  # weight of the tracked box in its mean with the detected box
FULL_SEARCH_EVERY_S = 1.0  # interval of searches for new faces; in between, only known places are searched
MAX_LOCAL_SEARCHES = 4  # for more faces, one search of the whole frame is faster
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
    """Locates the faces of consecutive frames.

    `find` detects faces of at least `SEARCH_FACE_PX`. `find_profiles` detects half profiles, which takes three times as
    long: it is used where a face was lost, in the first frame of a scene, and then in every third full search.
    """

    def __init__(self, find: Finder, settings: FollowSettings, find_profiles: Finder | None = None) -> None:
        self._find, self._settings, self._find_profiles = find, settings, find_profiles
        self._upright, *tilted = [(find, tilt_deg) for tilt_deg in TILTS_DEG]
        profiles = [(find_profiles, tilt_deg) for tilt_deg in TILTS_DEG] if find_profiles else []
        self._all_searches: list[Search] = [self._upright, *tilted, *profiles]
        self._next_search = cycle([search for profile in profiles for search in (*tilted, profile)] or tilted)
        self._tracker = Tracker(max_gap_s=MAX_UNSEEN_S)
        self._before: np.ndarray | None = None
        self._faces: list[_Face] = []
        self._frames_until_detection = 0
        self._full_search_s: float | None = None  # time of the next full search; None in a new scene

    def __call__(self, frame: Frame) -> list[Located]:
        """Return the faces of the frame with boxes in its pixels. After a cut, all faces are new."""
        factor = self._settings.scale_factor
        small = scaled_down(frame.image, factor)
        gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        self._move(gray)
        if self._frames_until_detection <= 0:
            self._frames_until_detection = self._settings.detect_every
            self._detect(frame, small)
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
            self._faces, self._frames_until_detection, self._full_search_s = [], 0, None
        else:
            moved = move_with_flow(self._before, gray, _boxes(self._faces))
            for face, box in zip(self._faces, moved, strict=True):
                face.box = box
        self._before = gray

    def _detect(self, frame: Frame, small: np.ndarray) -> None:
        """Detect known faces near their boxes; the whole frame is searched from time to time and for lost faces."""
        search_locally_first = len(self._faces) <= MAX_LOCAL_SEARCHES
        for face in self._faces if search_locally_first else ():
            self._search_near(frame, face)
        for find, tilt_deg in self._searches(frame.time_s):
            self._search_frame(frame.time_s, small, tilt_deg, find)
        lost = [face for face in self._faces if face.detected_s < frame.time_s]
        for face in () if search_locally_first else lost:
            self._search_near(frame, face)
        self._faces = _distinct([face for face in self._faces if frame.time_s - face.detected_s < MAX_UNSEEN_S])

    def _searches(self, time_s: float) -> list[Search]:
        """Return the searches of the whole frame that are due."""
        is_new_scene, is_lost = self._full_search_s is None, any(face.detected_s < time_s for face in self._faces)
        if is_new_scene or time_s >= self._full_search_s:
            self._full_search_s = time_s + FULL_SEARCH_EVERY_S
            return self._all_searches if is_new_scene else [self._upright, next(self._next_search)]
        return [self._upright] if is_lost or not self._faces else []

    def _search_near(self, frame: Frame, face: _Face) -> None:
        factor = self._settings.scale_factor
        for find in filter(None, (self._find, self._find_profiles)):
            if found := find_again(find, frame.image, face.box * factor, face.tilt_deg):
                face.box = FLOW_WEIGHT * face.box + (1 - FLOW_WEIGHT) * found[0] / factor
                face.tilt_deg, face.detected_s = found[1], frame.time_s
                return

    def _search_frame(self, time_s: float, small: np.ndarray, tilt_deg: float, find: Finder) -> None:
        """Add new faces; update known ones that were not detected near their boxes."""
        boxes = find_all(find, small, tilt_deg)
        iou = intersection_over_union(boxes, _boxes(self._faces))  # (detected, known)
        for box, overlaps in zip(boxes, iou, strict=True):
            known = self._faces[overlaps.argmax()] if overlaps.max(initial=0) >= self._tracker.min_iou else None
            if known is None:  # `_distinct` removes it if it is part of a known face
                self._faces.append(_Face(box, tilt_deg, time_s))
            elif known.detected_s < time_s:
                known.box, known.tilt_deg, known.detected_s = (known.box + box) / 2, tilt_deg, time_s


def find_all(find: Finder, image: np.ndarray, tilt_deg: float) -> np.ndarray:
    """Return boxes (N, 4) of the faces of (height, width, 3) BGR with this tilt."""
    upright, back = rotated(image, tilt_deg)
    boxes = find(cv2.cvtColor(upright, cv2.COLOR_BGR2RGB))
    found = np.array([(box.left, box.top, box.width, box.height) for box in boxes], dtype=float).reshape(-1, 4)
    half = found[:, 2:] / 2  # centres are rotated back, sides stay
    return np.concatenate([(found[:, :2] + half) @ back[:, :2].T + back[:, 2] - half, found[:, 2:]], axis=1)


def find_again(find: Finder, image: np.ndarray, box: np.ndarray, tilt_deg: float) -> tuple[np.ndarray, float] | None:
    """Return box and tilt of a face found near its last box (4,), trying its last tilt first, or None.

    A box is that of the upright face. This is faster than a search of the whole frame.
    """
    x0, y0 = (box[:2] - MARGIN * box[2:]).clip(min=0).astype(int)
    x1, y1 = (box[:2] + (1 + MARGIN) * box[2:]).clip(min=0).astype(int)
    if not image[y0:y1, x0:x1].size:  # outside the picture
        return None
    factor = max(1.0, box[2] / FACE_PX)
    region = scaled_down(image[y0:y1, x0:x1], factor)
    for searched_deg in sorted(TILTS_DEG, key=lambda other: other != tilt_deg):
        boxes = find_all(find, region, searched_deg) * factor + (x0, y0, 0, 0)
        iou = intersection_over_union(boxes, box)[:, 0]
        if iou.max(initial=0) >= MIN_IOU:
            return boxes[iou.argmax()], searched_deg
    return None


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
