"""Which face is where in each frame: found in every k-th one, followed in those between, numbered as `Tracker` does."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from stages.apps.detection import Box, Finder, within
from stages.apps.frames import Frame
from stages.apps.near import TILTS_DEG, Tilted, find_again, find_all, shrunk
from stages.apps.tracking import Tracker, follow, overlaps
from stages.core.checks import refuse


@dataclass(frozen=True)
class Located:
    """A face in a frame."""

    number: int
    box: Box


Locate = Callable[[Frame], list[Located]]

# A frame is shrunk so that the smallest face that is looked for has this many pixels: Haar's window has 24.
SEARCHED_FACE_PX = 30
KEPT_S = 0.5  # that a face is followed without being found again: turned away, or none
FOLLOWED = 0.5  # of a box comes from where its face was followed to, the rest from where it was found
EVERYWHERE_S = 1.0  # after which newcomers are looked for, also such as lean; in between, faces where they were
FEW = 4  # faces: of more, all places together are as large as the frame
CUT = 30.0  # mean difference of gray levels between two frames from which on they are different scenes


@dataclass(frozen=True)
class FollowSettings:
    """`detect_every`: 1 looks for faces in every frame; `min_face_px`: the smallest looked for."""

    detect_every: int = 3
    min_face_px: int = 60

    def __post_init__(self) -> None:
        if self.detect_every < 1:
            refuse("too few", where="--detect-every", allowed="1 or more", received=self.detect_every)

    @property
    def shrunk_by(self) -> float:
        """How much larger a frame is than what is searched."""
        return max(1.0, self.min_face_px / SEARCHED_FACE_PX)


@dataclass
class _Face:
    """Its box in the shrunk frame, and when it was found last."""

    box: np.ndarray
    tilt_deg: float
    found_s: float


class Follower:
    """Called with one frame after the other. `find` looks for faces of `SEARCHED_FACE_PX` and more."""

    def __init__(self, find: Finder, settings: FollowSettings) -> None:
        self._find, self._settings = find, settings
        self._tracker = Tracker(max_gap_s=KEPT_S)
        self._before: np.ndarray | None = None
        self._faces: list[_Face] = []
        self._until_search = 0  # frames
        self._everywhere_s = 0.0  # when to search everywhere again

    def __call__(self, frame: Frame) -> list[Located]:
        """Faces in the frame, boxes in its pixels. After a cut, all are new."""
        factor = self._settings.shrunk_by
        small = shrunk(frame.image, factor)
        gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
        self._move(gray)
        if self._until_search <= 0:
            self._until_search = self._settings.detect_every
            self._search(frame, small)
        self._until_search -= 1
        self._faces = [face for face in self._faces if _is_inside(face.box, gray)]
        numbers = self._tracker.update(frame.time_s, _boxes(self._faces))
        return [
            Located(number, within(tuple(face.box * factor), face.tilt_deg, frame.image))
            for number, face in zip(numbers, self._faces, strict=True)
        ]

    def _move(self, gray: np.ndarray) -> None:
        """Faces go where their pixels went since the last frame; after a cut there are none."""
        if self._before is None or cv2.absdiff(self._before, gray).mean() > CUT:
            self._tracker.forget()
            self._faces, self._until_search, self._everywhere_s = [], 0, 0.0
        else:
            moved = follow(self._before, gray, _boxes(self._faces))
            for face, box in zip(self._faces, moved, strict=True):
                face.box = box
        self._before = gray

    def _search(self, frame: Frame, small: np.ndarray) -> None:
        """Known faces near where they are; from time to time, and where one is lost or there is none, everywhere."""
        for face in self._faces if len(self._faces) <= FEW else ():
            self._search_near(frame, face)
        is_lost = any(face.found_s < frame.time_s for face in self._faces)
        is_due = frame.time_s >= self._everywhere_s
        if is_lost or is_due or not self._faces:
            for tilt_deg in TILTS_DEG if is_due else (0.0,):
                self._search_everywhere(frame.time_s, small, tilt_deg)
        if is_due:
            self._everywhere_s = frame.time_s + EVERYWHERE_S
        self._faces = [face for face in self._faces if frame.time_s - face.found_s < KEPT_S]

    def _search_near(self, frame: Frame, face: _Face) -> None:
        factor = self._settings.shrunk_by
        found = find_again(self._find, frame.image, Tilted(face.box * factor, face.tilt_deg))
        if found:
            face.box = FOLLOWED * face.box + (1 - FOLLOWED) * found.box / factor
            face.tilt_deg, face.found_s = found.tilt_deg, frame.time_s

    def _search_everywhere(self, time_s: float, small: np.ndarray, tilt_deg: float) -> None:
        """Newcomers join; a known face that was not found near where it was may be found here."""
        boxes = find_all(self._find, small, tilt_deg)
        shared = overlaps(boxes, _boxes(self._faces))  # (found, known)
        for box, share in zip(boxes, shared, strict=True):
            known = self._faces[share.argmax()] if share.max(initial=0) >= self._tracker.min_iou else None
            if known is None:
                self._faces.append(_Face(box, tilt_deg, time_s))
            elif known.found_s < time_s:
                known.box, known.tilt_deg, known.found_s = (known.box + box) / 2, tilt_deg, time_s


def whole_frame(frame: Frame) -> list[Located]:
    """A video that is a face."""
    return [Located(0, Box(0, 0, frame.image.shape[1], frame.image.shape[0]))]


def _boxes(faces: list[_Face]) -> np.ndarray:
    """(N, 4)"""
    return np.array([face.box for face in faces], dtype=float).reshape(-1, 4)


def _is_inside(box: np.ndarray, gray: np.ndarray) -> bool:
    """Whether its middle is still in the picture."""
    middle = box[:2] + box[2:] / 2
    return bool(((middle >= 0) & (middle < gray.shape[::-1])).all())
