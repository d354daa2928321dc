"""A known face found again near where it should be, also tilted: far less to look at than a whole frame."""

from dataclasses import dataclass

import cv2
import numpy as np

from stages.apps.detection import Box, Finder
from stages.apps.tracking import overlaps

MARGIN, FACE_PX = 0.4, 60  # of a box on each of its sides, what is looked at, with the face shrunk to this
TILTS_DEG = (0.0, 30.0, -30.0)  # clockwise; Haar finds faces some 15 degrees from upright


@dataclass(frozen=True)
class Tilted:
    """`box` x, y, width, height in pixels round the face as if it were upright, which it is but for `tilt_deg`."""

    box: np.ndarray
    tilt_deg: float = 0.0


def find_all(find: Finder, image: np.ndarray) -> np.ndarray:
    """Upright faces of (height, width, 3) BGR → (N, 4)."""
    boxes = find(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    return np.array([(box.left, box.top, box.width, box.height) for box in boxes], dtype=float).reshape(-1, 4)


def find_again(find: Finder, image: np.ndarray, face: Tilted) -> Tilted | None:
    """Tilted as it was, or else in another way."""
    x0, y0 = (face.box[:2] - MARGIN * face.box[2:]).clip(min=0).astype(int)
    x1, y1 = (face.box[:2] + (1 + MARGIN) * face.box[2:]).astype(int)
    factor = max(1.0, face.box[2] / FACE_PX)
    near = shrunk(image[y0:y1, x0:x1], factor)
    for tilt_deg in sorted(TILTS_DEG, key=lambda tilt_deg: tilt_deg != face.tilt_deg):
        boxes = _upright_again(find_all(find, turned(near, tilt_deg)), tilt_deg, near) * factor + (x0, y0, 0, 0)
        if len(boxes):
            return Tilted(boxes[overlaps(boxes, face.box)[:, 0].argmax()], tilt_deg)
    return None


def upright(image: np.ndarray, box: Box, tilt_deg: float) -> np.ndarray:
    """(height, width, 3) → the face in the box, turned upright; without a tilt as a view."""
    if not tilt_deg:
        return image[box.top : box.top + box.height, box.left : box.left + box.width]
    middle = box.left + (box.width - 1) / 2, box.top + (box.height - 1) / 2
    matrix = cv2.getRotationMatrix2D(middle, tilt_deg, 1.0)
    matrix[:, 2] -= box.left, box.top
    return cv2.warpAffine(image, matrix, (box.width, box.height), borderMode=cv2.BORDER_REPLICATE)


def shrunk(image: np.ndarray, factor: float) -> np.ndarray:
    """The same where `factor` is 1."""
    if factor == 1:
        return image
    size = max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def turned(image: np.ndarray, tilt_deg: float) -> np.ndarray:
    """What is tilted by this comes to stand upright; same size."""
    return upright(image, Box(0, 0, image.shape[1], image.shape[0]), tilt_deg)


def _upright_again(boxes: np.ndarray, tilt_deg: float, image: np.ndarray) -> np.ndarray:
    """(N, 4) of the turned image → in the image: their middles turn back, their sides stay."""
    middle = (np.array(image.shape[1::-1]) - 1) / 2
    angle = np.deg2rad(tilt_deg)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    half = boxes[:, 2:] / 2
    return np.concatenate([(boxes[:, :2] + half - middle) @ back.T + middle - half, boxes[:, 2:]], axis=1)
