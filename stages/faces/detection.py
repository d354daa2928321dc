"""Face detection: OpenCV's Haar cascades, which come with OpenCV, or YuNet, whose file the user provides.

The cascades (Viola & Jones 2001, CVPR) find frontal, tilted, and half-profile faces.

find = make_finder("haar", None, FinderSettings())
for box in find(image): crop(image, box)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from stages.core.errors import UserError, refuse
from stages.core.outputs import require_utf8
from stages.corpora.decoding.images import MAX_SIDE_PX
from stages.faces.geometry import Rect, overlap_of_smaller, rotated, scale_factor, scaled_down, to_boxes
from stages.serving.boxes import Box, Finder

View = Literal["frontal", "half profile"]
CASCADES = {"frontal": "haarcascade_frontalface_default.xml", "half profile": "haarcascade_profileface.xml"}
BORDER = 0.12  # the picture is extended by this share of its shorter side, to find faces at the edge
ROTATIONS_DEG = (0.0, -30.0, 30.0)  # of the picture, since the cascades find faces up to 15 degrees from upright
EXTRA_NEIGHBORS = 3  # more are required after the first search, since each search adds false positives
# The profile cascade takes three times as long as the frontal one: larger steps of scale make up for it. With these it
# finds half as many neighbours.
PROFILE_MIN_SCALE_FACTOR, PROFILE_NEIGHBORS_SHARE = 1.2, 0.5
MAX_ROTATED_PX = 960  # rotated searches use a smaller picture, which takes a quarter of the time
FINDER_RANGES = {"min_neighbors": (0, 1_000), "scale_factor": (1.01, 4), "min_face_px": (8, MAX_SIDE_PX)}
SAME_FACE = 0.3  # share of the smaller of two boxes from which on they are one face
MIN_SCORE, MAX_OVERLAP = 0.6, 0.3  # YuNet's minimum confidence; boxes with a larger IoU are one face
MAX_YUNET_BYTES = 16 << 20  # the released file has 0.23 MB


@dataclass(frozen=True)
class FinderSettings:
    """`min_neighbors`: hits of the cascade that make a face; `scale_factor`: from one searched size to the next."""

    min_neighbors: int = 7
    scale_factor: float = 1.1
    min_face_px: int = 40

    def __post_init__(self) -> None:
        for name, (low, high) in FINDER_RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                option = f"--{name.replace('_', '-')}"
                refuse("out of range", where=option, allowed=f"{low} to {high}", received=value)


class HaarFinder:
    """Finds faces of each view in the picture rotated by each of `rotations_deg`; the first search has priority."""

    def __init__(
        self,
        settings: FinderSettings,
        border: float = BORDER,
        views: tuple[View, ...] = ("frontal", "half profile"),
        rotations_deg: tuple[float, ...] = ROTATIONS_DEG,
    ) -> None:
        self._settings, self._border, self._rotations_deg = settings, border, rotations_deg
        self._cascades = {view: cv2.CascadeClassifier(cv2.data.haarcascades + CASCADES[view]) for view in views}

    def __call__(self, image: np.ndarray) -> list[Box]:
        """Return boxes of the faces in (height, width[, 3]) uint8, from left to right."""
        gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        factor = scale_factor(gray)
        small = scaled_down(gray, factor)
        edge = round(self._border * min(small.shape))
        small = cv2.equalizeHist(cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_REPLICATE))
        found: list[tuple[Rect, float]] = []
        for view in self._cascades:
            for degrees in self._rotations_deg:
                rects = self._search(small, view, degrees, self._settings.min_face_px / factor)
                is_first = view == "frontal" and not degrees
                found += [(rect, degrees) for rect in (rects if is_first else _new(rects, [rect for rect, _ in found]))]
        shift = np.array((edge, edge, 0, 0))  # from the extended, scaled picture back to the given one
        return to_boxes([(tuple(factor * (np.array(rect) - shift)), tilt) for rect, tilt in found], image)

    def _search(self, gray: np.ndarray, view: View, degrees: float, min_px: float) -> list[Rect]:
        """Return faces tilted by `degrees`, as upright boxes in pixels of `gray`."""
        is_first = view == "frontal" and not degrees
        factor = 1.0 if is_first else scale_factor(gray, MAX_ROTATED_PX)
        image, back = rotated(scaled_down(gray, factor), degrees)
        min_px = max(round(min_px / factor), 1)
        scale = self._settings.scale_factor
        neighbors = self._settings.min_neighbors + (0 if is_first else EXTRA_NEIGHBORS)
        if view == "half profile":
            neighbors, scale = round(PROFILE_NEIGHBORS_SHARE * neighbors), max(PROFILE_MIN_SCALE_FACTOR, scale)
        options = {"scaleFactor": scale, "minNeighbors": neighbors, "minSize": (min_px, min_px)}
        hits = [tuple(rect) for rect in self._cascades[view].detectMultiScale(image, **options)]
        if view == "half profile":  # the cascade knows faces that look to the left, so the picture is mirrored, too
            mirrored = self._cascades[view].detectMultiScale(image[:, ::-1].copy(), **options)
            hits += _new([(image.shape[1] - x - w, y, w, h) for x, y, w, h in mirrored], hits)
        rects = []
        for x, y, w, h in hits:
            center_x, center_y = back @ (x + w / 2, y + h / 2, 1.0)
            rects.append(tuple(factor * side for side in (center_x - w / 2, center_y - h / 2, w, h)))
        return rects


class YunetFinder:
    """YuNet (Wu, Peng & Yu 2023, Machine Intelligence Research 20); it also finds turned and covered faces."""

    def __init__(self, settings: FinderSettings, model: Path) -> None:
        if not model.is_file():
            allowed = "face_detection_yunet_2023mar.onnx of OpenCV's model zoo"
            refuse("no such file", where="--detector-model", allowed=allowed, received=str(model))
        if model.stat().st_size > MAX_YUNET_BYTES:
            allowed, received = f"at most {MAX_YUNET_BYTES} bytes", f"{model.stat().st_size} bytes"
            refuse("not YuNet's file", where="--detector-model", allowed=allowed, received=received)
        require_utf8(model, "--detector-model")
        self._min_face_px = settings.min_face_px
        try:
            self._network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), MIN_SCORE, MAX_OVERLAP)
        except cv2.error as error:
            reason = " ".join(str(error.err).split())[:120]
            raise UserError(f"--detector-model: {model}: not a network that OpenCV reads ({reason})") from None
        self(np.zeros((64, 64), np.uint8))  # raises an error for another network before the first picture

    def __call__(self, image: np.ndarray) -> list[Box]:
        """Return square boxes around the faces of (height, width[, 3]) uint8, from left to right."""
        color = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
        factor = scale_factor(color)
        small = scaled_down(color, factor)
        self._network.setInputSize(small.shape[1::-1])  # width, height
        try:
            _, found = self._network.detect(small)
        except cv2.error:
            raise UserError("--detector-model: not YuNet: its output has another form") from None
        rects: list[Rect] = []
        for left, top, width, height in (factor * face[:4] for face in (found if found is not None else [])):
            side = max(width, height)  # a square around the same centre: the networks were trained on square faces
            rects.append((left + (width - side) / 2, top + (height - side) / 2, side, side))
        return to_boxes([(rect, 0.0) for rect in rects if rect[2] >= self._min_face_px], image)


def upright_finder(settings: FinderSettings, view: View) -> HaarFinder:
    """Return a fast finder of upright faces; in video, `follower` handles faces that are tilted or cut off."""
    return HaarFinder(settings, 0.0, (view,), (0.0,))


def whole(image: np.ndarray) -> list[Box]:
    """Return one box around the whole picture, for pictures that are faces already."""
    return [Box(0, 0, image.shape[1], image.shape[0])]


def make_finder(detector: str, model: Path | None, settings: FinderSettings, in_video: bool = False) -> Finder:
    """Return the finder of `detector`: haar | yunet | none (the picture is the face).

    `in_video`: Haar finds upright frontal faces only. Raises `UserError` for a wrong `model`, the file of YuNet.
    """
    if model is not None and detector != "yunet":
        refuse("only YuNet reads it", where="--detector-model", allowed="with --detector yunet", received=str(model))
    if detector == "none":
        return whole
    if detector == "haar":
        return upright_finder(settings, "frontal") if in_video else HaarFinder(settings)
    if model is None:
        raise UserError("--detector-model: missing; --detector yunet needs the path of its .onnx file")
    return YunetFinder(settings, model)


def _new(rects: list[Rect], known: list[Rect]) -> list[Rect]:
    """Return those of `rects` that are neither a known face nor one another's."""
    new: list[Rect] = []
    for rect in rects:
        if (overlap_of_smaller(rect, [*known, *new]) < SAME_FACE).all():
            new.append(rect)
    return new
