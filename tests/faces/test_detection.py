"""Face detection: upright, tilted, half profile, cut off, small, many, none; boxes inside the picture; YuNet."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from stages.core.errors import UserError
from stages.faces.detection import FinderSettings, HaarFinder, make_finder
from stages.faces.frames import Video
from stages.faces.geometry import to_box, to_boxes
from stages.serving.boxes import Box, crop

PORTRAIT = ROOT.parent / "shared/media/astronaut.png"
CLIP = ROOT.parent / "shared/media/two_faces.gif"
EYES_AND_MOUTH = (125, 110), (165, 110), (144, 140)  # in the portrait, by eye

needs_portrait = pytest.mark.skipif(not PORTRAIT.exists(), reason="the project contains no pictures of people")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """Head and shoulders of one person, (300, 290, 3) uint8 RGB."""
    return np.asarray(Image.open(PORTRAIT).convert("RGB"))[:300, 80:370]


@pytest.fixture(scope="module")
def find() -> HaarFinder:
    return HaarFinder(FinderSettings())


@pytest.fixture(scope="module")
def portrait_box(portrait: np.ndarray, find: HaarFinder) -> Box:
    [box] = find(portrait)
    return box


def rotation(degrees: float) -> np.ndarray:
    """Return the matrix (2, 3) of a counterclockwise rotation about the face of the portrait."""
    return cv2.getRotationMatrix2D((145, 120), degrees, 1.0)


def rotated(image: np.ndarray, degrees: float) -> np.ndarray:
    return cv2.warpAffine(image, rotation(degrees), image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


@needs_portrait
def test_finds_a_face_in_colour_and_gray(portrait: np.ndarray, find: HaarFinder, portrait_box: Box):
    assert all(contains(portrait_box, x, y) for x, y in EYES_AND_MOUTH)
    assert 70 < portrait_box.width < 160
    assert not portrait_box.cut_off
    assert find(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)) == [portrait_box]
    assert crop(portrait, portrait_box).shape == (portrait_box.height, portrait_box.width, 3)


@needs_portrait
def test_boxes_in_a_large_picture_have_its_scale(portrait: np.ndarray, find: HaarFinder, portrait_box: Box):
    """Pictures beyond 1920 px are searched scaled down."""
    left = 2_100
    large = np.zeros((portrait.shape[0], left + portrait.shape[1], 3), np.uint8)
    large[:, left:] = portrait
    [box] = find(large)
    difference = np.subtract(
        (box.left - left, box.top, box.width), (portrait_box.left, portrait_box.top, portrait_box.width)
    )
    assert np.abs(difference).max() < 12


@needs_portrait
def test_reports_a_face_that_is_cut_off(portrait: np.ndarray, find: HaarFinder, portrait_box: Box):
    [box] = find(portrait[:, portrait_box.left + round(0.12 * portrait_box.width) :])
    assert box.cut_off
    assert box.left == 0


@needs_portrait
def test_finds_tilted_faces_and_each_only_once(portrait: np.ndarray, find: HaarFinder):
    rotations_deg = 30, 0, -30  # OpenCV rotates counterclockwise, a tilt is clockwise
    boxes = find(np.concatenate([rotated(portrait, degrees) for degrees in rotations_deg], axis=1))
    assert [box.tilt_deg for box in boxes] == [-degrees for degrees in rotations_deg]
    for number, (box, degrees) in enumerate(zip(boxes, rotations_deg, strict=True)):
        for x, y in EYES_AND_MOUTH:
            assert contains(box, *(rotation(degrees) @ (x, y, 1) + (number * portrait.shape[1], 0)))


@pytest.mark.skipif(not CLIP.exists(), reason="the project contains no clips of people")
@pytest.mark.parametrize("mirrored", [False, True])
def test_finds_half_profiles_on_either_side(find: HaarFinder, mirrored: bool):
    """The heads of both people are tilted, and one of them is in half profile."""
    eyes = [(57, 110), (328, 97)]  # by eye
    frames = list(Video(CLIP).frames())
    image = frames[len(frames) // 2].image[..., ::-1]
    if mirrored:
        image, eyes = np.ascontiguousarray(image[:, ::-1]), [(image.shape[1] - x, y) for x, y in reversed(eyes)]
    boxes = find(image)
    assert [box.tilt_deg for box in boxes] == [30 if mirrored else -30] * 2
    assert all(contains(box, x, y) for box, (x, y) in zip(boxes, eyes, strict=True))
    assert len(HaarFinder(FinderSettings(), views=("frontal",))(image)) == 1


def contains(box: Box, x: float, y: float) -> bool:
    return box.left <= x < box.left + box.width and box.top <= y < box.top + box.height


@needs_portrait
def test_ignores_faces_below_the_minimum_size(portrait: np.ndarray):
    assert HaarFinder(FinderSettings(min_face_px=200))(portrait) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3000), (300, 2, 3), (60, 60)])
def test_finds_nothing_in_a_plain_picture_of_any_shape(find: HaarFinder, shape: tuple[int, ...]):
    assert find(np.full(shape, 90, np.uint8)) == []


# ---- boxes ----


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, -30.0])
def test_crop_rotates_a_tilted_face_upright(tilt_deg: float):
    image, angle = np.zeros((120, 140, 3), np.uint8), np.deg2rad(tilt_deg)
    tip = round(60 + 24 * np.sin(angle)), round(50 - 24 * np.cos(angle))
    cv2.line(image, (60, 50), tip, (255, 255, 255), 5)  # a bar from the centre of the face upwards, tilted
    face = crop(image, Box(30, 20, 61, 61, tilt_deg=tilt_deg))
    y, x = np.nonzero(face[..., 0] > 128)
    assert face.shape == (61, 61, 3)
    assert np.abs(x - 30).max() <= 5
    assert (y.min(), y.max()) == pytest.approx((6, 32), abs=4)


@pytest.mark.parametrize(("left", "side"), [(10, 40), (-10, 20), (70, 20)])
def test_a_tilted_box_at_the_edge_shrinks_on_all_sides(left: int, side: int):
    """It stays a square around the same centre, so that the face is not distorted."""
    box = to_box((left, 30, 40, 40), 30.0, np.zeros((100, 100, 3), np.uint8))
    assert (box.width, box.height) == (side, side)
    assert (box.left + side / 2, box.top + side / 2) == (left + 20, 50)
    assert (box.tilt_deg, box.cut_off) == (30.0, left != 10)


def test_boxes_lie_inside_the_picture_from_left_to_right():
    image = np.zeros((100, 80), np.uint8)
    rects = (-10, 5, 40, 40), (50, 70, 30, 30), (-30, 0, 40, 40), (10, 10, 20, 20)  # of the third, too little is inside
    boxes = to_boxes([(rect, 0.0) for rect in rects], image)
    assert boxes == [Box(0, 5, 30, 40, True), Box(10, 10, 20, 20, False), Box(50, 70, 30, 30, False)]


# ---- settings and YuNet ----


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"min_neighbors": 3_000_000_000}, "--min-neighbors: .*allowed: 0 to 1000"),
        ({"scale_factor": float("nan")}, "--scale-factor: .*allowed: 1.01 to 4"),
        ({"min_face_px": 0}, "--min-face-px: .*allowed: 8 to 8192"),
    ],
)
def test_rejects_settings_out_of_range(settings: dict, words: str):
    with pytest.raises(UserError, match=words):
        FinderSettings(**settings)


@pytest.mark.parametrize(
    ("detector", "name", "words"),
    [
        ("haar", "other.onnx", "only YuNet"),
        ("yunet", None, "missing"),
        ("yunet", "none.onnx", "no such file"),
        ("yunet", "text.onnx", "not a network"),
        ("yunet", "other.onnx", "not YuNet"),
    ],
)
def test_rejects_a_wrong_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, detector: str, name, words: str):
    (tmp_path / "text.onnx").write_text("no network")
    (tmp_path / "other.onnx").write_bytes(b"x")
    if name == "other.onnx":
        monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: FakeYunet(None))
    with pytest.raises(UserError, match=f"--detector-model: .*{words}"):
        make_finder(detector, name and tmp_path / name, FinderSettings())


class FakeYunet:
    """A network whose output is known, or which raises OpenCV's error where it is None."""

    def __init__(self, faces: np.ndarray | None) -> None:
        self._faces = faces

    def setInputSize(self, size: tuple[int, int]) -> None:
        self._size = size

    def detect(self, image: np.ndarray) -> tuple[int, np.ndarray]:
        assert image.shape == (*self._size[::-1], 3)
        if self._faces is None:
            raise cv2.error("no such output")
        return 1, self._faces


def test_yunet_boxes_are_squares_inside_the_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    rows = [[40, 10, 30, 40, *[0] * 10, 0.9], [190, 50, 40, 40, *[0] * 10, 0.9]]  # most of the second lies outside
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: FakeYunet(np.array(rows, np.float32)))
    (tmp_path / "yunet.onnx").write_bytes(b"x")
    find = make_finder("yunet", tmp_path / "yunet.onnx", FinderSettings(min_face_px=20))
    assert find(np.zeros((100, 200), np.uint8)) == [Box(35, 10, 40, 40)]
