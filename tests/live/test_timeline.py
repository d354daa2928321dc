"""Rows of faces are written at once; the timeline of a video of any length takes bounded memory."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.faces.frames import Frame
from stages.live import timeline as module
from stages.live.recognition import LabeledFace, LabeledFrame
from stages.live.timeline import FaceRows, Timeline, draw_timeline
from stages.serving.boxes import Box

CLASSES = ["happy", "sad"]
INFO = {"run": "faces_compact", "protocol": "official", "synthetic": True}
IMAGE = np.zeros((1, 1, 3), np.uint8)


def label(time_s: float, **first_class: float) -> LabeledFrame:
    """Return a frame with faces: f1=0.7 is face 1 with probability 0.7 of the first class."""
    faces = []
    for name, p in first_class.items():
        smoothed = np.array([p, 1 - p])
        faces.append(LabeledFace(int(name[1:]), Box(1, 2, 3, 4), smoothed[::-1], smoothed, int(smoothed.argmax())))
    return LabeledFrame(Frame(time_s, IMAGE), faces)


def make_timeline(*frames: LabeledFrame) -> Timeline:
    timeline = Timeline(CLASSES)
    for frame in frames:
        timeline.add(frame)
    return timeline


# ---- rows ----


def test_each_face_of_each_frame_has_a_row(tmp_path: Path):
    path = tmp_path / "a.csv"
    rows = FaceRows(path, CLASSES)
    for frame in (label(0.0, f1=0.75, f2=0.5), label(0.04), label(0.12, f2=0.125)):
        rows.add(frame)
    rows.close()
    written = list(csv.DictReader(path.open()))
    assert [(row["time_s"], row["face"], row["class"]) for row in written] == [
        ("0.000000", "1", "happy"),
        ("0.000000", "2", "happy"),
        ("0.120000", "2", "sad"),
    ]
    last = written[-1]
    assert [last[key] for key in ("left", "top", "width", "height", "tilt_deg")] == ["1", "2", "3", "4", "0"]
    names = "raw_happy", "raw_sad", "smoothed_happy", "smoothed_sad"
    assert [float(last[name]) for name in names] == [0.875, 0.125, 0.125, 0.875]


def test_rows_are_written_before_the_end(tmp_path: Path):
    rows = FaceRows(tmp_path / "a.csv", CLASSES)
    for number in range(300):
        rows.add(label(number / 25, f1=0.5))
    assert (tmp_path / "a.csv").stat().st_size > 8_000
    rows.close()


# ---- timeline ----


def test_stretches_by_hand():
    """With steps of 0.05 s, two frames share the first step, and the face is absent in the third."""
    frames = label(0.0, f1=0.9), label(0.02, f1=0.7), label(0.06, f1=0.4), label(0.11), label(0.16, f1=1.0), label(0.2)
    timeline = make_timeline(*frames)
    (edges, means, shown), (later_edges, later_means, _) = timeline.stretches(1)
    assert edges == pytest.approx([0, 0.05, 0.1])
    assert means == pytest.approx(np.array([[0.8, 0.2], [0.4, 0.6]]))
    assert shown.tolist() == [0, 1]
    assert later_edges == pytest.approx([0.15, 0.2])
    assert later_means == pytest.approx(np.array([[1.0, 0.0]]))
    assert timeline.until_s == pytest.approx(0.25)


def test_a_slow_camera_leaves_no_gaps():
    [(edges, means, _)] = make_timeline(label(0, f1=0.2), label(1, f1=0.3), label(2, f1=0.4)).stretches(1)
    assert edges == pytest.approx([0, 1, 2, 2.05])
    assert means[:, 0] == pytest.approx([0.2, 0.3, 0.4])


def test_memory_does_not_grow_with_the_duration():
    n_frames = 2_000
    timeline = make_timeline(*(label(number / 5, f1=number / n_frames) for number in range(n_frames)))
    assert len(timeline._steps) <= module.MAX_STEPS
    assert timeline.step_s == 0.4  # 400 s
    [(edges, means, _)] = timeline.stretches(1)
    middles_s = (edges[:-1] + edges[1:]) / 2
    assert means[:, 0] == pytest.approx(middles_s / 400, abs=0.002)
    assert (timeline.n_frames, timeline.n_faces) == (n_frames, 1)


def test_memory_does_not_grow_with_the_number_of_faces():
    frames = (label(number / 25, f1=0.5, **{f"f{number + 2}": 0.5}) for number in range(200))
    timeline = make_timeline(*frames)
    assert len(timeline._faces) <= 2 * module.KEPT_FACES
    assert timeline.n_faces == 201
    assert timeline.longest(1) == [1]


def test_faces_of_the_present_frame_are_kept_and_counted_once():
    """Also where there are more of them than the timeline keeps otherwise."""
    crowd = {f"f{number}": 0.5 for number in range(1, 101)}
    timeline = make_timeline(*(label(number / 25, **crowd) for number in range(10)))
    assert timeline.n_faces == 100
    for number in range(10, 40):
        timeline.add(label(number / 25, f100=0.5))
    assert timeline.longest(1) == [100]
    assert timeline._faces[100].frames == 40


# ---- picture ----


@pytest.mark.parametrize(("n_faces", "n_frames"), [(0, 0), (0, 20), (1, 20), (9, 20)])
def test_picture_has_a_row_for_each_face(tmp_path: Path, n_faces: int, n_frames: int):
    path, faces = tmp_path / "a.png", {f"f{number}": 0.1 * number for number in range(1, n_faces + 1)}
    timeline = make_timeline(*(label(number / 25, **faces) for number in range(n_frames)))
    draw_timeline(path, timeline, "clip $x$.mp4", INFO)
    with Image.open(path) as picture:
        assert picture.size[0] == 990
        assert picture.size[1] > 200 + 150 * min(n_faces, module.PICTURED_FACES)
        assert len(picture.convert("RGB").getcolors(100_000)) > 10
