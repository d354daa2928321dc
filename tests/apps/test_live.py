"""The command as a user meets it: a clip, a camera, what comes out, what is brought broken."""

import csv
import os
import shutil
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from clips import FakeCapture, number_of, read_clip, write_clip, write_uneven
from conftest import ROOT
from PIL import Image
from safetensors.torch import load_file, save_file
from small_runs import small_run

from stages.apps import live, onnx_graph
from stages.apps.boxes import Box
from stages.apps.following import Follower, FollowSettings, whole_frame
from stages.apps.frames import Frame
from stages.apps.live_faces import Steadier, Steadiness
from stages.apps.live_pipeline import AT_ONCE, Pipeline
from stages.apps.overlay import Overlay
from stages.apps.serving import serve
from stages.apps.timeline import FaceRows, Timeline
from stages.apps.video_output import VideoOutput
from stages.core.errors import UserError
from stages.models import compact_resnet
from stages.training.recogniser import Recogniser, ask_once

CLIP = ROOT.parent / "shared/media/sad_to_laughing.mp4"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Run it on faces that are whole frames; what stands on the terminal."""

    def run(*arguments: object, options: tuple = ("--headless", "--no-detect"), model: tuple | None = None) -> str:
        model = model or ("--run", small_run("faces").folder)
        monkeypatch.setattr(sys, "argv", ["live", *map(str, (*arguments, *options, *model))])
        live.main()
        return capsys.readouterr().out

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)
    cv2.setNumThreads(-1)
    assert {thread.name for thread in threading.enumerate()} & {"decode", "faces", "classify", "draw", "write"} == set()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Heard, also where the tests were started in the background, whose children do not hear it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


# ---- what comes out ----


def test_a_clip_into_video_rows_and_picture(call, tmp_path: Path):
    clip = write_clip(tmp_path / "in.mp4", 25, 25)
    out = tmp_path / "out.mp4", tmp_path / "out.csv", tmp_path / "out.png"
    said = call("--video", clip, "--output", out[0], "--csv", out[1], "--plot", out[2])
    assert "in.mp4: 25 frames in" in said
    assert len(read_clip(out[0])) == 25
    found = rows(out[1])
    assert [float(row["time_s"]) for row in found] == pytest.approx([number / 25 for number in range(25)], abs=1e-5)
    assert {row["face"] for row in found} == {"1"}
    served = serve(str(small_run("faces").folder))
    raw = np.array([[float(row[f"raw_{name}"]) for name in served.classes] for row in found])
    capture = cv2.VideoCapture(str(clip))
    seen = [capture.read()[1] for _ in range(25)]
    expected = served.probabilities([served.prepare(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)) for image in seen])
    assert raw == pytest.approx(expected, abs=2e-6)  # of the frame as it came, not as it was drawn on
    smoothed = np.array([[float(row[f"smoothed_{name}"]) for name in served.classes] for row in found])
    assert smoothed[20] == pytest.approx(raw[8:21].mean(axis=0), abs=2e-6)  # half a second: twelve of 0.04 s and this
    assert Image.open(out[2]).size[0] > 900


def test_a_network_of_several_views_is_asked_once():
    options = {"widths": [4, 6], "views": 10}
    network = compact_resnet.build((1, 24, 24), 7, **options).eval()
    ones = Recogniser(network, torch.zeros(1), torch.ones(1), 1.0, 0.0)
    x, asked = torch.rand(2, 1, 24, 24), []
    network.stem.register_forward_hook(lambda *_: asked.append(1))
    ones(x, None)
    assert len(asked) == 10
    assert ask_once(network)
    ones(x, None)
    assert len(asked) == 11
    assert not ask_once(network)


def test_who_calls_live_has_it_asked_once(call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    network = compact_resnet.build((1, 24, 24), 7, widths=[4, 6], views=2).eval()
    run = serve(str(small_run("faces").folder))
    run.recogniser.architecture = network
    monkeypatch.setattr(live, "serve", lambda *_: run)
    call("--video", write_clip(tmp_path / "in.mp4", 2, 25), "--csv", tmp_path / "out.csv")
    assert network.views == 1


def test_yunet_finds_what_haar_would_be_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A network in its place, whose file does not come with the project; no cascade looks beside it."""

    class Fixed:
        def setInputSize(self, size):
            self.size = size

        def detect(self, image):
            face = [[40, 10, 30, 30, *[0] * 10, 0.9]]
            return 1, np.array(face, np.float32) if self.size == (160, 90) else None

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Fixed())
    monkeypatch.setattr(cv2, "CascadeClassifier", None)
    (tmp_path / "yunet.onnx").write_bytes(b"x")
    words = ["--video", "any", "--detector", "yunet", "--detector-model", str(tmp_path / "yunet.onnx")]
    locate = live.make_locate(live.parser().parse_args(words))
    [found] = locate(Frame(0.0, np.zeros((180, 320, 3), np.uint8)))
    assert found.box == Box(80, 20, 60, 60)


def test_variable_rate_stays_in_step(call, tmp_path: Path):
    durations = [0.1, 0.5, 0.1, 0.1, 1.0, 0.2]
    clip = write_uneven(tmp_path / "in.gif", durations)
    call("--video", clip, "--csv", tmp_path / "out.csv")
    call("--video", clip, "--output", tmp_path / "out.mp4", options=("--headless",))  # nothing is drawn on no face
    starts = np.cumsum([0, *durations[:-1]])
    assert [float(row["time_s"]) for row in rows(tmp_path / "out.csv")] == pytest.approx(starts, abs=1e-3)
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    assert rate_hz >= 24
    while (read := capture.read())[0]:
        at_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        shown = starts[number_of(read[1][22:33])]  # between what stands in the corner and at the bottom
        following = starts[starts > shown].min(initial=9)
        assert shown - 0.51 / rate_hz <= at_s <= following + 0.51 / rate_hz


def test_frames_without_a_face(call, tmp_path: Path):
    clip = write_clip(tmp_path / "in.mp4", 10, 30)
    out = tmp_path / "out.mp4", tmp_path / "out.csv", tmp_path / "out.png"
    call("--video", clip, "--output", out[0], "--csv", out[1], "--plot", out[2], options=("--headless",))
    assert (len(read_clip(out[0])), rows(out[1])) == (10, [])
    assert out[2].exists()


def test_an_exported_run_answers_alike(call, tmp_path: Path):
    import onnx

    onnx.save(onnx_graph.export(serve(str(small_run("faces").folder)).model), tmp_path / "faces.onnx")
    clip = write_clip(tmp_path / "in.mp4", 9)
    call("--video", clip, "--csv", tmp_path / "run.csv")
    call("--video", clip, "--csv", tmp_path / "onnx.csv", model=("--model", tmp_path / "faces.onnx"))
    one, other = ([[*row.values()] for row in rows(tmp_path / f"{name}.csv")] for name in ("run", "onnx"))
    assert [row[:8] for row in one] == [row[:8] for row in other]
    values = (np.array([row[8:] for row in found], float) for found in (one, other))
    assert np.abs(np.subtract(*values)).max() < 1e-4


@pytest.mark.skipif(not CLIP.exists(), reason="no clip of a person comes with the project")
def test_cut_off_recording_keeps_what_it_has(call, tmp_path: Path):
    clip, out = tmp_path / "in.mp4", [tmp_path / name for name in ("out.mp4", "out.csv", "out.png")]
    clip.write_bytes(CLIP.read_bytes()[:250_000])
    with pytest.raises(UserError, match=r"in\.mp4: cut off or damaged: ends after [\d.]+ of 19.7 s"):
        call("--video", clip, "--output", out[0], "--csv", out[1], "--plot", out[2], options=("--headless",))
    found = rows(out[1])
    assert len(found) > 10
    assert len(read_clip(out[0])) == round(float(found[-1]["time_s"]) * 23.976) + 1
    assert out[2].exists()


# ---- a camera ----


class SlowRun:
    """Slower than any camera; of one class for sure."""

    classes = ("happy", "sad")

    def prepare(self, image: np.ndarray):
        return image, 0

    def probabilities(self, prepared) -> np.ndarray:
        time.sleep(0.02 * len(prepared))
        return np.tile([0.75, 0.25], (len(prepared), 1))


class Counting:
    """A source that knows how many of its frames somebody still holds."""

    name, rate_hz, count = "counting", 30.0, 0

    def __init__(self, live: bool, total: int, pause_s: float = 0.0, frame_bytes: int = 48) -> None:
        self.live, self.total, self.pause_s, self.frame_bytes = live, total, pause_s, frame_bytes
        self.held: weakref.WeakValueDictionary[int, Frame] = weakref.WeakValueDictionary()
        self.most_held = self.last = 0

    def frames(self) -> Iterator[Frame]:
        for number in range(self.total):
            frame = Frame(number / 1000, np.zeros((4, 4, 3), np.uint8))
            self.held[number] = frame
            self.most_held = max(self.most_held, len(self.held))
            self.last = number
            yield frame
            time.sleep(self.pause_s)


def pipeline(source: Counting, run: object) -> Pipeline:
    return Pipeline(source, run, whole_frame, Steadier(Steadiness()), lambda seen: None, [])


def test_a_camera_drops_frames_rather_than_lagging():
    source = Counting(live=True, total=300, pause_s=0.001)
    watched = pipeline(source, SlowRun())
    late = [source.last - round(seen.frame.time_s * 1000) for seen in watched.seen()]
    watched.close()
    assert watched.n_frames < 100
    assert f"{300 - watched.n_frames} dropped" in watched.summary()
    # at one frame in 20 ms: as many steps as may each hold a frame of theirs, far from the 300 that were taken
    assert max(late[2:]) < 200


def test_a_file_loses_none():
    watched = pipeline(Counting(live=False, total=50), SlowRun())
    assert [round(seen.frame.time_s * 1000) for seen in watched.seen()] == list(range(50))
    watched.close()


def test_frames_are_let_go():
    class Quick(SlowRun):
        def probabilities(self, prepared) -> np.ndarray:
            return np.tile([0.75, 0.25], (len(prepared), 1))

    source = Counting(live=False, total=2_000)
    watched = pipeline(source, Quick())
    assert sum(1 for _ in watched.seen()) == 2_000
    watched.close()
    assert source.most_held <= 7 * AT_ONCE


def test_fewer_large_frames_are_held():
    """Of 201 MB each, 8192 px square, 50 would not fit into a computer's memory."""
    source = Counting(live=False, total=200, frame_bytes=3 * 8192**2)
    watched = pipeline(source, SlowRun())
    assert sum(1 for _ in watched.seen()) == 200
    watched.close()
    assert source.most_held <= 11


class Film(Counting):
    """A face that goes to and fro before a wall of noise."""

    def frames(self) -> Iterator[Frame]:
        rng = np.random.default_rng(0)
        wall, face = (rng.integers(0, 256, (*sides, 3), dtype=np.uint8) for sides in ((60, 80), (30, 30)))
        for number in range(self.total):
            image, x = wall.copy(), 25 + round(20 * np.sin(number / 50))
            image[10:40, x : x + 30] = face
            yield Frame(number / 30, image)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from Linux' /proc")
def test_memory_is_flat_over_10_000_frames(tmp_path: Path):
    """Of all that `live` does to a frame: found, followed, classified, smoothed, drawn, written in three ways."""

    def find(image: np.ndarray) -> list[Box]:
        return [Box(30, 10, 30, 30)]

    run = serve(str(small_run("faces").folder))
    timeline = Timeline(run.classes)
    rows = FaceRows(tmp_path / "a.csv", run.classes)
    sinks = [timeline, VideoOutput(tmp_path / "a.mp4", 30.0), rows]
    locate, draw = Follower(find, FollowSettings(min_face_px=30)), Overlay(run.classes, "")
    watched = Pipeline(Film(False, 10_000), run, locate, Steadier(Steadiness()), draw, sinks)
    resident_mb = []
    for number, _ in enumerate(watched.seen()):
        if number % 500 == 499:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
    watched.close()
    assert timeline.n_frames == 10_000
    assert max(resident_mb[4:]) - resident_mb[3] < 12  # 8,000 frames of 14 kB would be 115 MB


def test_camera_that_vanishes_keeps_what_it_gave(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = cv2.VideoCapture
    capture = FakeCapture(30)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: capture if given == (0,) else real(*given))
    with pytest.raises(UserError, match="camera 0: did not give more after"):
        call("--camera", 0, "--output", tmp_path / "out.mp4", "--csv", tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) >= 1
    assert len(read_clip(tmp_path / "out.mp4")) >= 1
    assert capture.released


# ---- how it ends ----


class FakeWindow:
    """Closed after so many frames."""

    def __init__(self, *_: object, paced: bool) -> None:
        self.left = 5

    def show(self, time_s: float, image: np.ndarray) -> bool:
        self.left -= 1
        return self.left > 0

    def close(self) -> None: ...


def test_q_ends_it_with_whole_files(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "Window", FakeWindow)
    clip = write_clip(tmp_path / "in.mp4", 400, 30)
    said = call("--video", clip, "--output", tmp_path / "out.mp4", options=("--no-detect",))
    assert "in.mp4: 5 frames in" in said
    assert 5 <= len(read_clip(tmp_path / "out.mp4")) < 100  # those on their way are written, no others


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_whole_files(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int):
    class Killing(FakeWindow):
        def show(self, time_s: float, image: np.ndarray) -> bool:
            return super().show(time_s, image) or bool(signal.raise_signal(number))

    monkeypatch.setattr(live, "Window", Killing)
    clip = write_clip(tmp_path / "in.mp4", 400, 30)
    outputs = "--output", tmp_path / "out.mp4", "--csv", tmp_path / "out.csv", "--plot", tmp_path / "out.png"
    said = call("--video", clip, *outputs, options=("--no-detect",))
    assert "in.mp4: 5 frames in" in said
    assert 5 <= len(read_clip(tmp_path / "out.mp4")) == len(rows(tmp_path / "out.csv")) < 100
    assert (tmp_path / "out.png").exists()


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_signal_leaves_whole_files(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """That comes while the files are finished."""
    real = live.draw_timeline

    def interrupted(*arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        real(*arguments)

    monkeypatch.setattr(live, "draw_timeline", interrupted)
    call("--video", write_clip(tmp_path / "in.mp4", 5), "--plot", tmp_path / "out.png")
    assert (tmp_path / "out.png").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- refused ----


def refusal(call, *arguments: object, **how: tuple) -> str:
    with pytest.raises(UserError) as error:
        call(*arguments, **how)
    assert "\n" not in str(error.value)
    return str(error.value)


def same(path: Path) -> tuple:
    return "--output", path, "--plot", path


def test_weights_that_overflow_are_told_of(call, tmp_path: Path):
    run = Path(shutil.copytree(small_run("faces").folder, tmp_path / "run"))
    weights = load_file(run / "best.safetensors")
    huge = {name: value * 1e30 if value.ndim == 4 else value for name, value in weights.items()}
    save_file(huge, run / "best.safetensors")
    clip = write_clip(tmp_path / "in.mp4", 3)
    line = refusal(call, "--video", clip, "--csv", tmp_path / "a.csv", model=("--run", run))
    assert "its numbers overflow on these faces" in line


def test_refused(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    clip = write_clip(tmp_path / "in.mp4", 3)
    before = clip.read_bytes()
    assert "nothing would come out" in refusal(call, "--video", clip)
    assert "no window can be opened" in refusal(call, "--video", clip, options=())
    assert "is read, and would be written over" in refusal(call, "--video", clip, "--output", clip)
    assert "--plot: not the name of a PNG" in refusal(call, "--video", clip, "--plot", tmp_path / "a.jpg")
    assert "--output and --plot: both" in refusal(call, "--video", clip, *same(tmp_path / "a.png"))
    assert "--output: its folder" in refusal(call, "--video", clip, "--output", tmp_path / "none/a.mp4")
    assert "--plot: a folder" in refusal(call, "--video", clip, "--plot", tmp_path)
    assert "--detect-every: too few" in refusal(call, "--video", clip, "--csv", tmp_path / "a.csv", "--detect-every", 0)
    unread = "--csv", tmp_path / "a.csv", "--detector-model", clip
    assert "--detector-model: read by YuNet alone" in refusal(call, "--video", clip, *unread)
    assert "--smooth-s: out of range" in refusal(call, "--video", clip, "--plot", tmp_path / "a.png", "--smooth-s", -1)
    assert "--camera: no such camera" in refusal(call, "--camera", 77, "--csv", tmp_path / "a.csv")
    assert "--video: no such file" in refusal(call, "--video", tmp_path / "none.mp4", "--csv", tmp_path / "a.csv")
    assert "not a recogniser in ONNX" in refusal(call, "--video", clip, model=("--model", clip))
    with pytest.raises(UserError, match="speech: not trained on images; allowed: a run over faces; received: 'audio'"):
        live.require_images(SimpleNamespace(kind="audio", info={"run": "speech"}))
    assert clip.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
