"""Predictions for the faces of each frame, raw and smoothed over time to avoid flicker, face by face.

Times are seconds, so that any frame rate works; none is before that of the last frame.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stages.core.errors import UserError, refuse
from stages.faces.follower import Locate, Located
from stages.faces.frames import Frame
from stages.live.prefetch import Prefetch
from stages.serving.boxes import Box, crop
from stages.serving.served_run import Prepared, ServedRun

FORGET_AFTER_S = 2.0  # a face is forgotten after this time; the follower keeps it for less


# A frame, its faces, and the features of each face.
PreparedFrame = tuple[Frame, list[Located], list[Prepared]]


@dataclass(frozen=True)
class LabeledFace:
    """`raw` and `smoothed` (n_classes,) probabilities; `shown` the class on display; `number` from 1 on.

    `unlike`: whether the face is beyond the training data's threshold.
    """

    number: int
    box: Box
    raw: np.ndarray
    smoothed: np.ndarray
    shown: int
    unlike: bool = False


@dataclass(frozen=True)
class LabeledFrame:
    """A frame and the predictions for its faces."""

    frame: Frame
    faces: list[LabeledFace]


class MovingAverage:
    """Simple moving average over the frames of the last `window_s` seconds, at least the present one."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._recent: deque[tuple[float, np.ndarray]] = deque()

    def update(self, time_s: float, probabilities: np.ndarray) -> np.ndarray:
        self._recent.append((time_s, probabilities))
        while self._recent[0][0] <= time_s - self.window_s and len(self._recent) > 1:
            self._recent.popleft()
        return np.mean([earlier for _, earlier in self._recent], axis=0)


class Exponential:
    """Exponential moving average: a frame `time_constant_s` ago has weight 1/e, at any frame rate."""

    def __init__(self, time_constant_s: float) -> None:
        self.time_constant_s = time_constant_s
        self._average: np.ndarray | None = None
        self._time_s = 0.0

    def update(self, time_s: float, probabilities: np.ndarray) -> np.ndarray:
        if self._average is None or not self.time_constant_s:
            self._average = np.asarray(probabilities, dtype=float)
        else:
            kept = math.exp((self._time_s - time_s) / self.time_constant_s)
            self._average = kept * self._average + (1 - kept) * probabilities
        self._time_s = time_s
        return self._average


class Hysteresis:
    """The displayed class: it changes once another class has led for `hold_s` seconds without interruption."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self._shown: int | None = None
        self._rival, self._since_s = -1, 0.0

    def update(self, time_s: float, leading: int) -> int:
        """Return the class to display when class `leading` leads. The first class is displayed at once."""
        if self._shown is None or leading == self._shown:
            self._shown = self._rival = leading
        elif leading != self._rival:
            self._rival, self._since_s = leading, time_s
        if self._rival != self._shown and time_s - self._since_s >= self.hold_s:
            self._shown = self._rival
        return self._shown


SMOOTHINGS = {"moving_average": MovingAverage, "exponential": Exponential, "none": lambda _: MovingAverage(0.0)}


class FaceSmoother:
    """Smoothing and hysteresis for each face, kept while the face is visible.

    `smooth_s`: window of the moving average or time constant of the exponential one; `hold_s`: hysteresis.
    """

    def __init__(self, smoothing: str = "moving_average", smooth_s: float = 0.5, hold_s: float = 0.4) -> None:
        for option, value in (("--smooth-s", smooth_s), ("--hold-s", hold_s)):
            if not 0 <= value <= 60:
                refuse("out of range", where=option, allowed="0 to 60 seconds", received=value)
        self._smoothing, self._smooth_s, self._hold_s = smoothing, smooth_s, hold_s
        self._faces: dict[int, tuple[MovingAverage | Exponential, Hysteresis]] = {}
        self._last_s: dict[int, float] = {}

    def __call__(self, time_s: float, number: int, raw: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the smoothed probabilities (n_classes,) of a face, and the class to show."""
        if number not in self._faces:
            self._faces[number] = SMOOTHINGS[self._smoothing](self._smooth_s), Hysteresis(self._hold_s)
        smoother, hysteresis = self._faces[number]
        self._last_s[number] = time_s
        smoothed = smoother.update(time_s, raw)
        return smoothed, hysteresis.update(time_s, int(smoothed.argmax()))

    def forget(self, time_s: float) -> None:
        """Forget the faces that have been absent for `FORGET_AFTER_S`."""
        for number in [number for number, last_s in self._last_s.items() if time_s - last_s > FORGET_AFTER_S]:
            del self._faces[number], self._last_s[number]


def prepare_faces(run: ServedRun, locate: Locate, frames: Prefetch[Frame]) -> Iterator[PreparedFrame]:
    """Yield each frame with the run's feature of each of its faces."""
    for frame in frames:
        located = locate(frame)
        # OpenCV has BGR, the network was trained on RGB
        pixels = (cv2.cvtColor(crop(frame.image, face.box), cv2.COLOR_BGR2RGB) for face in located)
        yield frame, located, [run.prepare(face) for face in pixels]


def classify(
    run: ServedRun, smoother: FaceSmoother, frames: Prefetch[PreparedFrame], batch_frames: int
) -> Iterator[LabeledFrame]:
    """Yield each frame with its predictions; the faces of `batch_frames` frames form a batch (1: no frame waits)."""
    while batch := frames.take(batch_frames):
        probabilities = run.probabilities([face for _, _, prepared in batch for face in prepared])
        if not np.isfinite(probabilities).all():
            raise UserError(f"{run.info['run']}: the network overflows on these faces: unusable weights")
        rows = iter(probabilities)
        for frame, located, prepared in batch:
            smoother.forget(frame.time_s)
            faces = []
            for face, feature in zip(located, prepared, strict=True):
                raw = next(rows)
                smoothed, shown = smoother(frame.time_s, face.number, raw)
                unlike = run.is_unlike_training(feature)
                faces.append(LabeledFace(face.number + 1, face.box, raw, smoothed, shown, unlike))
            yield LabeledFrame(frame, faces)
