"""Faces are found where they are; none, several, tiny and cut off ones come out as what they are."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from stages.apps import boxes
from stages.apps.boxes import Box, crop
from stages.apps.detection import make_finder
from stages.apps.frames import Video
from stages.apps.haar import FinderSettings, HaarFinder
from stages.core.errors import UserError

PORTRAIT = ROOT.parent / "shared/media/astronaut.png"
CLIP = ROOT.parent / "shared/media/two_faces.gif"
# Of the eyes and the chin in the portrait, read off it by eye.
EYES_AND_MOUTH = ((205, 110), (245, 110), (224, 140))

needs_portrait = pytest.mark.skipif(not PORTRAIT.exists(), reason="no picture of a person comes with the project")


LEANS = 30, 0, -30


def turn(degrees: float) -> np.ndarray:
    """(2, 3), counterclockwise round the face of the part that is cut out."""
    return cv2.getRotationMatrix2D((145, 120), degrees, 1.0)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.asarray(Image.open(PORTRAIT).convert("RGB"))


@pytest.fixture(scope="module")
def find() -> HaarFinder:
    return HaarFinder(FinderSettings())


def holds(box: Box, x: float, y: float) -> bool:
    return box.left <= x < box.left + box.width and box.top <= y < box.top + box.height


@needs_portrait
def test_a_face_in_colour_and_gray(portrait, find):
    [box] = find(portrait)
    assert all(holds(box, x, y) for x, y in EYES_AND_MOUTH)
    assert 70 < box.width < 160
    assert not box.cut_off
    [gray] = find(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY))
    assert gray == box
    assert crop(portrait, box).shape == (box.height, box.width, 3)


@needs_portrait
def test_large_pictures_are_searched_small_and_boxes_fit_the_large_one(portrait, find):
    [small] = find(portrait)
    enlarged = cv2.resize(portrait, None, fx=8, fy=8, interpolation=cv2.INTER_LINEAR)
    [large] = HaarFinder(FinderSettings(min_face_px=8 * 40))(enlarged)
    assert np.abs(np.array([large.left, large.top, large.width]) / 8 - [small.left, small.top, small.width]).max() < 12


@needs_portrait
def test_a_face_cut_off_at_the_edge_is_found_and_said(portrait, find):
    [box] = find(portrait)
    [cut] = find(portrait[:, box.left + round(0.12 * box.width) :])
    assert cut.cut_off
    assert cut.left == 0


def arrow(tilt_deg: float) -> np.ndarray:
    """A bar upward from the middle (60, 50), tilted clockwise."""
    image = np.zeros((120, 140, 3), np.uint8)
    angle = np.deg2rad(tilt_deg)
    tip = round(60 + 24 * np.sin(angle)), round(50 - 24 * np.cos(angle))
    cv2.line(image, (60, 50), tip, (255, 255, 255), 5)
    return image


@pytest.mark.parametrize("tilt_deg", [0.0, 30.0, -30.0])
def test_a_tilted_face_is_cut_out_upright(tilt_deg: float):
    face = crop(arrow(tilt_deg), Box(30, 20, 61, 61, tilt_deg=tilt_deg))
    assert face.shape == (61, 61, 3)
    y, x = np.nonzero(face[..., 0] > 128)
    assert np.abs(x - 30).max() <= 5
    assert y.max() <= 34
    assert y.min() == pytest.approx(6, abs=4)


@needs_portrait
@pytest.mark.parametrize("degrees", [-30, 30])
def test_a_head_that_leans_to_a_shoulder(portrait, find, degrees: int):
    part = cv2.copyMakeBorder(portrait[:300, 80:370], 60, 60, 60, 60, cv2.BORDER_REPLICATE)
    turn = cv2.getRotationMatrix2D((205, 210), degrees, 1.0)
    [box] = find(cv2.warpAffine(part, turn, part.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))
    for x, y in EYES_AND_MOUTH:
        assert holds(box, *(turn @ (x - 80 + 60, y + 60, 1)))
    assert box.tilt_deg == -degrees  # OpenCV turns counterclockwise


@needs_portrait
def test_a_head_that_leans_beside_one_that_does_not(portrait, find):
    """Three of one person, and none twice."""
    part = portrait[:300, 80:370]
    size = part.shape[1::-1]
    parts = [cv2.warpAffine(part, turn(degrees), size, borderMode=cv2.BORDER_REPLICATE) for degrees in LEANS]
    boxes = find(np.concatenate(parts, axis=1))
    assert [box.tilt_deg for box in boxes] == [-degrees for degrees in LEANS]
    for place, (box, degrees) in enumerate(zip(boxes, LEANS, strict=True)):
        for x, y in EYES_AND_MOUTH:
            assert holds(box, *(turn(degrees) @ (x - 80, y, 1) + (place * part.shape[1], 0)))


@pytest.mark.skipif(not CLIP.exists(), reason="no clip of people comes with the project")
@pytest.mark.parametrize("mirrored", [False, True])
def test_half_profiles_to_either_side(find, mirrored: bool):
    """Two people whose heads lean, one of them in half profile; where their eyes are was read off the frame."""
    eyes = [(57, 110), (328, 97)]
    frames = list(Video(CLIP).frames())
    image = frames[len(frames) // 2].image[..., ::-1]
    if mirrored:
        image, eyes = np.ascontiguousarray(image[:, ::-1]), [(image.shape[1] - x, y) for x, y in reversed(eyes)]
    boxes = find(image)
    assert [box.tilt_deg for box in boxes] == [30 if mirrored else -30] * 2
    assert all(holds(box, x, y) for box, (x, y) in zip(boxes, eyes, strict=True))
    frontal = HaarFinder(FinderSettings(), views=("frontal",))(image)
    assert len(frontal) == 1


@pytest.mark.parametrize(("left", "side"), [(10, 40), (-10, 20), (70, 20)])
def test_a_leaning_face_at_the_edge_is_turned_round_its_middle(left: int, side: int):
    """What is cut off on one side is left out on all: a square, so that no face is widened."""
    box = boxes.within((left, 30, 40, 40), 30.0, np.zeros((100, 100, 3), np.uint8))
    assert (box.width, box.height) == (side, side)
    assert (box.left + side / 2, box.top + side / 2) == (left + 20, 50)
    assert (box.tilt_deg, box.cut_off) == (30.0, left != 10)


@needs_portrait
def test_many_faces(portrait, find):
    tile = cv2.resize(portrait[20:210, 130:320], (90, 90), interpolation=cv2.INTER_AREA)
    boxes = find(np.tile(tile, (10, 20, 1)))
    assert 190 <= len(boxes) <= 210
    assert [box.left for box in boxes] == sorted(box.left for box in boxes)


@needs_portrait
def test_faces_smaller_than_asked_for_are_left_out(portrait):
    assert HaarFinder(FinderSettings(min_face_px=200))(portrait) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 3000), (300, 2, 3), (60, 60)])
def test_pictures_without_a_face(find, shape: tuple[int, ...]):
    assert find(np.full(shape, 90, np.uint8)) == []


def test_boxes_lie_inside_and_tell_what_is_cut():
    image = np.zeros((100, 80), np.uint8)
    rects = (-10, 5, 40, 40), (50, 70, 30, 30), (-30, 0, 40, 40), (10, 10, 20, 20)
    found = boxes.inside([(rect, 0.0) for rect in rects], image)
    assert found == [Box(0, 5, 30, 40, True), Box(10, 10, 20, 20, False), Box(50, 70, 30, 30, False)]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"min_neighbors": -1}, "--min-neighbors: out of range; allowed: 0 to 1000"),
        ({"min_neighbors": 3_000_000_000}, "--min-neighbors: out of range"),
        ({"scale_factor": 1.0}, "--scale-factor: out of range; allowed: 1.01 to 4"),
        ({"scale_factor": float("nan")}, "--scale-factor"),
        ({"min_face_px": 0}, "--min-face-px: out of range; allowed: 8 to 8192"),
        ({"min_face_px": 3_000_000_000}, "--min-face-px: out of range"),
    ],
)
def test_settings_out_of_range(settings: dict, words: str):
    with pytest.raises(UserError, match=words):
        FinderSettings(**settings)


def test_no_detection_takes_the_whole_picture():
    image = np.zeros((30, 20, 3), np.uint8)
    assert make_finder("none", None, FinderSettings())(image) == [Box(0, 0, 20, 30)]


def test_yunet_needs_its_file(tmp_path: Path):
    with pytest.raises(UserError, match="--detector-model: missing"):
        make_finder("yunet", None, FinderSettings())
    with pytest.raises(UserError, match="--detector-model: no such file"):
        make_finder("yunet", tmp_path / "no.onnx", FinderSettings())
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(UserError, match="not a network that OpenCV reads"):
        make_finder("yunet", tmp_path / "text.onnx", FinderSettings())


def test_yunet_answers_become_square_boxes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A network that answers with known rows in the place of YuNet's, whose file does not come with the project."""

    class Fixed:
        def setInputSize(self, size):
            self.size = size

        def detect(self, image):
            assert image.shape == (*self.size[::-1], 3)
            return 1, np.array([[40, 10, 30, 40, *[0] * 10, 0.9], [190, 50, 40, 40, *[0] * 10, 0.9]], np.float32)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *arguments: Fixed())
    (tmp_path / "yunet.onnx").write_bytes(b"x")
    find = make_finder("yunet", tmp_path / "yunet.onnx", FinderSettings(min_face_px=20))
    assert find(np.zeros((100, 200), np.uint8)) == [Box(35, 10, 40, 40)]  # the other lies outside for the most part


def test_another_network_is_told_of_before_the_first_picture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    class Other:
        def setInputSize(self, size): ...

        def detect(self, image):
            raise cv2.error("no such output")

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Other())
    (tmp_path / "other.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match="--detector-model: not YuNet"):
        make_finder("yunet", tmp_path / "other.onnx", FinderSettings())


def test_a_model_that_nothing_would_read():
    with pytest.raises(UserError, match="--detector-model: read by YuNet alone; allowed: with --detector yunet"):
        make_finder("haar", Path("yunet.onnx"), FinderSettings())
