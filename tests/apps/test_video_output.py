"""A video of constant rate in which every picture stands at its frame's time."""

from pathlib import Path

import cv2
import pytest
from clips import picture, read_clip

from stages.apps import video_output
from stages.apps.frames import Frame
from stages.apps.live_faces import Seen
from stages.apps.video_output import VideoOutput
from stages.core.errors import UserError


def written(path: Path, times_s: list[float], rate_hz: float) -> list[int]:
    output = VideoOutput(path, rate_hz)
    for number, time_s in enumerate(times_s):
        output.add(Seen(Frame(time_s, picture(number)), []))
    assert not path.exists()  # not before it is whole
    output.close()
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    return read_clip(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "A.MP4"])
def test_constant_rate_comes_out_as_it_went_in(tmp_path: Path, name: str):
    assert written(tmp_path / name, [number / 25 for number in range(20)], 25) == list(range(20))


def test_variable_rate_keeps_its_times(tmp_path: Path):
    times = [0.0, 0.04, 0.2, 0.208, 0.216, 0.4, 0.52]  # at 25 pictures a second those of 0.2 and 0.216 fall together
    assert written(tmp_path / "a.mp4", times, 25) == [0, 1, 1, 1, 1, 4, 4, 4, 4, 4, 5, 5, 5, 6]


@pytest.mark.parametrize(("told_hz", "written_hz"), [(10, 30), (24, 24), (23.976, 23.976), (3.03, 24.24), (120, 120)])
def test_low_rates_are_multiplied(tmp_path: Path, told_hz: float, written_hz: float):
    assert VideoOutput(tmp_path / "a.mp4", told_hz).rate_hz == written_hz


def test_does_not_drift(tmp_path: Path):
    """A camera of 23.1 frames a second into a video of 30: the picture of each frame is never half a step off."""
    times = [number / 23.1 for number in range(28)]
    shown = written(tmp_path / "a.mp4", times, 30)
    for slot, number in enumerate(shown):
        assert times[number] - slot / 30 < 0.51 / 30
        assert number == 27 or times[number + 1] - slot / 30 > 0.49 / 30


def test_written_rate_is_the_rate_that_was_asked_for(tmp_path: Path):
    written(tmp_path / "a.mp4", [0, 1], 23.976)
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FPS) == pytest.approx(23.976, abs=1e-9)


@pytest.mark.parametrize("rate_hz", [66.667, 71.429, 142.857])
def test_rates_of_whole_milliseconds(tmp_path: Path, rate_hz: float):
    """MPEG-4 holds no fraction of five digits."""
    assert written(tmp_path / "a.mp4", [number / rate_hz for number in range(20)], rate_hz) == list(range(20))


def test_a_relative_name_with_a_colon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Which FFmpeg would take for a protocol."""
    monkeypatch.chdir(tmp_path)
    output = VideoOutput(Path("10:30.mp4"), 25)
    output.add(Seen(Frame(0.0, picture(3)), []))
    output.close()
    assert read_clip(tmp_path / "10:30.mp4") == [3]


def test_no_frame_leaves_no_file(tmp_path: Path):
    VideoOutput(tmp_path / "a.mp4", 30).close()
    assert list(tmp_path.iterdir()) == []


def test_of_a_video_that_was_not_written_whole_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    output = VideoOutput(tmp_path / "a.mp4", 30)
    (tmp_path / "a.mp4").write_text("an earlier one")
    output.add(Seen(Frame(0.0, picture(0)), []))
    output.add(Seen(Frame(0.9, picture(1)), []))
    monkeypatch.setattr(output, "_written", 50)  # as if the disk had taken ten of them
    with pytest.raises(UserError, match=r"a\.mp4: \d+ of 51 pictures were written; disk full\?"):
        output.close()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an earlier one"]


def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"--output: unknown kind of video; allowed: \.mp4, \.avi; received: 'a\.mkv'"):
        VideoOutput(tmp_path / "a.mkv", 30)
    with pytest.raises(UserError, match="--output: its folder does not exist"):
        VideoOutput(tmp_path / "none/a.mp4", 30)
    monkeypatch.setitem(video_output.CODECS, ".mp4", "none")
    with pytest.raises(UserError, match="OpenCV cannot write a video of 64x48 px there"):
        VideoOutput(tmp_path / "a.mp4", 30).add(Seen(Frame(0.0, picture(0)), []))
    assert list(tmp_path.iterdir()) == []
