"""The command `live` from a clip or a camera to its outputs, and its mistakes."""

import csv
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from clips import FakeCapture, number_of, read_clip, write_clip, write_uneven
from conftest import ROOT
from PIL import Image
from small_runs import small_run

from benchmarks import frame_rate
from stages.apps import live
from stages.core.errors import UserError
from stages.export import graph as onnx_graph
from stages.faces.frames import Frame
from stages.live import watch
from stages.models import compact_resnet
from stages.serving.served_run import serve

CLIP = ROOT.parent / "shared/media/sad_to_laughing.mp4"
STEPS = {"decode", "faces", "classify", "draw", "write"}  # threads


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """Call it to run the command and return its output. By default the whole frame is a face."""

    def run(*arguments: object, options: tuple = ("--headless", "--no-detect"), model: tuple | None = None) -> str:
        model = ("--run", small_run("faces").folder) if model is None else model
        monkeypatch.setattr(sys, "argv", ["live", *map(str, (*arguments, *options, *model))])
        live.main()
        run.out, run.err = capsys.readouterr()
        return run.out

    before = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, before)
    cv2.setNumThreads(-1)
    assert {thread.name for thread in threading.enumerate()} & STEPS == set()


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def output_options(folder: Path) -> tuple:
    return "--output", folder / "out.mp4", "--csv", folder / "out.csv", "--plot", folder / "out.png"


# ---- outputs ----


def test_writes_video_rows_and_timeline(call, tmp_path: Path):
    clip = write_clip(tmp_path / "in.mp4", 25, 25)
    output = call("--video", clip, *output_options(tmp_path))
    assert "in.mp4: 25 frames in" in output
    assert float(frame_rate.RATE.search(output).group(1)) > 0  # as the benchmark reads it
    assert len(read_clip(tmp_path / "out.mp4")) == 25
    written = rows(tmp_path / "out.csv")
    assert [float(row["time_s"]) for row in written] == pytest.approx([number / 25 for number in range(25)], abs=1e-5)
    assert {row["face"] for row in written} == {"1"}
    run = serve(str(small_run("faces").folder))
    raw = np.array([[float(row[f"raw_{name}"]) for name in run.classes] for row in written])
    capture = cv2.VideoCapture(str(clip))
    frames = [capture.read()[1] for _ in range(25)]
    expected = run.probabilities([run.prepare(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)) for image in frames])
    assert raw == pytest.approx(expected, abs=2e-6)  # of the frame before it is drawn on
    smoothed = np.array([[float(row[f"smoothed_{name}"]) for name in run.classes] for row in written])
    assert smoothed[20] == pytest.approx(raw[8:21].mean(axis=0), abs=2e-6)  # half a second: this frame and 12 before
    assert Image.open(tmp_path / "out.png").size[0] > 900


@pytest.mark.parametrize(("count", "suffix"), [(50, "mp4"), (3, "avi")])
def test_warns_of_a_clip_without_a_face(call, tmp_path: Path, count: int, suffix: str):
    clip, csv_option = write_clip(tmp_path / f"wall.{suffix}", count), ("--csv", tmp_path / "out.csv")
    call("--video", clip, *csv_option, options=("--headless",))
    [line] = [line for line in call.err.splitlines() if "no face" in line]
    assert line.startswith(f"warning: wall.{suffix}: no face in {count} frames (a lower --min-score")
    call("--video", clip, *csv_option)  # --no-detect: the whole frame is a face
    assert "no face" not in call.err


def test_warns_of_faces_unlike_the_training_data(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clip = write_clip(tmp_path / "wall.mp4", 5)
    call("--video", clip, "--csv", tmp_path / "out.csv")  # a run without the key
    assert "unlike" not in call.err
    call("--video", clip, *output_options(tmp_path), model=())  # the run that ships
    assert "wall.mp4: in 5 of 5 frames with faces, a face is unlike the training data" in call.err


def test_evaluates_one_crop_instead_of_test_time_augmentation(call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    run, calls = serve(str(small_run("faces").folder)), []
    run.recogniser.architecture = compact_resnet.build((1, 48, 48), 7, widths=[4, 6], tta_views=10).eval()
    run.recogniser.architecture.stem.register_forward_hook(lambda *_: calls.append(1))
    run.probabilities([run.prepare(np.zeros((48, 48), np.uint8))])
    assert len(calls) == 10
    monkeypatch.setattr(live, "serve", lambda *_: run)
    call("--video", write_clip(tmp_path / "in.mp4", 1, 25), "--csv", tmp_path / "out.csv")
    assert len(calls) == 11


def test_yunet_replaces_blazeface(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A fake replaces the network, whose file is not part of the project."""

    class FakeYuNet:
        def setInputSize(self, size):
            self.size = size

        def detect(self, image):
            face = [[40, 10, 30, 30, 0, 0, 10, *[0] * 7, 0.9]]  # the eyes are level
            return 1, np.array(face, np.float32) if self.size == (160, 90) else None

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: FakeYuNet())
    monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", None)
    (tmp_path / "yunet.onnx").write_bytes(b"x")
    options = ["--video", "any", "--detector", "yunet", "--detector-model", str(tmp_path / "yunet.onnx")]
    locate = watch.make_locate(live.parser().parse_args(options))
    [located] = locate(Frame(0.0, np.zeros((180, 320, 3), np.uint8)))
    assert (located.box.left, located.box.top, located.box.width) == (76, 12, 68)


def test_outputs_keep_the_times_of_a_variable_frame_rate(call, tmp_path: Path):
    durations = [0.1, 0.5, 0.1, 0.1, 1.0, 0.2]
    clip = write_uneven(tmp_path / "in.gif", durations)
    call("--video", clip, "--csv", tmp_path / "out.csv")
    outputs = "--output", tmp_path / "out.mp4", "--csv", tmp_path / "none.csv", "--plot", tmp_path / "out.png"
    call("--video", clip, *outputs, options=("--headless",))  # without faces, no box is drawn
    assert (rows(tmp_path / "none.csv"), (tmp_path / "out.png").exists()) == ([], True)
    starts = np.cumsum([0, *durations[:-1]])
    assert [float(row["time_s"]) for row in rows(tmp_path / "out.csv")] == pytest.approx(starts, abs=1e-3)
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    assert rate_hz >= 24
    while (frame := capture.read())[0]:
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        shown = starts[number_of(frame[1][22:33])]  # rows between the labels at the top and at the bottom
        following = starts[starts > shown].min(initial=9)
        assert shown - 0.51 / rate_hz <= time_s <= following + 0.51 / rate_hz


def test_exported_run_predicts_the_same(call, tmp_path: Path):
    onnx.save(onnx_graph.export(serve(str(small_run("faces").folder)).model), tmp_path / "faces.onnx")
    clip = write_clip(tmp_path / "in.mp4", 9)
    call("--video", clip, "--csv", tmp_path / "run.csv")
    call("--video", clip, "--csv", tmp_path / "onnx.csv", model=("--model", tmp_path / "faces.onnx"))
    run, exported = ([[*row.values()] for row in rows(tmp_path / f"{name}.csv")] for name in ("run", "onnx"))
    assert [row[:8] for row in run] == [row[:8] for row in exported]
    probabilities = (np.array([row[8:] for row in table], float) for table in (run, exported))
    assert np.abs(np.subtract(*probabilities)).max() < 1e-4


@pytest.mark.skipif(not CLIP.exists(), reason="no clip of a person comes with the project")
def test_truncated_clip_keeps_the_outputs_before_the_end(call, tmp_path: Path):
    clip = tmp_path / "in.mp4"
    clip.write_bytes(CLIP.read_bytes()[:250_000])
    with pytest.raises(UserError, match=r"in\.mp4: cut off or damaged: ends after [\d.]+ of 19.7 s"):
        call("--video", clip, *output_options(tmp_path), options=("--headless",))
    written = rows(tmp_path / "out.csv")
    assert len(written) > 10
    assert len(read_clip(tmp_path / "out.mp4")) == round(float(written[-1]["time_s"]) * 23.976) + 1
    assert (tmp_path / "out.png").exists()


def test_lost_camera_keeps_the_outputs_before_the_loss(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = cv2.VideoCapture
    capture = FakeCapture(30)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *given: capture if given == (0,) else real(*given))
    with pytest.raises(UserError, match="camera 0: did not deliver more"):
        call("--camera", 0, "--output", tmp_path / "out.mp4", "--csv", tmp_path / "out.csv")
    assert len(rows(tmp_path / "out.csv")) >= 1
    assert len(read_clip(tmp_path / "out.mp4")) >= 1
    assert capture.released


# ---- the end ----


class FakeWindow:
    """A window that the user closes at the fifth frame."""

    def __init__(self, *_: object, paced: bool) -> None:
        self.left = 5

    def show(self, time_s: float, image: np.ndarray) -> bool:
        self.left -= 1
        return self.left > 0

    def close(self) -> None: ...


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM])
def test_quitting_leaves_complete_files(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None):
    class SignallingWindow(FakeWindow):
        def show(self, time_s: float, image: np.ndarray) -> bool:
            return super().show(time_s, image) or bool(number and signal.raise_signal(number))

    monkeypatch.setattr(watch, "Window", SignallingWindow)
    clip = write_clip(tmp_path / "in.mp4", 400, 30)
    assert "in.mp4: 5 frames in" in call("--video", clip, *output_options(tmp_path), options=("--no-detect",))
    # frames already in the pipeline may be written
    assert 5 <= len(read_clip(tmp_path / "out.mp4")) == len(rows(tmp_path / "out.csv")) < 100
    assert (tmp_path / "out.png").exists()


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_signal_leaves_complete_files(call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The signal arrives while the files are completed."""
    real = watch.draw_timeline

    def interrupted(*arguments: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        real(*arguments)

    monkeypatch.setattr(watch, "draw_timeline", interrupted)
    call("--video", write_clip(tmp_path / "in.mp4", 5), "--plot", tmp_path / "out.png")
    assert (tmp_path / "out.png").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ---- mistakes ----


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ("--video in.mp4", "--headless", "--headless: there is no output"),
        ("--video in.mp4", "", "no window can be opened"),
        ("--video in.mp4 --output in.mp4", "--headless", "--output: in.mp4 is an input"),
        ("--video in.mp4 --plot a.jpg", "--headless", "--plot: not the name of a PNG"),
        ("--video in.mp4 --output a.png --plot a.png", "--headless", "--output and --plot: both"),
        ("--video in.mp4 --output none/a.mp4", "--headless", "--output: its folder"),
        ("--video in.mp4 --plot .", "--headless", "--plot: a folder"),
        ("--video in.mp4 --csv a.csv --detect-every 0", "--headless", "--detect-every: too few"),
        ("--video in.mp4 --csv a.csv --detector-model in.mp4", "--headless", "--detector-model: only YuNet"),
        ("--video in.mp4 --plot a.png --smooth-s -1", "--headless", "--smooth-s: out of range"),
        ("--camera 77 --csv a.csv", "--headless", "--camera: no such camera"),
        ("--video none.mp4 --csv a.csv", "--headless", "--video: no such file"),
    ],
)
def test_refuses_a_mistake_in_the_options(call, tmp_path: Path, monkeypatch, arguments: str, options: str, words: str):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.chdir(tmp_path)
    before = write_clip(Path("in.mp4"), 3).read_bytes()
    with pytest.raises(UserError, match=words):
        call(*arguments.split(), options=tuple(options.split()))
    assert Path("in.mp4").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_refuses_a_run_that_was_not_trained_on_images(call):
    with pytest.raises(UserError, match=r"speech_adafnn: not trained on images.*received: 'audio'"):
        call("--video", "any.mp4", model=("--run", small_run("speech").folder))
