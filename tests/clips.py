"""Small clips whose frames encode their number as brightness, and a camera without hardware."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SIZE = 64, 48  # width, height


def picture(number: int) -> np.ndarray:
    """Return the gray frame of this number, (height, width, 3) uint8.

    The levels are 8 apart, more than a codec changes them; 28 frames are distinct.
    """
    return np.full((SIZE[1], SIZE[0], 3), 16 + 8 * number, np.uint8)


def number_of(image: np.ndarray) -> int:
    """Return the number of the frame that a picture shows."""
    return round((float(np.median(image)) - 16) / 8)


def write_clip(path: Path, count: int, rate_hz: float = 10.0) -> Path:
    """Write an .avi or .mp4 of constant rate."""
    codec = cv2.VideoWriter.fourcc(*{".avi": "MJPG", ".mp4": "mp4v"}[path.suffix])
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, rate_hz, SIZE)
    for number in range(count):
        writer.write(picture(number % 28))
    writer.release()
    return path


def write_uneven(path: Path, durations_s: list[float]) -> Path:
    """Write a GIF whose frames have these durations."""
    first, *rest = (Image.fromarray(picture(number)) for number in range(len(durations_s)))
    first.save(path, save_all=True, append_images=rest, duration=[round(1000 * s) for s in durations_s], loop=0)
    return path


def read_clip(path: Path) -> list[int]:
    """Return the number of each frame."""
    capture, numbers = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG), []
    while (read := capture.read())[0]:
        numbers.append(number_of(read[1]))
    return numbers


class FakeCapture:
    """A camera with `count` frames, in place of `cv2.VideoCapture`. `size`: the width and height that it reports."""

    def __init__(self, count: int, size: tuple[int, int] = SIZE) -> None:
        self.left, self.size, self.released = count, size, False

    def __call__(self, *_: object) -> "FakeCapture":
        return self

    def isOpened(self) -> bool:
        return True

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: self.size[0], cv2.CAP_PROP_FRAME_HEIGHT: self.size[1]}.get(key, 0.0)

    def set(self, *_: float) -> None:
        pass

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, np.zeros((SIZE[1], SIZE[0], 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.released = True
