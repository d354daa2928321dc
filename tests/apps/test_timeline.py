"""Rows as they come, and a picture of any length from as much memory."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stages.apps import timeline as module
from stages.apps.boxes import Box
from stages.apps.frames import Frame
from stages.apps.live_faces import Face, Seen
from stages.apps.timeline import FaceRows, Timeline, draw_timeline
from stages.core.errors import UserError

CLASSES = ["happy", "sad"]
INFO = {"run": "faces_compact", "protocol": "official", "synthetic": True}
NOTHING = np.zeros((1, 1, 3), np.uint8)


def seen(time_s: float, **firsts: float) -> Seen:
    """Faces by their number, 'f1=0.7': the probability of the first class."""
    faces = []
    for name, first in firsts.items():
        smoothed = np.array([first, 1 - first])
        faces.append(Face(int(name[1:]), Box(1, 2, 3, 4), smoothed[::-1], smoothed, int(smoothed.argmax())))
    return Seen(Frame(time_s, NOTHING), faces)


def filled(*frames: Seen) -> Timeline:
    timeline = Timeline(CLASSES)
    for frame in frames:
        timeline.add(frame)
    return timeline


def test_rows_are_there_as_they_come(tmp_path: Path):
    path = tmp_path / "a.csv"
    rows = FaceRows(path, CLASSES)
    for frame in (seen(0.0, f1=0.75, f2=0.5), seen(0.04), seen(0.12, f2=0.125)):
        rows.add(frame)
    rows.close()
    found = list(csv.DictReader(path.open()))
    assert [(row["time_s"], row["face"], row["class"]) for row in found] == [
        ("0.000000", "1", "happy"),
        ("0.000000", "2", "happy"),
        ("0.120000", "2", "sad"),
    ]
    last = found[-1]
    assert [last[key] for key in ("left", "top", "width", "height", "tilt_deg")] == ["1", "2", "3", "4", "0"]
    names = "raw_happy", "raw_sad", "smoothed_happy", "smoothed_sad"
    assert [float(last[name]) for name in names] == [0.875, 0.125, 0.125, 0.875]


def test_rows_do_not_wait_for_the_end(tmp_path: Path):
    rows = FaceRows(tmp_path / "a.csv", CLASSES)
    for number in range(1000):
        rows.add(seen(number / 25, f1=0.5))
    assert (tmp_path / "a.csv").stat().st_size > 30_000
    rows.close()


def test_rows_without_a_place(tmp_path: Path):
    with pytest.raises(UserError, match="--csv: its folder does not exist"):
        FaceRows(tmp_path / "none/a.csv", CLASSES)


def test_stretches_by_hand():
    """Steps of 0.05 s: two frames share the first; the face is away in the third; the last is its last."""
    frames = [seen(0.0, f1=0.9), seen(0.02, f1=0.7), seen(0.06, f1=0.4), seen(0.11), seen(0.16, f1=1.0), seen(0.2)]
    timeline = filled(*frames)
    (edges, means, shown), (later, again, _) = timeline.stretches(1)
    assert edges == pytest.approx([0, 0.05, 0.1])
    assert means == pytest.approx(np.array([[0.8, 0.2], [0.4, 0.6]]))
    assert shown.tolist() == [0, 1]
    assert later == pytest.approx([0.15, 0.2])
    assert again == pytest.approx(np.array([[1.0, 0.0]]))
    assert timeline.until_s == pytest.approx(0.25)


def test_a_slow_camera_leaves_no_gaps():
    [(edges, means, _)] = filled(seen(0, f1=0.2), seen(1, f1=0.3), seen(2, f1=0.4)).stretches(1)
    assert edges == pytest.approx([0, 1, 2, 2.05])
    assert means[:, 0] == pytest.approx([0.2, 0.3, 0.4])


def test_memory_does_not_grow_with_the_time():
    timeline = Timeline(CLASSES)
    for number in range(10_000):
        timeline.add(seen(number / 25, f1=number / 10_000))
    assert len(timeline._steps) <= module.MAX_STEPS
    assert timeline.step_s in (0.4, 0.8)
    [(edges, means, _)] = timeline.stretches(1)
    middles = (edges[:-1] + edges[1:]) / 2
    assert means[:, 0] == pytest.approx(middles / 400, abs=0.002)  # still where it was
    assert (timeline.n_frames, timeline.n_faces) == (10_000, 1)


def test_memory_does_not_grow_with_the_faces():
    timeline = Timeline(CLASSES)
    for number in range(1_000):
        timeline.add(seen(number / 25, f1=0.5, **{f"f{number + 2}": 0.5}))
    assert len(timeline._faces) <= 2 * module.KEPT_FACES
    assert timeline.n_faces == 1_001
    assert timeline.longest(1) == [1]


def test_a_crowd_is_counted_once():
    """More faces at once than are kept: who is still there is not forgotten."""
    timeline = Timeline(CLASSES)
    crowd = {f"f{number}": 0.5 for number in range(1, 101)}
    for number in range(10):
        timeline.add(seen(number / 25, **crowd))
    assert timeline.n_faces == 100
    for number in range(10, 40):
        timeline.add(seen(number / 25, f100=0.5))
    assert timeline.longest(1) == [100]
    assert timeline._faces[100].frames == 40


@pytest.mark.parametrize("faces", [0, 1, 9])
def test_picture(tmp_path: Path, faces: int):
    path, firsts = tmp_path / "a.png", {f"f{number}": 0.1 * number for number in range(1, faces + 1)}
    timeline = filled(*(seen(number / 25, **firsts) for number in range(50)))
    draw_timeline(path, timeline, "clip $x$.mp4", INFO)
    with Image.open(path) as drawn:
        assert drawn.size[0] == 990
        assert drawn.size[1] > 200 + 150 * min(faces, module.DRAWN_FACES)
        colours = {colour for _, colour in drawn.convert("RGB").getcolors(100_000)}
        assert len(colours) > 10


def test_picture_of_nothing(tmp_path: Path):
    draw_timeline(tmp_path / "a.png", Timeline(CLASSES), "camera 0", INFO)
    assert (tmp_path / "a.png").stat().st_size > 1000
