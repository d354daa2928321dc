"""Frames of clips and cameras with their times; damaged, missing and interrupted sources raise one `UserError`."""

import http.server
import math
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import FakeCapture, number_of, picture, write_clip, write_uneven

from stages.core.errors import UserError
from stages.faces import frames
from stages.faces.frames import Camera, Clock, Frame, Source, Video, open_video


def read_all(source: Source) -> tuple[list[Frame], str]:
    """Return all frames, and the message of the error after them or ''."""
    result: list[Frame] = []
    try:
        result.extend(source.frames())  # extend keeps the items before an error
    except UserError as error:
        return result, str(error)
    return result, ""


# ---- clips ----


def test_clip_with_a_constant_rate(tmp_path: Path):
    video = Video(write_clip(tmp_path / "a.mp4", 12, 12.5))
    found, error = read_all(video)
    assert (video.rate_hz, video.count, video.live, error) == (12.5, 12, False, "")
    assert [number_of(frame.image) for frame in found] == list(range(12))
    assert [frame.time_s for frame in found] == pytest.approx([number / 12.5 for number in range(12)], abs=1e-6)


def test_clip_with_a_variable_rate_keeps_the_time_of_each_frame(tmp_path: Path):
    durations = [0.1, 0.5, 0.05, 0.05, 1.2, 0.2]
    found, error = read_all(Video(write_uneven(tmp_path / "a.gif", durations)))
    assert error == ""
    assert [number_of(frame.image) for frame in found] == list(range(6))
    assert [frame.time_s for frame in found] == pytest.approx(np.cumsum([0, *durations[:-1]]), abs=1e-3)


def test_clock_replaces_missing_and_decreasing_time_stamps():
    clock = Clock(rate_hz=10)
    stamps = [2.0, 2.1, 0.0, 2.15, 2.4, math.nan]
    assert [clock.tick(stamp) for stamp in stamps] == pytest.approx([0, 0.1, 0.2, 0.2, 0.4, 0.5])
    with pytest.raises(UserError, match=r"damaged: .*0\.5 s .*5000\.0 s"):
        clock.tick(5002.0)


def test_clock_continues_where_time_stamps_start_anew():
    """So do two recordings that were joined."""
    clock = Clock(rate_hz=10)
    stamps = [0.0, 0.1, 5.0, 5.1, 0.2, 0.3, 0.4, 9.0]
    assert [clock.tick(stamp) for stamp in stamps] == pytest.approx([0, 0.1, 5.0, 5.1, 5.2, 5.3, 5.4, 14.0])


def truncate(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])
    return path


def test_truncated_clip_yields_its_frames_before_the_error(tmp_path: Path):
    found, error = read_all(Video(truncate(write_clip(tmp_path / "a.avi", 200), 0.5)))
    assert [number_of(frame.image) for frame in found] == [number % 28 for number in range(len(found))]
    assert 60 <= len(found) <= 110
    assert error.startswith("a.avi: cut off or damaged")
    assert f"of 20.0 s ({len(found)} frames)" in error


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: truncate(path, 0.6),  # without the index at its end
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x00\x00\x00\x18ftypmp42" * 40),
        lambda path: path.write_text("#EXTM3U\n#EXTINF:1\nhttp://127.0.0.1:9/a.ts\n"),  # a playlist
    ],
    ids=["no index", "empty", "no content", "playlist"],
)
def test_rejects_a_file_that_is_no_video(tmp_path: Path, damage: Callable, capfd: pytest.CaptureFixture):
    path = write_clip(tmp_path / "a.mp4", 20)
    damage(path)
    with pytest.raises(UserError, match=r"--video: .*a\.mp4: not a video"):
        Video(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("start", "name"), [(b"RIFF    WAVEfmt ", "WAV audio"), (b"%PDF-1.7", "a PDF"), (b"fLaC", "FLAC audio")]
)
def test_names_what_a_file_is_instead(tmp_path: Path, start: bytes, name: str):
    (tmp_path / "a.mp4").write_bytes(start + bytes(100))
    with pytest.raises(UserError, match=f"{name}; allowed: a whole video"):
        open_video(str(tmp_path / "a.mp4"))


def test_rejects_a_name_that_is_not_utf8(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.mp4"))
    try:
        write_clip(tmp_path / "a.mp4", 2).rename(path)
    except OSError:
        pytest.skip("this file system allows UTF-8 only")
    with pytest.raises(UserError, match=r"--video: not UTF-8; .*received: .*bad"):
        Video(path)


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period/></MPD>',
    ],
    ids=["concat", "hls", "sdp", "dash"],
)
@pytest.mark.parametrize("suffix", ["mp4", "m3u8", "ffconcat", "sdp"])
def test_a_local_playlist_opens_no_other_file(tmp_path: Path, content: str, suffix: str):
    write_clip(tmp_path / "other.mp4", 5)
    (tmp_path / f"list.{suffix}").write_text(content)
    with pytest.raises(UserError, match="not a video that can be read"):
        open_video(str(tmp_path / f"list.{suffix}"))


# ---- streams ----


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve the files in `tmp_path`, and `/mjpeg`, as a camera in the network sends pictures. Yield the address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if not self.path.startswith("/mjpeg"):
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=b")
            self.end_headers()
            for number in range(20):
                image = cv2.imencode(".jpg", picture(number))[1].tobytes()
                head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(image)}\r\n\r\n"
                self.wfile.write(head.encode() + image + b"\r\n")
            return None

    serving = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def test_reads_a_file_at_an_address(server: str, tmp_path: Path):
    write_clip(tmp_path / "a.mp4", 12)
    source = open_video(f"http://{server}/a.mp4")
    found, error = read_all(source)
    assert (source.live, source.count, error) == (False, 12, "")
    assert [number_of(frame.image) for frame in found] == list(range(12))


def test_reads_a_stream_until_it_ends_and_hides_its_password(server: str):
    source = open_video(f"http://me:secret@{server}/mjpeg?token=secret")
    found, error = read_all(source)
    assert (source.live, source.count, source.name) == (True, 0, f"http://{server}/mjpeg")
    assert [number_of(frame.image) for frame in found] == list(range(20))
    assert "did not deliver more" in error
    assert "secret" not in error


def test_a_stream_opens_no_local_file(server: str, tmp_path: Path):
    clip = write_clip(tmp_path / "other.mp4", 5)
    lines = "#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", f"file://{clip}", "#EXT-X-ENDLIST", ""
    (tmp_path / "list.m3u8").write_text("\n".join(lines))
    with pytest.raises(UserError, match="no video can be read there"):
        open_video(f"http://{server}/list.m3u8")
    with pytest.raises(UserError, match="not a video"):  # a file that follows is restricted again
        open_video(str(tmp_path / "list.m3u8"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("rtsp://me:secret@127.0.0.1:9/x", r"--video: rtsp://127\.0\.0\.1:9/x: no video can be read there"),
        ("http://127.0.0.1:9/a.mp4", "no video can be read there"),
        ("file:///etc/passwd", "unknown kind of address; allowed: a file, /dev/video0, or an address rtsp://"),
        ("concat://a.mp4", "unknown kind of address"),
        ("/dev/video63", "--video: /dev/video63: no such camera"),
        ("/dev/null", "neither a file nor a camera"),
        ("/dev", "a folder; allowed: a video file, /dev/video0"),
        ("http:/lost/slash.mp4", "unknown kind of address; allowed: a file, /dev/video0, or an address rtsp://"),
        ("none.mp4", "no such file"),
    ],
)
def test_rejects_addresses_and_devices_that_cannot_be_read(given: str, words: str, capfd: pytest.CaptureFixture):
    with pytest.raises(UserError, match=words) as error:
        open_video(given)
    assert "secret" not in str(error.value)
    assert capfd.readouterr().err == ""


def test_opens_a_device_as_camera(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture(3))
    source = open_video("/dev/video0")
    assert (source.name, source.live, len(read_all(source)[0])) == ("camera 0", True, 3)


# ---- cameras ----


@pytest.mark.parametrize("index", [-1, 63, 200, 10**11])
def test_rejects_a_missing_camera(index: int, capfd: pytest.CaptureFixture):
    with pytest.raises(UserError, match=f"--camera: no such camera; .*received: {index}"):
        Camera(index)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("count", "words"), [(3, "more after 0.0 s"), (0, "any frame")])
def test_unplugged_camera_yields_its_frames_before_the_error(monkeypatch: pytest.MonkeyPatch, count: int, words: str):
    capture = FakeCapture(count)
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    camera = Camera(0)
    found, error = read_all(camera)
    assert (camera.rate_hz, camera.live, len(found)) == (frames.DEFAULT_RATE_HZ, True, count)
    assert error.startswith(f"camera 0: did not deliver {words}")
    assert capture.released


def test_rejects_large_frames_before_decoding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCapture(1, (100_000, 10)))
    with pytest.raises(UserError, match=r"frames too large; .*8192 px.*received: '100000x10 px'"):
        Camera(0)


def test_frames_of_another_size_are_scaled_to_the_first():
    capture = FakeCapture(0)
    sizes = iter([(48, 64), (24, 32), (48, 64)])
    capture.read = lambda: (True, np.zeros((*size, 3), np.uint8)) if (size := next(sizes, None)) else (False, None)
    assert [image.shape for image in frames.images(capture)] == [(48, 64, 3)] * 3
