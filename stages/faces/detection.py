"""Face detection: BlazeFace, whose network comes as a package, or YuNet, whose file the user provides.

find = make_finder("blazeface", None, FinderSettings())
for box in find(image): crop(image, box)
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stages.core import weights
from stages.core.errors import UserError, refuse
from stages.core.outputs import require_utf8
from stages.corpora.decoding.images import MAX_SIDE_PX
from stages.faces.geometry import overlap_of_smaller, scale_factor, scaled_down, tiles, to_boxes
from stages.serving.boxes import Box, Finder

INPUT_PX = 192  # side of the network's square input
CELLS = 48  # per side of the network's output: each may hold one face
# In larger photographs, small faces are searched for in overlapping tiles, too.
MIN_TILED_PX, TILE = 480, 0.25  # side of a tile, of the picture's longer side
SMALL_FACE = 0.09  # of the picture's longer side: larger ones are found in the whole picture, or cut off by the tile
SAME_FACE = 0.5  # share of the smaller of two boxes from which on they are one face
# From the detectors' boxes, eyebrows to chin, to the framing of FER-2013: medians over 143 of its faces.
FRAME, FRAME_UP = 1.14, 0.05  # side, and shift towards the forehead, of the detected side
MIN_TILT_DEG = 10.0  # the networks are trained with faces rotated by up to this; the angle has an error of 4 degrees
DETECTORS = ("blazeface", "yunet")
FINDER_RANGES = {"min_score": (0.05, 1), "min_face_px": (8, MAX_SIDE_PX)}
MAX_OVERLAP = 0.3  # YuNet: boxes with a larger IoU are one face
MAX_YUNET_BYTES = 16 << 20  # the released file has 0.23 MB


@dataclass(frozen=True)
class FinderSettings:
    """`min_score`: lowest confidence of the detector, 0 to 1. `min_face_px`: smaller faces are left out."""

    min_score: float = 0.6
    min_face_px: int = 40

    def __post_init__(self) -> None:
        for name, (low, high) in FINDER_RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                option = f"--{name.replace('_', '-')}"
                refuse("out of range", where=option, allowed=f"{low} to {high}", received=value)


@dataclass(frozen=True)
class Face:
    """A detected face in pixels: `rect` (left, top, width, height) around it, `eyes` (2, 2): x, y of its right and left
    eye, and the detector's confidence.
    """

    rect: np.ndarray
    eyes: np.ndarray
    score: float


class BlazeFinder:
    """BlazeFace, full range (Bazarevsky et al. 2019, arXiv 1907.05047).

    `in_video`: the picture is searched as it is, without tiles. A photograph without faces is searched on its sides and
    upside down, too.
    """

    def __init__(self, settings: FinderSettings, in_video: bool = False) -> None:
        self._settings, self._in_video = settings, in_video
        file = weights.path("blazeface")
        try:
            self._network = cv2.dnn.readNetFromTFLite(str(file))
        except cv2.error as error:
            reason = " ".join(str(error.err).split())[:120]
            raise UserError(f"weights blazeface: {file}: not a network that OpenCV reads ({reason})") from None
        self._outputs = self._network.getUnconnectedOutLayersNames()
        centers = (np.arange(CELLS) + 0.5) * INPUT_PX / CELLS
        self._centers = np.stack(np.meshgrid(centers, centers), axis=-1).reshape(-1, 1, 2)  # (cells, 1, x and y)

    def __call__(self, image: np.ndarray) -> list[Box]:
        """Return boxes of the faces in (height, width[, 3]) uint8, from left to right."""
        color = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 else image
        factor = scale_factor(color)
        small = scaled_down(color, factor)
        faces = self._search(small)
        if not faces and not self._in_video:
            turns = [[turned_back(face, k, small.shape) for face in self._search(rot90(small, k))] for k in (1, 2, 3)]
            faces = max(turns, key=lambda found: max((face.score for face in found), default=0.0))
        return framed(faces, factor, image, self._settings.min_face_px)

    def _search(self, image: np.ndarray) -> list[Face]:
        """Return the faces of the whole picture, and small ones of its tiles."""
        faces, longer = self._detect(image), max(image.shape)
        is_tiled = longer > MIN_TILED_PX and not self._in_video
        for left, top, side in tiles(image, round(TILE * longer)) if is_tiled else ():
            corner = np.array([left, top])
            for face in self._detect(image[top : top + side, left : left + side]):
                if face.rect[2] <= SMALL_FACE * longer:
                    rect = np.append(face.rect[:2] + corner, face.rect[2:])
                    faces.append(Face(rect, face.eyes + corner, face.score))
        return distinct(faces)

    def _detect(self, image: np.ndarray) -> list[Face]:
        """Return the faces of (height, width, 3), which is scaled into a square with black borders."""
        height, width = image.shape[:2]
        factor = max(height, width) / INPUT_PX
        size = max(1, round(width / factor)), max(1, round(height / factor))
        border = (INPUT_PX - np.array(size)) // 2  # left, top
        square = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
        interpolation = cv2.INTER_AREA if factor > 1 else cv2.INTER_LINEAR
        square[border[1] :, border[0] :][: size[1], : size[0]] = cv2.resize(image, size, interpolation=interpolation)
        self._network.setInput(cv2.dnn.blobFromImage(square, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        # points (cells, 8, 2): centre from the cell's, width and height, six key points from the cell's centre
        logits, points = sorted(self._network.forward(self._outputs), key=np.size)
        points = points.reshape(-1, 8, 2)
        scores = 1 / (1 + np.exp(-logits.ravel().clip(-50, 50)))
        chosen = np.flatnonzero(scores >= self._settings.min_score)
        faces = []
        for offsets, center, score in zip(points[chosen], self._centers[chosen], scores[chosen], strict=True):
            middle, eyes = (offsets[:1] + center - border)[0] * factor, (offsets[2:4] + center - border) * factor
            sides = offsets[1] * factor
            faces.append(Face(np.append(middle - sides / 2, sides), eyes, float(score)))
        return faces


class YunetFinder:
    """YuNet (Wu, Peng & Yu 2023, Machine Intelligence Research 20)."""

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
            self._network = cv2.FaceDetectorYN.create(str(model), "", (320, 320), settings.min_score, MAX_OVERLAP)
        except cv2.error as error:
            reason = " ".join(str(error.err).split())[:120]
            raise UserError(f"--detector-model: {model}: not a network that OpenCV reads ({reason})") from None
        self(np.zeros((64, 64), np.uint8))  # reports another network before the first picture

    def __call__(self, image: np.ndarray) -> list[Box]:
        """Return boxes of the faces in (height, width[, 3]) uint8, from left to right."""
        color = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if image.ndim == 2 else cv2.COLOR_RGB2BGR)
        factor = scale_factor(color)
        small = scaled_down(color, factor)
        self._network.setInputSize(small.shape[1::-1])  # width, height
        try:
            _, found = self._network.detect(small)
        except cv2.error:
            raise UserError("--detector-model: not YuNet: its output has another form") from None
        # 15 values a face: box, right eye, left eye, three more key points, score
        faces = [Face(row[:4], row[4:8].reshape(2, 2), float(row[14])) for row in (found if found is not None else [])]
        return framed(faces, factor, image, self._min_face_px)


def rot90(image: np.ndarray, quarter_turns: int) -> np.ndarray:
    """Return the image turned counterclockwise."""
    return np.ascontiguousarray(np.rot90(image, quarter_turns))


def turned_back(face: Face, quarter_turns: int, shape: tuple[int, ...]) -> Face:
    """Return a face of the turned image in pixels of the image of this shape, (height, width, …)."""
    centers = np.stack([face.rect[:2] + face.rect[2:] / 2, *face.eyes])  # (3, x and y)
    for turn in reversed(range(quarter_turns)):
        width = shape[1] if turn % 2 == 0 else shape[0]  # before this turn
        centers = np.stack([width - centers[:, 1], centers[:, 0]], axis=1)
    sides = face.rect[2:] if quarter_turns % 2 == 0 else face.rect[:1:-1]
    return Face(np.append(centers[0] - sides / 2, sides), centers[1:], face.score)


def distinct(faces: list[Face]) -> list[Face]:
    """Return the faces without those that overlap one with a higher score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if (overlap_of_smaller(face.rect, [other.rect for other in kept]) < SAME_FACE).all():
            kept.append(face)
    return kept


def framed(faces: list[Face], factor: float, image: np.ndarray, min_face_px: int) -> list[Box]:
    """Return square boxes, framed as the faces of FER-2013, in pixels of `image`, which is larger by `factor`."""
    found = []
    for face in faces:
        side = FRAME * face.rect[2:].max()
        right_eye, left_eye = face.eyes
        tilt = np.arctan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0])  # clockwise, as y points down
        up = FRAME_UP * face.rect[2:].max() * np.array([np.sin(tilt), -np.cos(tilt)])
        left, top = face.rect[:2] + face.rect[2:] / 2 + up - side / 2
        tilt_deg = float(np.degrees(tilt)) if abs(np.degrees(tilt)) >= MIN_TILT_DEG else 0.0
        found.append((tuple(factor * float(value) for value in (left, top, side, side)), tilt_deg))
    return to_boxes([(rect, tilt_deg) for rect, tilt_deg in found if rect[2] >= min_face_px], image)


def whole(image: np.ndarray) -> list[Box]:
    """Return one box around the whole picture, for pictures that are faces already."""
    return [Box(0, 0, image.shape[1], image.shape[0])]


def make_finder(detector: str, model: Path | None, settings: FinderSettings, in_video: bool = False) -> Finder:
    """Return the finder of `detector`: blazeface | yunet | none (the picture is the face).

    Raises `UserError` for a wrong `model`, the file of YuNet.
    """
    if model is not None and detector != "yunet":
        refuse("only YuNet reads it", where="--detector-model", allowed="with --detector yunet", received=str(model))
    if detector == "none":
        return whole
    if detector == "blazeface":
        return BlazeFinder(settings, in_video)
    if model is None:
        raise UserError("--detector-model: missing; --detector yunet needs the path of its .onnx file")
    return YunetFinder(settings, model)
