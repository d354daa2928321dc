"""What a run says of the faces in each frame, as it comes and steadied, face by face."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from stages.apps.boxes import Box, crop
from stages.apps.following import Locate, Located
from stages.apps.frames import Frame
from stages.apps.running_ahead import Ahead
from stages.apps.serving import Prepared, ServedRun
from stages.apps.smoothing import Exponential, HeldLabel, MovingAverage, Smoother, Unsmoothed
from stages.core.errors import UserError, refuse

SMOOTHINGS: dict[str, Callable[[float], Smoother]] = {
    "moving_average": MovingAverage,
    "exponential": Exponential,
    "none": lambda _: Unsmoothed(),
}
FORGOTTEN_S = 2.0  # after which a face that is gone is no longer kept: longer than `following` waits for it


@dataclass(frozen=True)
class Found:
    """A frame and the features of its faces."""

    frame: Frame
    located: list[Located]
    prepared: list[Prepared]


@dataclass(frozen=True)
class Face:
    """`raw` and `smoothed` (n_classes,) probabilities; `shown` the class that is told, held; `number` from 1 on."""

    number: int
    box: Box
    raw: np.ndarray
    smoothed: np.ndarray
    shown: int


@dataclass(frozen=True)
class Seen:
    """A frame and what is said of its faces: the two never part."""

    frame: Frame
    faces: list[Face]


@dataclass(frozen=True)
class Steadiness:
    """`smooth_s`: the window of the moving average, or the time constant of the exponential one."""

    smoothing: str = "moving_average"
    smooth_s: float = 0.5
    hold_s: float = 0.4

    def __post_init__(self) -> None:
        for option, value in (("--smooth-s", self.smooth_s), ("--hold-s", self.hold_s)):
            if not 0 <= value <= 60:
                refuse("out of range", where=option, allowed="0 to 60 seconds", received=value)


class Steadier:
    """A smoother and a held label for each face, kept while it is there."""

    def __init__(self, settings: Steadiness) -> None:
        self._settings = settings
        self._faces: dict[int, tuple[Smoother, HeldLabel]] = {}
        self._seen_s: dict[int, float] = {}

    def __call__(self, time_s: float, number: int, raw: np.ndarray) -> tuple[np.ndarray, int]:
        """(n_classes,) of one face in the frame of this time → (n_classes,) smoothed, and the class to show."""
        smoother, held = self._faces.setdefault(number, self._new())
        self._seen_s[number] = time_s
        smoothed = smoother.update(time_s, raw)
        return smoothed, held.update(time_s, int(smoothed.argmax()))

    def forget(self, time_s: float) -> None:
        """Those that are gone."""
        for number in [number for number, seen_s in self._seen_s.items() if time_s - seen_s > FORGOTTEN_S]:
            del self._faces[number], self._seen_s[number]

    def _new(self) -> tuple[Smoother, HeldLabel]:
        settings = self._settings
        return SMOOTHINGS[settings.smoothing](settings.smooth_s), HeldLabel(settings.hold_s)


def find_faces(run: ServedRun, locate: Locate, frames: Ahead[Frame]) -> Iterator[Found]:
    """Where the faces of each frame are, and the run's feature of each."""
    for frame in frames:
        located = locate(frame)
        # a network that was trained on colours takes them in the order that pictures have
        pixels = (cv2.cvtColor(crop(frame.image, one.box), cv2.COLOR_BGR2RGB) for one in located)
        yield Found(frame, located, [run.prepare(face) for face in pixels])


def classify(run: ServedRun, steadier: Steadier, found: Ahead[Found], at_once: int) -> Iterator[Seen]:
    """Faces of `at_once` frames are asked together; 1 waits for no other frame."""
    while batch := found.take(at_once, all_of_them=True):
        answers = run.probabilities([prepared for one in batch for prepared in one.prepared])
        if not np.isfinite(answers).all():
            raise UserError(f"{run.info['run']}: its numbers overflow on these faces: weights that cannot be used")
        raw = iter(answers)
        for one in batch:
            steadier.forget(one.frame.time_s)
            yield Seen(one.frame, list(_faces(one, raw, steadier)))


def _faces(found: Found, raw: Iterator[np.ndarray], steadier: Steadier) -> Iterator[Face]:
    for one in found.located:
        probabilities = next(raw)
        smoothed, shown = steadier(found.frame.time_s, one.number, probabilities)
        yield Face(one.number + 1, one.box, probabilities, smoothed, shown)
