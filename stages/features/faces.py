"""Faces as small square images, stored as uint8: `datasets.store` returns them in [0, 1] at a quarter of the bytes."""

from typing import Literal

import cv2
import numpy as np

from stages.params.options import PositiveInt

LAYOUT = ("channel", "height", "width")
SIZES = {"height": "size_px", "width": "size_px"}  # axis → the setting that gives its length
DTYPE = "uint8"
SCALE_FACTOR = 1 / 255
ADD_OFFSET = 0.0
# Decoding a face of 48 px takes some 30 µs, much of it in Python: hence processes, and many faces per chunk. The number
# of pixels per chunk is limited, because chunks on their way between processes are held in memory.
WORKERS = "processes"
SAMPLES_PER_CHUNK, PIXELS_PER_CHUNK = 512, 512 * 48 * 48


def output_rate_hz(settings: dict) -> None:
    """Return None: an image has no time steps."""


def samples_per_chunk(settings: dict) -> int:
    """Return how many images a worker processes at a time."""
    pixels = settings["size_px"] ** 2 * (3 if settings["color"] == "rgb" else 1)
    return max(1, min(SAMPLES_PER_CHUNK, PIXELS_PER_CHUNK // pixels))


def compute(
    image: np.ndarray, rate_hz: float | None, *, size_px: PositiveInt, color: Literal["gray", "rgb"]
) -> tuple[np.ndarray, int]:
    """Return the image as (1 or 3, size_px, size_px) uint8, and 0 time steps.

    `image` is (height, width) or (height, width, 3) uint8 of any size. Gray is the luma of ITU-R BT.601, as in Pillow.
    """
    if color == "gray" and image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    elif color == "rgb" and image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    if image.shape[:2] != (size_px, size_px):
        shrinks = min(image.shape[:2]) > size_px
        image = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    # (height, width[, 3]) → (channel, height, width)
    return (image[None] if image.ndim == 2 else np.ascontiguousarray(image.transpose(2, 0, 1))), 0
