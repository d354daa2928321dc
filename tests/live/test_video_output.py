"""Videos of constant rate in which every picture shows the frame of its time."""

from pathlib import Path

import cv2
import pytest
from clips import picture, read_clip

from stages.core.errors import UserError
from stages.faces.frames import Frame
from stages.live import video_output
from stages.live.recognition import LabeledFrame
from stages.live.video_output import VideoOutput


def labeled(time_s: float, number: int) -> LabeledFrame:
    return LabeledFrame(Frame(time_s, picture(number)), [])


def write(path: Path, times_s: list[float], rate_hz: float) -> list[int]:
    """Write a video of frames 0, 1, … at these times, and return the frame that each picture shows."""
    output = VideoOutput(path, rate_hz)
    for number, time_s in enumerate(times_s):
        output.add(labeled(time_s, number))
    assert not path.exists()
    output.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return read_clip(path.absolute())


@pytest.mark.parametrize(
    ("name", "rate_hz"),
    [("10:30.mp4", 23.976), ("a.avi", 25), ("A.MP4", 66.667), ("a.mp4", 142.857)],  # a colon marks no protocol
)
def test_frames_of_constant_rate_are_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, rate_hz):
    monkeypatch.chdir(tmp_path)
    assert write(Path(name), [number / rate_hz for number in range(20)], rate_hz) == list(range(20))
    assert cv2.VideoCapture(str(tmp_path / name)).get(cv2.CAP_PROP_FPS) == pytest.approx(rate_hz, abs=5e-3)


def test_frames_of_variable_rate_keep_their_times(tmp_path: Path):
    times_s = [0.0, 0.04, 0.2, 0.208, 0.216, 0.4, 0.52]  # at 25 Hz, the frames of 0.2 to 0.216 s share a picture
    assert write(tmp_path / "a.mp4", times_s, 25) == [0, 1, 1, 1, 1, 4, 4, 4, 4, 4, 5, 5, 5, 6]


@pytest.mark.parametrize(("source_hz", "video_hz"), [(10, 30), (24, 24), (23.976, 23.976), (3.03, 24.24), (120, 120)])
def test_low_rates_are_multiplied(tmp_path: Path, source_hz: float, video_hz: float):
    assert VideoOutput(tmp_path / "a.mp4", source_hz).rate_hz == video_hz


def test_an_incomplete_video_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    output = VideoOutput(tmp_path / "a.mp4", 30)
    (tmp_path / "a.mp4").write_text("an earlier one")
    output.add(labeled(0.0, 0))
    output.add(labeled(0.9, 1))
    monkeypatch.setattr(output, "_written", 50)  # as if the disk were full
    with pytest.raises(UserError, match=r"a\.mp4: \d+ of 51 pictures .*disk full"):
        output.close()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an earlier one"]


def test_rejects_an_unknown_kind_of_video(tmp_path: Path):
    with pytest.raises(UserError, match=r"--output: unknown kind of video; allowed: \.mp4, \.avi"):
        VideoOutput(tmp_path / "a.mkv", 30)


def test_reports_a_missing_codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(video_output.CODECS, ".mp4", "none")
    with pytest.raises(UserError, match="OpenCV cannot write a video of 64x48 px"):
        VideoOutput(tmp_path / "a.mp4", 30).add(labeled(0.0, 0))
    assert list(tmp_path.iterdir()) == []
