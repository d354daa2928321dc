"""Where the faces of a picture are: OpenCV's Haar cascades, which it carries, or YuNet, whose file the user brings.

find = make_finder("haar", None, FinderSettings())
for box in find(image): crop(image, box)
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from stages.apps.boxes import Box, Rect, inside, shrunk
from stages.apps.haar import FinderSettings, HaarFinder, View
from stages.apps.outputs import require_utf8
from stages.core.errors import UserError, refuse

SCORE, OVERLAP = 0.6, 0.3  # YuNet's: at least as sure, and boxes that share more than this are one face
MAX_YUNET_BYTES = 16 << 20  # the released file has 0.23 MB

Finder = Callable[[np.ndarray], list[Box]]


class YunetFinder:
    """YuNet (Wu, Peng & Yu 2023, Machine Intelligence Research 20): finds turned and partly covered faces, too."""

    def __init__(self, settings: FinderSettings, model: Path) -> None:
        if not model.is_file():
            allowed = "face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
            refuse("no such file", where="--detector-model", allowed=allowed, received=str(model))
        if model.stat().st_size > MAX_YUNET_BYTES:
            allowed, received = f"at most {MAX_YUNET_BYTES} bytes", f"{model.stat().st_size} bytes"
            refuse("not YuNet's file", where="--detector-model", allowed=allowed, received=received)
        require_utf8(model, "--detector-model")
        self._settings = settings
        try:
            self._network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), SCORE, OVERLAP)
        except cv2.error as error:
            said = " ".join(str(error.err).split())[:120]
            raise UserError(f"--detector-model: {model}: not a network that OpenCV reads ({said})") from None
        self(np.zeros((64, 64), np.uint8))  # another network is told of before the first picture

    def __call__(self, image: np.ndarray) -> list[Box]:
        """(height, width[, 3]) uint8 → square boxes round the faces, from left to right."""
        color = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
        small, factor = shrunk(color)
        self._network.setInputSize(small.shape[1::-1])  # width, height
        try:
            _, found = self._network.detect(small)
        except cv2.error:
            raise UserError("--detector-model: not YuNet: it does not answer as YuNet does") from None
        boxes = [_squared(*(factor * face[:4])) for face in (found if found is not None else [])]
        return inside([(box, 0.0) for box in boxes if box[2] >= self._settings.min_face_px], image)


def in_frames(settings: FinderSettings, view: View) -> HaarFinder:
    """Of upright faces: what is cut off or leans is left to whoever looks at frame after frame."""
    return HaarFinder(settings, 0.0, (view,), (0.0,))


def whole(image: np.ndarray) -> list[Box]:
    """A picture that is a face."""
    return [Box(0, 0, image.shape[1], image.shape[0])]


def make_finder(detector: str, model: Path | None, settings: FinderSettings, in_video: bool = False) -> Finder:
    """`detector`: haar | yunet | none (the picture is the face). `in_video`: upright frontal faces, of Haar."""
    if model is not None and detector != "yunet":
        refuse("read by YuNet alone", where="--detector-model", allowed="with --detector yunet", received=str(model))
    if detector == "none":
        return whole
    if detector == "haar":
        return in_frames(settings, "frontal") if in_video else HaarFinder(settings)
    if model is None:
        raise UserError("--detector-model: missing; --detector yunet needs the path of its .onnx file")
    return YunetFinder(settings, model)


def _squared(left: float, top: float, width: float, height: float) -> Rect:
    """A square of the longer side round the same centre: the networks saw square faces."""
    side = max(width, height)
    return left + (width - side) / 2, top + (height - side) / 2, side, side
