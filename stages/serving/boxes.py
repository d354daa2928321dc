"""Faces in a picture: where each one is, and its pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Box:
    """A face in pixels of the picture, wholly inside it.

    The box is that of the upright face; the face itself is rotated by `tilt_deg` clockwise about the centre.
    `cut_off`: part of the face lies outside the picture.
    """

    left: int
    top: int
    width: int
    height: int
    cut_off: bool = False
    tilt_deg: float = 0.0


# Finds the faces of a picture, (height, width[, 3]) uint8 RGB or gray.
Finder = Callable[[np.ndarray], list[Box]]


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """Return the face of (height, width[, 3]) rotated upright; without a tilt it is a view of the image."""
    if not box.tilt_deg:
        return image[box.top : box.top + box.height, box.left : box.left + box.width]
    center = box.left + (box.width - 1) / 2, box.top + (box.height - 1) / 2
    matrix = cv2.getRotationMatrix2D(center, box.tilt_deg, 1.0)
    matrix[:, 2] -= box.left, box.top
    return cv2.warpAffine(image, matrix, (box.width, box.height), borderMode=cv2.BORDER_REPLICATE)
