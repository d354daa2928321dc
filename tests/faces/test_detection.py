"""Face detection: upright, tilted, lying, upside down, cut off, small, many, none; boxes in the picture; YuNet."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from stages.core import weights
from stages.core.errors import UserError
from stages.faces.detection import BlazeFinder, Face, FinderSettings, distinct, framed, make_finder, turned_back
from stages.faces.frames import Video
from stages.faces.geometry import tiles, to_box, to_boxes
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
def find() -> BlazeFinder:
    return BlazeFinder(FinderSettings())


@pytest.fixture(scope="module")
def portrait_box(portrait: np.ndarray, find: BlazeFinder) -> Box:
    [box] = find(portrait)
    return box


def rotation(degrees: float) -> np.ndarray:
    """Return the matrix (2, 3) of a counterclockwise rotation about the face of the portrait."""
    return cv2.getRotationMatrix2D((145, 120), degrees, 1.0)


def rotated(image: np.ndarray, degrees: float) -> np.ndarray:
    return cv2.warpAffine(image, rotation(degrees), image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def contains(box: Box, x: float, y: float) -> bool:
    return box.left <= x < box.left + box.width and box.top <= y < box.top + box.height


@needs_portrait
def test_finds_a_face_in_colour_and_gray(portrait: np.ndarray, find: BlazeFinder, portrait_box: Box):
    assert all(contains(portrait_box, x, y) for x, y in EYES_AND_MOUTH)
    assert 100 < portrait_box.width < 140
    assert not portrait_box.cut_off
    [gray] = find(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY))
    assert (gray.left, gray.top, gray.width) == pytest.approx(
        (portrait_box.left, portrait_box.top, portrait_box.width), abs=8
    )
    assert crop(portrait, portrait_box).shape == (portrait_box.height, portrait_box.width, 3)


@needs_portrait
@pytest.mark.parametrize("factor", [0.5, 1.5, 2.25, 4, 9])
def test_enlarging_a_picture_does_not_change_its_faces(
    portrait: np.ndarray, find: BlazeFinder, portrait_box: Box, factor: float
):
    [box] = find(cv2.resize(portrait, None, fx=factor, fy=factor))
    actual = np.array((box.left, box.top, box.width, box.height)) / factor
    expected = (portrait_box.left, portrait_box.top, portrait_box.width, portrait_box.height)
    assert actual == pytest.approx(expected, abs=4)


@needs_portrait
def test_finds_a_small_face_in_a_wide_picture(portrait: np.ndarray, find: BlazeFinder, portrait_box: Box):
    left = 2_100
    wide = np.zeros((portrait.shape[0], left + portrait.shape[1], 3), np.uint8)
    wide[:, left:] = portrait
    [box] = find(wide)
    assert (box.left - left, box.top, box.width) == pytest.approx(
        (portrait_box.left, portrait_box.top, portrait_box.width), abs=12
    )


@needs_portrait
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 8)])
def test_finds_up_to_forty_faces(portrait: np.ndarray, find: BlazeFinder, shape: tuple[int, int]):
    small = cv2.resize(portrait[20:270, 20:270], (200, 200), interpolation=cv2.INTER_AREA)
    boxes = find(np.tile(small, (*shape, 1)))
    assert len(boxes) == shape[0] * shape[1]
    assert {(box.left // 200, box.top // 200) for box in boxes} == {
        (column, row) for row in range(shape[0]) for column in range(shape[1])
    }


@needs_portrait
def test_reports_a_face_that_is_cut_off(portrait: np.ndarray, find: BlazeFinder, portrait_box: Box):
    [box] = find(portrait[:, portrait_box.left + round(0.12 * portrait_box.width) :])
    assert box.cut_off
    assert box.left == 0


@needs_portrait
@pytest.mark.parametrize("degrees", [45, 30, 15, -30, -60])
def test_finds_a_tilted_face_and_its_tilt(portrait: np.ndarray, find: BlazeFinder, degrees: int):
    [box] = find(rotated(portrait, degrees))
    assert box.tilt_deg == pytest.approx(-degrees, abs=15)  # OpenCV rotates counterclockwise, a tilt is clockwise
    assert all(contains(box, *(rotation(degrees) @ (x, y, 1))) for x, y in EYES_AND_MOUTH)


@needs_portrait
@pytest.mark.parametrize(("quarter_turns", "tilt_deg"), [(1, -90), (2, 180), (3, 90)])
def test_a_picture_on_its_side_or_upside_down_is_turned_upright(
    portrait: np.ndarray, find: BlazeFinder, portrait_box: Box, quarter_turns: int, tilt_deg: float
):
    image = np.ascontiguousarray(np.rot90(portrait, quarter_turns))  # counterclockwise
    [box] = find(image)
    assert (box.tilt_deg - tilt_deg + 180) % 360 - 180 == pytest.approx(0, abs=30)
    upright = cv2.resize(crop(image, box), (24, 24), interpolation=cv2.INTER_AREA).astype(float)
    expected = cv2.resize(crop(portrait, portrait_box), (24, 24), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(upright.ravel(), expected.ravel())[0, 1] > 0.5


@pytest.mark.skipif(not CLIP.exists(), reason="the project contains no clips of people")
@pytest.mark.parametrize("mirrored", [False, True])
def test_finds_half_profiles_on_either_side(find: BlazeFinder, mirrored: bool):
    """The heads of both people are tilted, and one of them is in half profile."""
    eyes = [(57, 110), (328, 97)]  # by eye
    frames = list(Video(CLIP).frames())
    image = frames[len(frames) // 2].image[..., ::-1]
    if mirrored:
        image, eyes = np.ascontiguousarray(image[:, ::-1]), [(image.shape[1] - x, y) for x, y in reversed(eyes)]
    boxes = find(image)
    assert [box.tilt_deg for box in boxes] == pytest.approx([30 if mirrored else -30] * 2, abs=20)
    assert all(contains(box, x, y) for box, (x, y) in zip(boxes, eyes, strict=True))


@needs_portrait
def test_ignores_faces_below_the_minimum_size_or_score(portrait: np.ndarray):
    assert BlazeFinder(FinderSettings(min_face_px=200))(portrait) == []
    assert BlazeFinder(FinderSettings(min_score=0.99))(portrait) == []


@needs_portrait
def test_finds_a_face_in_a_panorama(find: BlazeFinder, portrait: np.ndarray):
    """Scaled down by its longer side alone, the face would have seven pixels."""
    panorama = np.full((200, 20_000, 3), 90, np.uint8)
    panorama[:, 9_000:9_200] = cv2.resize(portrait, (200, 200), interpolation=cv2.INTER_AREA)
    [alone], [found] = find(panorama[:, 9_000:9_200]), find(panorama)
    assert found.tilt_deg == 0
    assert abs(found.left - 9_000 - alone.left) < 10


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3000), (300, 2, 3), (60, 60), (200, 8_000, 3)])
def test_finds_nothing_in_a_plain_picture_of_any_shape(find: BlazeFinder, shape: tuple[int, ...]):
    assert find(np.full(shape, 90, np.uint8)) == []


def test_an_unreadable_network_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "text.tflite").write_text("no network")
    monkeypatch.setattr(weights, "path", lambda name: tmp_path / "text.tflite")
    with pytest.raises(UserError, match=r"weights blazeface: .*text.tflite: not a network that OpenCV reads"):
        BlazeFinder(FinderSettings())


# ---- geometry ----


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [
        ((100, 100), 100, 100),
        ((480, 640), 160, 160),
        ((200, 8_192), 2_048, 200),
        ((1, 3_000), 750, 192),  # of 1 px they would be 4,500
        ((7, 3), 1, 1),
    ],
)
def test_tiles_cover_the_picture_and_overlap(shape: tuple[int, int], side: int, expected: int):
    image = np.zeros(shape, np.uint8)
    covered = np.zeros(shape, int)
    for left, top, tile in tiles(image, side):
        assert tile == expected
        assert left >= 0
        assert top >= 0
        covered[top : top + tile, left : left + tile] += 1
    assert covered.min() >= 1
    lefts = sorted({left for left, _, _ in tiles(image, side)})
    assert np.diff(lefts).max(initial=0) <= np.ceil(expected * 2 / 3)


def test_of_overlapping_faces_the_most_certain_stays():
    eyes = np.zeros((2, 2))
    sure, unsure = Face(np.array([10.0, 10, 40, 40]), eyes, 0.9), Face(np.array([14.0, 12, 44, 44]), eyes, 0.7)
    part, other = Face(np.array([30.0, 30, 15, 15]), eyes, 0.8), Face(np.array([60.0, 10, 40, 40]), eyes, 0.6)
    assert distinct([unsure, part, other, sure]) == [sure, other]


def test_boxes_are_framed_as_in_fer2013_and_tilted_by_the_eyes():
    """The detected square of 100 px becomes one of 114, moved by 5 px towards the forehead."""
    image, rect = np.zeros((400, 400), np.uint8), np.array([100.0, 100, 100, 100])
    level = Face(rect, np.array([(130.0, 140), (170, 144)]), 0.9)  # 5.7 degrees, which is level
    lying = Face(rect, np.array([(160.0, 130), (160, 170)]), 0.9)  # the forehead on the right
    [box] = framed([level], 1.0, image, 40)
    assert (box.left, box.top, box.width, box.height, box.tilt_deg) == (93, 88, 114, 114, 0)
    [box] = framed([lying], 1.0, image, 40)
    assert (box.left, box.top, box.tilt_deg) == (98, 93, 90)
    [box] = framed([level], 2.0, np.zeros((800, 800), np.uint8), 40)
    assert (box.left, box.width) == (187, 228)
    assert framed([level], 1.0, image, 120) == []


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_faces_of_a_turned_image_are_turned_back(quarter_turns: int):
    image = np.zeros((60, 90), np.uint8)
    image[10:30, 40:70], image[12, 45], image[12, 60] = 100, 200, 250  # a face and its eyes
    turned = np.rot90(image, quarter_turns)
    (y0, y1), (x0, x1) = ((axis.min(), axis.max() + 1) for axis in np.nonzero(turned))
    eyes = [np.argwhere(turned == value)[0][::-1] + 0.5 for value in (200, 250)]
    face = turned_back(Face(np.array([x0, y0, x1 - x0, y1 - y0]), np.array(eyes), 0.7), quarter_turns, image.shape)
    assert face.rect.tolist() == [40, 10, 30, 20]
    assert face.eyes.tolist() == [[45.5, 12.5], [60.5, 12.5]]


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
        ({"min_score": 3_000_000_000}, "--min-score: .*allowed: 0.05 to 1"),
        ({"min_score": float("nan")}, "--min-score: .*allowed: 0.05 to 1"),
        ({"min_face_px": 0}, "--min-face-px: .*allowed: 8 to 8192"),
    ],
)
def test_rejects_settings_out_of_range(settings: dict, words: str):
    with pytest.raises(UserError, match=words):
        FinderSettings(**settings)


@pytest.mark.parametrize(
    ("detector", "name", "words"),
    [
        ("blazeface", "other.onnx", "only YuNet"),
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
    level_eyes = [0, 0, 10, 0, *[0] * 6]
    # Most of the second lies outside.
    rows = [[40, 10, 30, 40, *level_eyes, 0.9], [190, 50, 40, 40, *level_eyes, 0.9]]
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: FakeYunet(np.array(rows, np.float32)))
    (tmp_path / "yunet.onnx").write_bytes(b"x")
    find = make_finder("yunet", tmp_path / "yunet.onnx", FinderSettings(min_face_px=20))
    assert find(np.zeros((100, 200), np.uint8)) == [Box(32, 5, 46, 46)]
