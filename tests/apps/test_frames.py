"""Frames come with the times they had; what is damaged, missing or breaks off is told of in one line."""

import math
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import FakeCapture, number_of, write_clip, write_uneven
from conftest import ROOT

from stages.apps import frames
from stages.apps.frames import Camera, Clock, Frame, Video
from stages.core.errors import UserError

CLIP = ROOT.parent / "shared/media/sad_to_laughing.mp4"
needs_clip = pytest.mark.skipif(not CLIP.exists(), reason="no clip of a person comes with the project")


def taken(source) -> tuple[list[Frame], str]:
    """All frames, and how it ended."""
    found = []
    try:
        found.extend(source.frames())  # extend keeps what came before an error
    except UserError as error:
        return found, str(error)
    return found, ""


def test_constant_rate(tmp_path: Path):
    video = Video(write_clip(tmp_path / "a.mp4", 12, 12.5))
    found, error = taken(video)
    assert (video.rate_hz, video.count, video.live, error) == (12.5, 12, False, "")
    assert [number_of(frame.image) for frame in found] == list(range(12))
    assert [frame.time_s for frame in found] == pytest.approx([number / 12.5 for number in range(12)], abs=1e-6)


def test_variable_rate_keeps_each_frames_own_time(tmp_path: Path):
    durations = [0.1, 0.5, 0.05, 0.05, 1.2, 0.2]
    found, error = taken(Video(write_uneven(tmp_path / "a.gif", durations)))
    assert error == ""
    assert [number_of(frame.image) for frame in found] == list(range(6))
    assert [frame.time_s for frame in found] == pytest.approx(np.cumsum([0, *durations[:-1]]), abs=1e-3)


def test_clock():
    clock = Clock(rate_hz=10)
    stamps = [2.0, 2.1, 0.0, 2.15, 2.4, math.nan]  # from 0 on; one missing; one that would go back; no number
    assert [clock.tick(stamp) for stamp in stamps] == pytest.approx([0, 0.1, 0.2, 0.2, 0.4, 0.5])
    with pytest.raises(UserError, match=r"damaged: after 0.5 s its time stamps jump to 5000.0 s"):
        clock.tick(5002.0)


def test_stamps_that_begin_anew_go_on():
    """As of two recordings that somebody joined: none of the second is lost, and the clock does not stand."""
    clock = Clock(rate_hz=10)
    stamps = [0.0, 0.1, 5.0, 5.1, 0.2, 0.3, 0.4, 9.0]
    assert [clock.tick(stamp) for stamp in stamps] == pytest.approx([0, 0.1, 5.0, 5.1, 5.2, 5.3, 5.4, 14.0])


def test_a_name_that_is_no_utf8(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.mp4"))
    try:
        write_clip(tmp_path / "a.mp4", 2).rename(path)
    except OSError:
        pytest.skip("this file system keeps no such name")
    with pytest.raises(UserError, match=r"--video: not UTF-8; allowed: a path of UTF-8; received: .*bad"):
        Video(path)


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    return path


def test_cut_off_clip_gives_what_it_has_and_says_so(tmp_path: Path):
    found, error = taken(Video(cut(write_clip(tmp_path / "a.avi", 200), 0.5)))
    assert [number_of(frame.image) for frame in found] == [number % 28 for number in range(len(found))]
    assert 60 <= len(found) <= 110
    assert error.startswith("a.avi: cut off or damaged: ends after")
    assert f"of 20.0 s ({len(found)} frames)" in error


@needs_clip
def test_cut_off_recording(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(CLIP.read_bytes()[:200_000])
    found, error = taken(Video(path))
    assert 5 < len(found) < 200
    assert "cut off or damaged" in error


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: cut(path, 0.6),  # its index stands at the end
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x00\x00\x00\x18ftypmp42" * 40),
        lambda path: path.write_text("#EXTM3U\n#EXTINF:1\nhttp://127.0.0.1:9/a.ts\n"),  # a playlist
    ],
)
def test_no_video(tmp_path: Path, damage, capfd):
    path = write_clip(tmp_path / "a.mp4", 20)
    damage(path)
    with pytest.raises(UserError, match=r"--video: .*a\.mp4: not a video that can be read"):
        Video(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["none.mp4", "."])
def test_no_file(tmp_path: Path, name: str):
    with pytest.raises(UserError, match="--video: no such file"):
        Video(tmp_path / name)


@pytest.mark.parametrize("index", [-1, 63, 200, 10**11])
def test_no_such_camera(index: int, capfd):
    with pytest.raises(UserError, match=f"--camera: no such camera; .*received: {index}"):
        Camera(index)
    assert capfd.readouterr().err == ""


def test_camera_that_vanishes(monkeypatch: pytest.MonkeyPatch):
    capture = FakeCapture(3)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    camera = Camera(0)
    found, error = taken(camera)
    assert (camera.rate_hz, camera.live, len(found)) == (frames.USUAL_HZ, True, 3)
    assert found[0].time_s == 0
    assert "camera 0: did not give more after 0.0 s" in error
    assert capture.released


def test_camera_that_gives_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture(0))
    assert "camera 0: did not give any frame" in taken(Camera(0))[1]


def test_frames_too_large_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture(1, (100_000, 10)))
    with pytest.raises(UserError, match=r"frames too large; .*8192 px on a side; received: '100000x10 px'"):
        Camera(0)


def test_frames_that_change_their_size_come_as_large_as_the_first():
    capture = FakeCapture(0)
    sizes = iter([(48, 64), (24, 32), (48, 64)])
    capture.read = lambda: (True, np.zeros((*size, 3), np.uint8)) if (size := next(sizes, None)) else (False, None)
    assert [image.shape for image in frames.images(capture)] == [(48, 64, 3)] * 3
