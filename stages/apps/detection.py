"""Where the faces of a picture are: OpenCV's Haar cascade, which it carries, or YuNet, whose file the user brings.

find = HaarFinder(FinderSettings())
for box in find(image): crop(image, box)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stages.core.checks import UserError, refuse

CASCADE = "haarcascade_frontalface_default.xml"
# Larger pictures are shrunk to this before faces are looked for: nothing is lost on faces that a network sees at 48 px.
SEARCHED_PX = 1920
BORDER = 0.12  # of the shorter side, by which a picture is continued so that faces cut off at its edge are found
TURNS_DEG = (-30, 30)  # of a picture that is looked at again: the cascade knows no face that leans by more than some 15
STRICTER = 3  # neighbours more, then: two more looks would find more that is no face
LEANING_PX = 960  # as large is the picture then: a quarter of the time, and the least face that Haar knows has 24 px
SAME_FACE = 0.3  # of the smaller of two boxes: those that share more are one face, the upright one
CUT_OFF = 0.02  # of its side that a face may lie outside the picture before it is called cut off
SCORE, OVERLAP = 0.6, 0.3  # YuNet's: at least as sure, and boxes that share more than this are one face
MAX_YUNET_BYTES = 16 << 20  # the released file has 0.23 MB


@dataclass(frozen=True)
class Box:
    """A face in pixels of the picture, all of it inside, round it as if it were upright; it leans by `tilt_deg`,
    clockwise. `cut_off`: part of the face lies outside."""

    left: int
    top: int
    width: int
    height: int
    cut_off: bool = False
    tilt_deg: float = 0.0


@dataclass(frozen=True)
class FinderSettings:
    """`min_neighbors`: how many of Haar's hits make a face; `scale_factor`: from one size it looks at to the next."""

    min_neighbors: int = 7
    scale_factor: float = 1.1
    min_face_px: int = 40

    def __post_init__(self) -> None:
        if self.min_neighbors < 0:
            refuse("too few", where="--min-neighbors", allowed="0 or more", received=self.min_neighbors)
        if not 1.01 <= self.scale_factor <= 4:
            refuse("out of range", where="--scale-factor", allowed="1.01 to 4", received=self.scale_factor)
        if self.min_face_px < 8:
            refuse("too small", where="--min-face-px", allowed="8 or more", received=self.min_face_px)


Finder = Callable[[np.ndarray], list[Box]]
Rect = tuple[float, float, float, float]  # left, top, width, height


class HaarFinder:
    """Viola & Jones (2001, CVPR), with OpenCV's cascade of frontal faces; `leaning`: also of heads that lean."""

    def __init__(self, settings: FinderSettings, border: float = BORDER, leaning: bool = True) -> None:
        self._settings, self._border, self._leans = settings, border, leaning
        self._cascade = cv2.CascadeClassifier(cv2.data.haarcascades + CASCADE)

    def __call__(self, image: np.ndarray) -> list[Box]:
        """(height, width[, 3]) uint8 → boxes from left to right."""
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        small, factor = _shrunk(gray)
        edge = round(self._border * min(small.shape))
        small = cv2.equalizeHist(cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_REPLICATE))
        least = max(round(self._settings.min_face_px / factor), 1)
        found = [(box, 0.0) for box in self._upright(small, least, self._settings.min_neighbors)]
        if self._leans:
            found += self._leaning(small, least, [box for box, _ in found])
        return _inside(
            [
                (((x - edge) * factor, (y - edge) * factor, w * factor, h * factor), tilt)
                for (x, y, w, h), tilt in found
            ],
            image,
        )

    def _upright(self, gray: np.ndarray, least_px: int, neighbors: int) -> list[Rect]:
        size = least_px, least_px
        found = self._cascade.detectMultiScale(gray, self._settings.scale_factor, neighbors, minSize=size)
        return [tuple(map(float, box)) for box in found]

    def _leaning(self, gray: np.ndarray, least_px: int, known: list[Rect]) -> list[tuple[Rect, float]]:
        """Other faces than `known`, of heads that lean to a shoulder: in the picture turned either way."""
        found: list[tuple[Rect, float]] = []
        small, factor = _shrunk(gray, LEANING_PX)
        for degrees in TURNS_DEG:
            seen, back = turned(small, degrees)
            for x, y, w, h in self._upright(seen, round(least_px / factor), self._settings.min_neighbors + STRICTER):
                center_x, center_y = back @ (x + w / 2, y + h / 2, 1.0)
                box = tuple(factor * side for side in (center_x - w / 2, center_y - h / 2, w, h))
                if all(_shared(box, other) < SAME_FACE for other in known):
                    known = [*known, box]
                    found.append((box, float(degrees)))
        return found


class YunetFinder:
    """YuNet (Wu, Peng & Yu 2023, Machine Intelligence Research 20): finds turned and partly covered faces, too."""

    def __init__(self, settings: FinderSettings, model: Path) -> None:
        if not model.is_file():
            allowed = "face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
            refuse("no such file", where="--detector-model", allowed=allowed, received=str(model))
        if model.stat().st_size > MAX_YUNET_BYTES:
            allowed, received = f"at most {MAX_YUNET_BYTES} bytes", f"{model.stat().st_size} bytes"
            refuse("not YuNet's file", where="--detector-model", allowed=allowed, received=received)
        self._settings = settings
        try:
            self._network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), SCORE, OVERLAP)
        except cv2.error as error:
            said = " ".join(str(error.err).split())[:120]
            raise UserError(f"--detector-model: {model}: not a network that OpenCV reads ({said})") from None

    def __call__(self, image: np.ndarray) -> list[Box]:
        """(height, width[, 3]) uint8 → square boxes round the faces, from left to right."""
        color = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
        small, factor = _shrunk(color)
        self._network.setInputSize(small.shape[1::-1])  # width, height
        try:
            _, found = self._network.detect(small)
        except cv2.error:
            raise UserError("--detector-model: not YuNet: it does not answer as YuNet does") from None
        boxes = [_squared(*(factor * face[:4])) for face in (found if found is not None else [])]
        return _inside([(box, 0.0) for box in boxes if box[2] >= self._settings.min_face_px], image)


def whole(image: np.ndarray) -> list[Box]:
    """A picture that is a face."""
    return [Box(0, 0, image.shape[1], image.shape[0])]


def make_finder(detector: str, model: Path | None, settings: FinderSettings, in_video: bool = False) -> Finder:
    """`detector`: haar | yunet | none (the picture is the face). `in_video`: what Haar misses is seen a frame later."""
    if model is not None and detector != "yunet":
        refuse("read by YuNet alone", where="--detector-model", allowed="with --detector yunet", received=str(model))
    if detector == "none":
        return whole
    if detector == "haar":
        return HaarFinder(settings, 0.0, leaning=False) if in_video else HaarFinder(settings)
    if model is None:
        raise UserError("--detector-model: missing; --detector yunet needs the path of its .onnx file")
    return YunetFinder(settings, model)


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """(height, width[, 3]) → the face alone, turned upright; without a tilt as a view."""
    if not box.tilt_deg:
        return image[box.top : box.top + box.height, box.left : box.left + box.width]
    middle = box.left + (box.width - 1) / 2, box.top + (box.height - 1) / 2
    matrix = cv2.getRotationMatrix2D(middle, box.tilt_deg, 1.0)
    matrix[:, 2] -= box.left, box.top
    return cv2.warpAffine(image, matrix, (box.width, box.height), borderMode=cv2.BORDER_REPLICATE)


def turned(image: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """(height, width[, 3]) → all of it, counterclockwise, on a canvas that holds it, and the matrix (2, 3) back."""
    if not degrees:
        return image, np.eye(2, 3)
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    cos, sin = np.abs(turn[0, :2])
    size = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REPLICATE), cv2.invertAffineTransform(turn)


def _shrunk(image: np.ndarray, longest_px: int = SEARCHED_PX) -> tuple[np.ndarray, float]:
    """The picture to look at, and how much larger the real one is."""
    factor = max(1.0, max(image.shape[:2]) / longest_px)
    if factor == 1:
        return image, 1.0
    size = max(1, round(image.shape[1] / factor)), max(1, round(image.shape[0] / factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), factor


def _shared(one: Rect, other: Rect) -> float:
    """Of the smaller one's area."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0) / min(one[2] * one[3], other[2] * other[3])


def _squared(left: float, top: float, width: float, height: float) -> Rect:
    """A square of the longer side round the same centre: the networks saw square faces."""
    side = max(width, height)
    return left + (width - side) / 2, top + (height - side) / 2, side, side


def _inside(found: list[tuple[Rect, float]], image: np.ndarray) -> list[Box]:
    """Whole pixels within the picture; what lies outside for the most part is no face of it."""
    boxes = []
    for rect, tilt_deg in sorted(found):
        box = within(rect, tilt_deg, image)
        if min(box.width, box.height) >= min(rect[2:]) / 2:
            boxes.append(box)
    return boxes


def within(rect: Rect, tilt_deg: float, image: np.ndarray) -> Box:
    """In whole pixels, all of it inside the picture, one pixel at least.

    What is cut off is left out; on all sides of a face that leans, which is turned round its middle.
    """
    (left, top, w, h), (height, width) = rect, image.shape[:2]
    cut_off = min(left, top, width - left - w, height - top - h) < -CUT_OFF * w
    if tilt_deg and cut_off:
        middle_x, middle_y = left + w / 2, top + h / 2
        side = 2 * min(w / 2, middle_x, middle_y, width - middle_x, height - middle_y)
        left, top, w, h = middle_x - side / 2, middle_y - side / 2, side, side
    x0, y0 = min(max(round(left), 0), width - 1), min(max(round(top), 0), height - 1)
    x1, y1 = max(min(round(left + w), width), x0 + 1), max(min(round(top + h), height), y0 + 1)
    return Box(x0, y0, x1 - x0, y1 - y0, bool(cut_off), tilt_deg)
