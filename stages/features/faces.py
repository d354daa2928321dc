"""Faces as small square images, kept as uint8: `datasets.store` gives them back in [0, 1] at a quarter of the bytes."""

from typing import Literal

import cv2
import numpy as np

from stages.params.options import PositiveInt

LAYOUT = ("channel", "height", "width")
SIZES = {"height": "size_px", "width": "size_px"}  # which setting tells how long an axis is
DTYPE = "uint8"
SCALE_FACTOR = 1 / 255
ADD_OFFSET = 0.0
# Decoding a face of 48 px takes some 30 µs, much of it Python: processes, and many faces at a time, but no more than
# these pixels, since what is on its way from process to process lies in memory.
WORKERS, SAMPLES_PER_CHUNK, PIXELS_PER_CHUNK = "processes", 512, 512 * 48 * 48


def output_rate_hz(settings: dict) -> None:
    """An image has no time steps."""


def samples_per_chunk(settings: dict) -> int:
    """How many images a worker takes at a time."""
    pixels = settings["size_px"] ** 2 * (3 if settings["color"] == "rgb" else 1)
    return max(1, min(SAMPLES_PER_CHUNK, PIXELS_PER_CHUNK // pixels))


def compute(
    image: np.ndarray, rate_hz: float | None, *, size_px: PositiveInt, color: Literal["gray", "rgb"]
) -> tuple[np.ndarray, int]:
    """(height, width) or (height, width, 3) uint8 of any size → (1 or 3, size_px, size_px) uint8, and 0 time steps."""
    image = _to_color(image, color)
    if image.shape[:2] != (size_px, size_px):
        shrinks = min(image.shape[:2]) > size_px
        image = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # (height, width[, 3]) → (channel, height, width)
    return (image[None] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1))), 0


def _to_color(image: np.ndarray, color: str) -> np.ndarray:
    if color == "gray":
        # luma of ITU-R BT.601, as Pillow converts
        return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
