"""A video of constant rate whose pictures stand at the times of the frames they show, whatever rate those came at.

The picture at n / rate shows the last frame whose time, rounded to the rate, has come: a late frame leaves the one
before it standing, of two that fall together the later is shown. So no picture is more than half a step off, at the
start as after hours.

The rate is the source's, or the least multiple of it that has `LEAST_HZ`, since what tells 3 a second on the average
may show ten frames in one second and none in the next two.
"""

import math
import os
from pathlib import Path

import cv2
import numpy as np

from stages.apps.live_faces import Seen
from stages.apps.outputs import require_utf8, require_writable
from stages.core.errors import UserError, refuse

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
LEAST_HZ = 23.9


class VideoOutput:
    """Written beside `path` and renamed when closed, so that a video is never half there."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        if path.suffix.lower() not in CODECS:
            refuse("unknown kind of video", where="--output", allowed=", ".join(CODECS), received=path.name)
        require_writable(path, "--output")
        require_utf8(path, "--output")
        rate_hz *= math.ceil(LEAST_HZ / rate_hz)
        # As OpenCV tells it to MPEG-4, the rate is a fraction of decimals, neither part of which may be beyond 65,535.
        self.path, self.rate_hz = path, round(rate_hz, 3 if rate_hz < 65 else 2)
        self._temporary = path.absolute().with_name(f".{path.stem}.{os.getpid()}{path.suffix.lower()}")
        self._writer: cv2.VideoWriter | None = None
        self._waiting: np.ndarray | None = None  # until the next frame tells how long it stands
        self._written = 0

    def add(self, seen: Seen) -> None:
        """The next frame."""
        image, slot = seen.frame.image, round(seen.frame.time_s * self.rate_hz)
        self._writer = self._writer or self._opened(image)
        self._stand_until(slot)
        self._waiting = image

    def close(self) -> None:
        """The last frame stands for one step. Raises `UserError` where what was written does not lie there."""
        if self._writer is None:
            return
        self._stand_until(self._written + 1)
        self._writer.release()
        try:
            self._require_whole()
            self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _stand_until(self, slot: int) -> None:
        while self._waiting is not None and self._written < slot:
            self._writer.write(self._waiting)
            self._written += 1

    def _opened(self, image: np.ndarray) -> cv2.VideoWriter:
        codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        size = image.shape[1::-1]
        writer = cv2.VideoWriter(str(self._temporary), cv2.CAP_FFMPEG, codec, self.rate_hz, size)
        if not writer.isOpened():
            self._temporary.unlink(missing_ok=True)
            raise UserError(f"--output: {self.path}: OpenCV cannot write a video of {size[0]}x{size[1]} px there")
        return writer

    def _require_whole(self) -> None:
        """OpenCV says nothing of a disk that is full."""
        capture = cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG)
        found = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        if found < self._written:
            raise UserError(f"--output: {self.path}: {found:.0f} of {self._written} pictures were written; disk full?")
