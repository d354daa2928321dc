"""Which face is where in each frame: found in every k-th one, followed in those between, numbered as `Tracker` does."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle

import cv2
import numpy as np

from stages.apps.boxes import Box, is_whole_enough, shared, within
from stages.apps.detection import Finder
from stages.apps.frames import Frame
from stages.apps.near import TILTS_DEG, Tilted, find_again, find_all, shrunk
from stages.apps.tracking import Tracker, follow, overlaps
from stages.core.errors import refuse


@dataclass(frozen=True)
class Located:
    """A face in a frame."""

    number: int
    box: Box


Locate = Callable[[Frame], list[Located]]
Look = tuple[Finder, float]  # what finds faces, and the tilt of those that it looks for

# A frame is shrunk so that the smallest face that is looked for has this many pixels: Haar's window has 24.
SEARCHED_FACE_PX = 30
KEPT_S = 0.5  # that a face is followed without being found again: turned away, or none
FOLLOWED = 0.5  # of a box comes from where its face was followed to, the rest from where it was found
EVERYWHERE_S = 1.0  # after which newcomers are looked for; in between, faces where they were
FEW = 4  # faces: of more, all places together are as large as the frame
ONE_FACE = 0.5  # of the smaller of two boxes that are one face if they share more
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
    """Called with one frame after the other. `find` looks for faces of `SEARCHED_FACE_PX` and more.

    `find_profiles`: likewise, those that `find` misses. It takes three times as long: it looks where a face was lost,
    everywhere in the first frame of a scene, and then in every third second, in turns upright and leaning.
    """

    def __init__(self, find: Finder, settings: FollowSettings, find_profiles: Finder | None = None) -> None:
        self._find, self._settings, self._find_profiles = find, settings, find_profiles
        self._upright, *leaning = [(find, tilt_deg) for tilt_deg in TILTS_DEG]
        profiles = [(find_profiles, tilt_deg) for tilt_deg in TILTS_DEG] if find_profiles else []
        self._all_looks: list[Look] = [self._upright, *leaning, *profiles]
        self._in_turn = cycle([look for profile in profiles for look in (*leaning, profile)] or leaning)
        self._tracker = Tracker(max_gap_s=KEPT_S)
        self._before: np.ndarray | None = None
        self._faces: list[_Face] = []
        self._until_search = 0  # frames
        self._everywhere_s: float | None = None  # when to look for newcomers again; None in a new scene

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
        located = []
        for number, face in zip(numbers, self._faces, strict=True):
            rect = tuple(face.box * factor)
            box = within(rect, face.tilt_deg, frame.image)
            if is_whole_enough(box, rect):
                located.append(Located(number, box))
        return located

    def _move(self, gray: np.ndarray) -> None:
        """Faces go where their pixels went since the last frame; after a cut there are none."""
        if self._before is None or cv2.absdiff(self._before, gray).mean() > CUT:
            self._tracker.forget()
            self._faces, self._until_search, self._everywhere_s = [], 0, None
        else:
            moved = follow(self._before, gray, _boxes(self._faces))
            for face, box in zip(self._faces, moved, strict=True):
                face.box = box
        self._before = gray

    def _search(self, frame: Frame, small: np.ndarray) -> None:
        """Known faces near where they are; from time to time, and where one is lost or there is none, everywhere."""
        are_few = len(self._faces) <= FEW
        for face in self._faces if are_few else ():
            self._search_near(frame, face)
        for find, tilt_deg in self._looks(frame.time_s):
            self._search_everywhere(frame.time_s, small, tilt_deg, find)
        for face in () if are_few else [face for face in self._faces if face.found_s < frame.time_s]:
            self._search_near(frame, face)
        self._faces = _single([face for face in self._faces if frame.time_s - face.found_s < KEPT_S])

    def _looks(self, time_s: float) -> list[Look]:
        """In which ways to look for faces everywhere."""
        is_new, is_lost = self._everywhere_s is None, any(face.found_s < time_s for face in self._faces)
        if is_new or time_s >= self._everywhere_s:
            self._everywhere_s = time_s + EVERYWHERE_S
            return self._all_looks if is_new else [self._upright, next(self._in_turn)]
        return [self._upright] if is_lost or not self._faces else []

    def _search_near(self, frame: Frame, face: _Face) -> None:
        factor = self._settings.shrunk_by
        known = Tilted(face.box * factor, face.tilt_deg)
        found = find_again(self._find, frame.image, known)
        if found is None and self._find_profiles:
            found = find_again(self._find_profiles, frame.image, known)
        if found:
            face.box = FOLLOWED * face.box + (1 - FOLLOWED) * found.box / factor
            face.tilt_deg, face.found_s = found.tilt_deg, frame.time_s

    def _search_everywhere(self, time_s: float, small: np.ndarray, tilt_deg: float, find: Finder) -> None:
        """Newcomers join; a known face that was not found near where it was may be found here."""
        boxes = find_all(find, small, tilt_deg)
        together = overlaps(boxes, _boxes(self._faces))  # (found, known)
        for box, share in zip(boxes, together, strict=True):
            known = self._faces[share.argmax()] if share.max(initial=0) >= self._tracker.min_iou else None
            if known is None:  # a part of a known face would not outlive `_single`
                self._faces.append(_Face(box, tilt_deg, time_s))
            elif known.found_s < time_s:
                known.box, known.tilt_deg, known.found_s = (known.box + box) / 2, tilt_deg, time_s


def whole_frame(frame: Frame) -> list[Located]:
    """A video that is a face."""
    return [Located(0, Box(0, 0, frame.image.shape[1], frame.image.shape[0]))]


def _boxes(faces: list[_Face]) -> np.ndarray:
    """(N, 4)"""
    return np.array([face.box for face in faces], dtype=float).reshape(-1, 4)


def _single(faces: list[_Face]) -> list[_Face]:
    """Of two that have become one, who was there first."""
    kept: list[_Face] = []
    for face in faces:
        if all(shared(tuple(face.box), tuple(other.box)) < ONE_FACE for other in kept):
            kept.append(face)
    return kept


def _is_inside(box: np.ndarray, gray: np.ndarray) -> bool:
    """Whether its middle is still in the picture."""
    middle = box[:2] + box[2:] / 2
    return bool(((middle >= 0) & (middle < gray.shape[::-1])).all())
