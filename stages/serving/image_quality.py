"""Defects of a picture that make a prediction doubtful: wrong exposure and blur.

The thresholds are from FER-2013's PublicTest (1,500 of its faces): 0.5 % are darker than a mean of 40, 0.5 % brighter
than 202; none has a sharpness below 0.3, while all that are blurred by a Gaussian of 1.5 px are below 0.25.
"""

import cv2
import numpy as np

MEAN_RANGE = 35, 212  # grey levels of 0 to 255
MIN_SD = 10  # grey levels of 0 to 255
MIN_SHARPNESS = 0.25
SIDE_PX, MIN_SIDE_PX = 48, 12  # sharpness is measured at the size of FER-2013, or at a smaller picture's own


def exposure(image: np.ndarray) -> str:
    """Return 'very dark', 'very bright', 'almost without contrast' or '' for (height, width[, 3]) uint8."""
    gray = _gray(image)
    mean, sd = float(gray.mean()), float(gray.std())
    if not MEAN_RANGE[0] <= mean <= MEAN_RANGE[1]:
        return "very dark" if mean < MEAN_RANGE[0] else "very bright"
    return "almost without contrast" if sd < MIN_SD else ""


def blur(image: np.ndarray) -> str:
    """Return 'blurred' or '' for a face: whether the Laplacian is weak compared with the face's own contrast."""
    side = min(SIDE_PX, *image.shape[:2])
    if side < MIN_SIDE_PX:
        return ""
    small = cv2.resize(_gray(image), (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    edges = cv2.Laplacian(small, cv2.CV_32F)[2:-2, 2:-2]
    return "blurred" if small.std() > 1 and edges.std() < MIN_SHARPNESS * small.std() else ""


def _gray(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
