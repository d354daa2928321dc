"""The pipeline of threads: no frame of a file is lost, a camera stays current, memory is bounded."""

import os
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_runs import small_run

from stages.faces.follower import Follower, FollowSettings, whole_frame
from stages.faces.frames import Frame
from stages.live.overlay import Overlay
from stages.live.pipeline import BATCH_FRAMES, HELD_FRAMES, Pipeline
from stages.live.recognition import FaceSmoother
from stages.live.timeline import FaceRows, Timeline
from stages.live.video_output import VideoOutput
from stages.serving.boxes import Box
from stages.serving.served_run import serve


class FakeRun:
    """A run that takes `seconds` for each face and always predicts the same."""

    classes = ("happy", "sad")

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def prepare(self, image: np.ndarray):
        return image, 0

    def is_unlike_training(self, _: object) -> bool:
        return False

    def probabilities(self, prepared) -> np.ndarray:
        time.sleep(self.seconds * len(prepared))
        return np.tile([0.75, 0.25], (len(prepared), 1))


class CountingSource:
    """A source that knows how many of its frames are still in memory."""

    name, rate_hz, count = "counting", 30.0, 0

    def __init__(self, live: bool, total: int, pause_s: float = 0.0, frame_bytes: int = 48) -> None:
        self.live, self.total, self.pause_s, self.frame_bytes = live, total, pause_s, frame_bytes
        self.held: weakref.WeakValueDictionary[int, Frame] = weakref.WeakValueDictionary()
        self.max_held = self.last = 0

    def frames(self) -> Iterator[Frame]:
        for number in range(self.total):
            frame = Frame(number / 1000, np.zeros((4, 4, 3), np.uint8))
            self.held[number] = frame
            self.max_held = max(self.max_held, len(self.held))
            self.last = number
            yield frame
            time.sleep(self.pause_s)


def make_pipeline(source: CountingSource, run: FakeRun) -> Pipeline:
    return Pipeline(source, run, whole_frame, FaceSmoother(), lambda labeled: None, [])


def test_drops_frames_of_a_camera_and_stays_current():
    source = CountingSource(live=True, total=300, pause_s=0.001)
    pipeline = make_pipeline(source, FakeRun(0.02))
    late = [source.last - round(labeled.frame.time_s * 1000) for labeled in pipeline.frames()]
    pipeline.close()
    assert pipeline.n_frames < 100
    assert f"{300 - pipeline.n_frames} dropped" in pipeline.summary()
    assert max(late[2:]) < 200  # each step holds a frame or two at 20 ms; without dropping it would be nearly 300


@pytest.mark.parametrize(
    ("total", "frame_bytes", "seconds", "max_held"),
    [
        (500, 48, 0.0, HELD_FRAMES * BATCH_FRAMES),
        (60, 3 * 8192**2, 0.01, 11),  # at 201 MB each, fewer are held
    ],
)
def test_loses_no_frame_of_a_file_and_holds_few_at_once(total: int, frame_bytes: int, seconds: float, max_held: int):
    source = CountingSource(live=False, total=total, frame_bytes=frame_bytes)
    pipeline = make_pipeline(source, FakeRun(seconds))
    assert [round(labeled.frame.time_s * 1000) for labeled in pipeline.frames()] == list(range(total))
    pipeline.close()
    assert source.max_held <= max_held


class MovingFace(CountingSource):
    """A face that moves in front of noise."""

    def frames(self) -> Iterator[Frame]:
        rng = np.random.default_rng(0)
        background, face = (rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((120, 160), (30, 30)))
        for number in range(self.total):
            image, x = background.copy(), 65 + round(20 * np.sin(number / 50))
            image[10:40, x : x + 30] = face
            yield Frame(number / 30, image)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads resident memory from /proc")
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path):
    """All steps of `live`: detection, tracking, prediction, smoothing, drawing, and three outputs."""
    run = serve(str(small_run("faces").folder))
    timeline = Timeline(run.classes)
    sinks = [timeline, VideoOutput(tmp_path / "a.mp4", 30.0), FaceRows(tmp_path / "a.csv", run.classes)]
    locate = Follower(lambda image: [Box(70, 10, 30, 30)], FollowSettings(min_face_px=30))
    pipeline = Pipeline(MovingFace(False, 300), run, locate, FaceSmoother(), Overlay(run.classes, ""), sinks)
    resident_mb = []
    for _ in pipeline.frames():
        resident_mb.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6)
    pipeline.close()
    assert timeline.n_frames == 300
    assert max(resident_mb[100:]) - resident_mb[100] < 6  # 200 frames of 58 kB would be 12 MB
