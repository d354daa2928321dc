"""Faces in video: detected in every k-th frame, tracked in those between, lost, gone, and new after a cut."""

import cv2
import numpy as np
import pytest
from conftest import ROOT

from stages.faces.detection import BlazeFinder, FinderSettings
from stages.faces.follower import Follower, FollowSettings, _Face
from stages.faces.frames import Frame, Video
from stages.serving.boxes import Box

CLIPS = ROOT.parent / "shared/media"
SIDE = 30

needs_clips = pytest.mark.skipif(not CLIPS.exists(), reason="the project contains no clips of people")


class Scene:
    """A bright patch of noise on dark noise, and a finder of bright patches that finds none while `hidden`."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        blocks = np.ones((3, 3, 1))
        self.background = np.kron(rng.integers(60, 110, (60, 80, 1)), blocks).astype(np.uint8).repeat(3, axis=2)
        self.patch = np.kron(rng.integers(150, 256, (10, 10, 1)), blocks).astype(np.uint8).repeat(3, axis=2)
        self.n_searches, self.hidden = 0, False

    def frame(self, time_s: float, x: int, y: int = 60) -> Frame:
        image = self.background.copy()
        image[y : y + SIDE, x : x + SIDE] = self.patch
        return Frame(time_s, image)

    def find(self, image: np.ndarray) -> list[Box]:
        self.n_searches += 1
        bright = cv2.morphologyEx((image.min(axis=2) > 140).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5)))
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)  # x, y, width, height, area; first the background
        return [] if self.hidden else [Box(*map(int, row[:4])) for row in stats[1:] if row[4] > 400]


def follow(scene: Scene, detect_every: int = 4) -> Follower:
    return Follower(scene.find, FollowSettings(detect_every, min_face_px=30))


def blank(time_s: float) -> Frame:
    return Frame(time_s, np.zeros((120, 160, 3), np.uint8))


def test_a_moving_face_keeps_its_number_and_is_detected_in_every_kth_frame():
    scene = Scene()
    locate = follow(scene)
    for step in range(20):
        [face] = locate(scene.frame(step / 25, 20 + 3 * step))
        assert (face.number, face.box.tilt_deg) == (0, 0)
        assert abs(face.box.left - (20 + 3 * step)) <= 3
        assert abs(face.box.width - SIDE) <= 2
    assert scene.n_searches == 5  # in frames 0, 4, 8, 12 and 16


def test_boxes_are_in_pixels_of_the_frame_also_when_it_is_scaled_down():
    scene = Scene()
    frame = Frame(0.0, scene.frame(0.0, 90).image.repeat(4, axis=0).repeat(4, axis=1))
    [face] = Follower(scene.find, FollowSettings(1, min_face_px=120))(frame)
    assert (face.box.left, face.box.top, face.box.width, face.box.height) == pytest.approx((360, 240, 120, 120), abs=4)


def test_an_undetected_face_is_tracked_for_half_a_second():
    scene = Scene()
    locate = follow(scene, detect_every=1)
    locate(scene.frame(0.0, 50))
    scene.hidden = True
    is_located = [bool(locate(scene.frame(step / 10, 50 + 2 * step))) for step in range(1, 9)]
    assert is_located == [True] * 4 + [False] * 4
    scene.hidden = False
    [face] = locate(scene.frame(0.9, 68))
    assert face.number == 0  # it was away for half a second only


def test_a_face_after_a_cut_has_a_new_number():
    scene, other = Scene(0), Scene(1)
    locate = follow(scene, detect_every=100)
    assert [locate(scene.frame(step / 25, 50))[0].number for step in range(3)] == [0, 0, 0]
    other.background[:] = 20
    assert [locate(other.frame((3 + step) / 25, 52))[0].number for step in range(3)] == [1, 1, 1]


def test_a_new_face_is_detected_within_a_second():
    scene = Scene()
    locate = follow(scene, detect_every=3)
    numbers = []
    for step in range(40):
        frame = scene.frame(step / 25, 50)
        if step >= 5:
            frame.image[130 : 130 + SIDE, 180 : 180 + SIDE] = scene.patch
        numbers.append([face.number for face in locate(frame)])
    first = numbers.index([0, 1])
    assert 5 <= first <= 5 + 25 + 3
    assert numbers == [[0]] * first + [[0, 1]] * (40 - first)


def test_a_face_that_leaves_the_frame_is_dropped():
    scene = Scene()
    locate = follow(scene, detect_every=2)
    counts = [len(locate(Frame(time_s, scene.background[:, :160]))) for time_s in (0.0, 0.04)]
    assert counts == [0, 0]
    for step in range(30):  # the patch leaves on the left, in steps that optical flow can track
        image = np.roll(scene.frame(0, 60).image, -3 * step, axis=1)[:, :160]
        faces = locate(Frame(0.1 + step / 10, image))
        assert all(face.box.left >= 0 and face.box.left + face.box.width <= 160 for face in faces)
        counts.append(len(faces))
    assert counts[2:17] == [1] * 15
    assert counts[-1] == 0


def test_many_faces_keep_their_numbers():
    """There are more faces than are searched one by one."""
    image = np.zeros((120, 400, 3), np.uint8)
    for left in range(20, 300, 40):
        image[20:32, left : left + 12] = 255

    def spots(region: np.ndarray) -> list[Box]:
        bright = (region[..., 0] > 128).astype(np.uint8)
        return [Box(*map(int, stats[:4])) for stats in cv2.connectedComponentsWithStats(bright)[2][1:]]

    locate = Follower(spots, FollowSettings(1, min_face_px=30))
    for step in range(40):
        assert [face.number for face in locate(Frame(0.1 * step, image))] == list(range(7))


def test_a_face_that_only_a_closer_look_finds_is_searched_near_its_last_box():
    scene = Scene()
    locate = follow(scene, detect_every=1)
    locate(scene.frame(0.0, 50))
    find, scene.find = scene.find, None
    locate._find = lambda image: find(image) if image.shape[0] < 150 else []
    for step in range(1, 12):
        [face] = locate(scene.frame(step / 10, 50 + 2 * step))
        assert face.number == 0
        assert abs(face.box.left - 50 - 2 * step) <= 3


def follow_boxes(boxes: list[Box]) -> Follower:
    """Return a follower whose finder returns the present content of `boxes` for whole frames, nothing for regions."""
    return Follower(lambda image: list(boxes) if image.shape == (120, 160, 3) else [], FollowSettings(1, 30))


def test_two_boxes_that_merge_become_the_older_face():
    boxes: list[Box] = []
    locate, counts = follow_boxes(boxes), []
    for step, left in enumerate(range(100, 40, -5)):
        boxes[:] = [Box(40, 40, 40, 40), Box(left, 40, 40, 40)]
        numbers = [face.number for face in locate(blank(0.04 * step))]
        assert numbers in ([0], [0, 1])
        counts.append(len(numbers))
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (2, 1)


def test_a_box_inside_a_face_is_not_a_new_face():
    locate = follow_boxes([Box(40, 40, 40, 40), Box(50, 45, 20, 20)])
    for step in range(5):
        assert [(face.number, face.box.width) for face in locate(blank(0.2 * step))] == [(0, 40)]


@pytest.mark.parametrize(("left", "widths"), [(10, [40]), (-8, [24]), (-12, [])])
def test_a_tilted_face_is_dropped_once_less_than_half_of_it_is_visible(left: int, widths: list[int]):
    locate = follow_boxes([])
    locate(blank(0.0))
    locate._faces = [_Face(np.array([left, 40.0, 40, 40]), 30.0, 0.1)]
    assert [face.box.width for face in locate(blank(0.1))] == widths


def follow_people() -> Follower:
    """Return a follower with the default settings of `stages.apps.live`."""
    return Follower(BlazeFinder(FinderSettings(min_face_px=30), in_video=True), FollowSettings())


@needs_clips
@pytest.mark.parametrize(("name", "numbers"), [("sad_to_laughing.mp4", [0]), ("two_faces.gif", [0, 1])])
def test_people_keep_their_numbers_through_a_clip(name: str, numbers: list[int]):
    """In one clip, hands cover the face; in the other, heads turn and tilt."""
    locate = follow_people()
    located = [[face.number for face in locate(frame)] for frame in Video(CLIPS / name).frames()]
    assert located.count(numbers) == len(located)


@needs_clips
def test_small_faces_of_a_large_frame_are_found_tile_by_tile():
    """A face of 70 px in a frame of 1280 px has 10 px in the detector's network."""
    person = next(Video(CLIPS / "sad_to_laughing.mp4").frames()).image[:, 140:500]
    frame = np.full((720, 1280, 3), 128, np.uint8)
    frame[400:490, 900:990] = cv2.resize(person, (90, 90), interpolation=cv2.INTER_AREA)
    locate = follow_people()
    located = [locate(Frame(step / 25, frame)) for step in range(60)]
    first = [bool(faces) for faces in located].index(True)
    assert first <= 25
    assert all(len(faces) == 1 and faces[0].number == 0 for faces in located[first:])
    box = located[-1][0].box
    assert 890 < box.left < box.left + box.width < 1010
