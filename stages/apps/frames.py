"""Frames with times of their own, of a video file or a camera: what is drawn or written later goes by these alone.

OpenCV reads both. A file is taken from this disk and nowhere else, whatever a playlist inside it asks for.
"""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from stages.apps.outputs import require_utf8
from stages.core.errors import UserError, refuse
from stages.corpora.decoding.images import MAX_SIDE_PX

os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # of a damaged clip FFmpeg would print a line for each packet
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # and OpenCV three for a camera that is not there

RATES_HZ = 0.1, 240.0  # that are believed; a file or camera may tell anything
USUAL_HZ = 30.0  # where none is told
LONGEST_GAP_S = 600.0  # between two frames: a screen that stood still may have it, beyond it a time stamp is damaged
LONGEST_BACK_S = 1.0  # that a stamp may lie behind the last one's; beyond it, the stamps begin anew
MOST_CAMERAS = 100  # to OpenCV, number 200 is the first one of its second backend
LOST = 0.02, 2  # share of a clip's frames, and frames, that may be missing: their number is often an estimate


@dataclass(frozen=True)
class Frame:
    """`time_s` since the first frame, never less than the last one's; `image` (height, width, 3) uint8, BGR."""

    time_s: float
    image: np.ndarray


class Source(Protocol):
    """Where frames come from. `live`: they come whether or not one is ready; `count`: 0 where it is not known.

    `frame_bytes`: of one frame in memory.
    """

    name: str
    live: bool
    rate_hz: float
    count: int
    frame_bytes: int

    def frames(self) -> Iterator[Frame]:
        """Until it ends, all of one size. Raises `UserError` where it breaks off."""


class Clock:
    """A file's time stamps, from 0 on. One that is missing (0) follows the last at the usual rate; none goes back.

    Those that begin anew, as of two recordings in one file, go on from the last one.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._first_s: float | None = None
        self.time_s = 0.0

    def tick(self, stamp_s: float) -> float:
        """The next frame's time. Raises `UserError` for a gap beyond `LONGEST_GAP_S`."""
        if self._first_s is None:
            self._first_s = stamp_s if math.isfinite(stamp_s) else 0.0
            return self.time_s
        told, expected_s = math.isfinite(stamp_s) and stamp_s != 0, self.time_s + 1 / self._rate_hz
        if told and stamp_s - self._first_s < self.time_s - LONGEST_BACK_S:
            self._first_s = stamp_s - expected_s
        time_s = max(self.time_s, stamp_s - self._first_s) if told else expected_s
        if time_s - self.time_s > LONGEST_GAP_S:
            raise UserError(f"damaged: after {self.time_s:.1f} s its time stamps jump to {time_s:.1f} s")
        self.time_s = time_s
        return time_s


class Video:
    """A file. Its frames keep the times it gives them, at whatever rate they come."""

    live = False

    def __init__(self, path: Path) -> None:
        self.name = path.name
        if not path.is_file():
            refuse("no such file", where="--video", allowed="a video file", received=str(path))
        require_utf8(path, "--video")
        self._capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise UserError(f"--video: {path}: not a video that can be read, or cut off before its index")
        self.frame_bytes = require_size(self._capture, f"--video: {path}")
        self.rate_hz = believed_rate_hz(self._capture)
        self.count = max(0, round(min(self._capture.get(cv2.CAP_PROP_FRAME_COUNT), 1e9)))

    def frames(self) -> Iterator[Frame]:
        """Raises `UserError` at the end of a clip that is cut off."""
        clock, found = Clock(self.rate_hz), 0
        try:
            for image in images(self._capture):
                yield Frame(clock.tick(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000), image)
                found += 1
            self._require_whole(found, clock.time_s)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from None
        finally:
            self._capture.release()

    def _require_whole(self, found: int, last_s: float) -> None:
        """Both frames and seconds must be missing: a clip of variable rate may have fewer frames than told."""
        if not found:
            raise UserError("holds no frame that can be read")
        duration_s = self.count / self.rate_hz
        lost = self.count - found > max(LOST[0] * self.count, LOST[1])
        if lost and last_s + (LOST[1] + 1) / self.rate_hz < (1 - LOST[0]) * duration_s:
            raise UserError(f"cut off or damaged: ends after {last_s:.1f} of {duration_s:.1f} s ({found:,} frames)")


class Camera:
    """By its number. Times are when its frames arrived."""

    live = True
    count = 0

    def __init__(self, index: int) -> None:
        self.name = f"camera {index}"
        self._capture = cv2.VideoCapture(index) if 0 <= index < MOST_CAMERAS else None
        if self._capture is None or not self._capture.isOpened():
            refuse("no such camera", where="--camera", allowed="0, 1, … of one that is plugged in", received=index)
        self.frame_bytes = require_size(self._capture, f"--camera {index}")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest, not what waited in the driver
        self.rate_hz = believed_rate_hz(self._capture)

    def frames(self) -> Iterator[Frame]:
        """Raises `UserError` once it gives no more."""
        first_s = now_s = None
        try:
            for image in images(self._capture):
                now_s = time.monotonic()
                first_s = now_s if first_s is None else first_s
                yield Frame(now_s - first_s, image)
        finally:
            self._capture.release()
        after = "any frame" if now_s is None else f"more after {now_s - first_s:.1f} s"
        raise UserError(f"{self.name}: did not give {after}: unplugged, or taken by another program?")


def images(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """(height, width, 3) each, as large as the first: a stream may change its size on the way."""
    size: tuple[int, int] | None = None
    while True:
        good, image = capture.read()
        if not good or image is None:
            return
        size = size or image.shape[1::-1]
        yield image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def require_size(capture: cv2.VideoCapture, where: str) -> int:
    """How many bytes a frame has, before one is decoded. Raises `UserError` for one too large."""
    width, height = (capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if max(width, height) > MAX_SIDE_PX:
        allowed, received = f"at most {MAX_SIDE_PX} px on a side", f"{width:.0f}x{height:.0f} px"
        refuse("frames too large", where=where, allowed=allowed, received=received)
    return int(3 * width * height)


def believed_rate_hz(capture: cv2.VideoCapture) -> float:
    """As it is told, to a thousandth, which is how a video is written; `USUAL_HZ` for what cannot be."""
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    return round(rate_hz, 3) if RATES_HZ[0] <= rate_hz <= RATES_HZ[1] else USUAL_HZ
