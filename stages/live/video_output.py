"""Writes frames of any times as a video of constant rate.

The picture at n / rate shows the last frame whose time, rounded to the rate, has passed: before a late frame the
previous one is repeated; of two frames in one step the later is shown. So no picture is more than half a step off, even
after hours.

The rate is that of the source, or its smallest multiple of at least `MIN_RATE_HZ`: a source that reports 3 frames per
second on average may have ten in one second and none in the next two.
"""

import math
import os
from pathlib import Path

import cv2
import numpy as np

from stages.core.errors import UserError, refuse
from stages.core.outputs import require_utf8, require_writable
from stages.live.recognition import LabeledFrame

CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
MIN_RATE_HZ = 23.9


class VideoOutput:
    """Writes to a temporary file beside `path`, renamed when closed: a video is complete or absent."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        if path.suffix.lower() not in CODECS:
            refuse("unknown kind of video", where="--output", allowed=", ".join(CODECS), received=path.name)
        require_writable(path, "--output")
        require_utf8(path, "--output")
        rate_hz *= math.ceil(MIN_RATE_HZ / rate_hz)
        # OpenCV passes the rate to MPEG-4 as a fraction with both parts up to 65,535.
        self.path, self.rate_hz = path, round(rate_hz, 3 if rate_hz < 65 else 2)
        self._temporary = path.absolute().with_name(f".{path.stem}.{os.getpid()}{path.suffix.lower()}")
        self._writer: cv2.VideoWriter | None = None
        self._waiting: np.ndarray | None = None  # the last frame, until the time of the next one is known
        self._written = 0

    def add(self, labeled: LabeledFrame) -> None:
        """Add the next frame."""
        image, slot = labeled.frame.image, round(labeled.frame.time_s * self.rate_hz)
        self._writer = self._writer or self._opened(image)
        self._repeat_until(slot)
        self._waiting = image

    def close(self) -> None:
        """Show the last frame for one step and finish the file. Raises `UserError` for an incomplete file."""
        if self._writer is None:
            return
        self._repeat_until(self._written + 1)
        self._writer.release()
        try:
            self._require_whole()
            self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _repeat_until(self, slot: int) -> None:
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
        """Raise `UserError` for missing frames: OpenCV does not report a full disk."""
        capture = cv2.VideoCapture(str(self._temporary), cv2.CAP_FFMPEG)
        found = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        if found < self._written:
            raise UserError(f"--output: {self.path}: {found:.0f} of {self._written} pictures were written; disk full?")
