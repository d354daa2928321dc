"""A known face found again near where it should be, also tilted: far less to look at than a whole frame."""

from dataclasses import dataclass

import cv2
import numpy as np

from stages.apps.boxes import turned
from stages.apps.detection import Finder
from stages.apps.tracking import overlaps

MARGIN, FACE_PX = 0.4, 60  # of a box on each of its sides, what is looked at, with the face shrunk to this
LEAST_IOU = 0.2  # of what is found with where the face should be: less is another one's face
TILTS_DEG = (0.0, 30.0, -30.0)  # clockwise; Haar finds faces some 15 degrees from upright


@dataclass(frozen=True)
class Tilted:
    """`box` x, y, width, height in pixels round the face as if it were upright, which it is but for `tilt_deg`."""

    box: np.ndarray
    tilt_deg: float = 0.0


def find_all(find: Finder, image: np.ndarray, tilt_deg: float = 0.0) -> np.ndarray:
    """Faces of (height, width, 3) BGR that are tilted by this → (N, 4)."""
    seen, back = turned(image, tilt_deg)
    boxes = find(cv2.cvtColor(seen, cv2.COLOR_BGR2RGB))
    found = np.array([(box.left, box.top, box.width, box.height) for box in boxes], dtype=float).reshape(-1, 4)
    half = found[:, 2:] / 2  # their middles turn back, their sides stay
    return np.concatenate([(found[:, :2] + half) @ back[:, :2].T + back[:, 2] - half, found[:, 2:]], axis=1)


def find_again(find: Finder, image: np.ndarray, face: Tilted) -> Tilted | None:
    """Tilted as it was, or else in another way."""
    x0, y0 = (face.box[:2] - MARGIN * face.box[2:]).clip(min=0).astype(int)
    x1, y1 = (face.box[:2] + (1 + MARGIN) * face.box[2:]).clip(min=0).astype(int)
    if not image[y0:y1, x0:x1].size:  # it has left the picture
        return None
    factor = max(1.0, face.box[2] / FACE_PX)
    near = shrunk(image[y0:y1, x0:x1], factor)
    for tilt_deg in sorted(TILTS_DEG, key=lambda tilt_deg: tilt_deg != face.tilt_deg):
        boxes = find_all(find, near, tilt_deg) * factor + (x0, y0, 0, 0)
        shared = overlaps(boxes, face.box)[:, 0]
        if shared.max(initial=0) >= LEAST_IOU:
            return Tilted(boxes[shared.argmax()], tilt_deg)
    return None


def shrunk(image: np.ndarray, factor: float) -> np.ndarray:
    """The same where `factor` is 1."""
    if factor == 1:
        return image
    size = max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
