"""Frames of a video file, a stream or a camera with their own times, on which everything later relies.

OpenCV reads them. Of a local file nothing else is opened, whatever a playlist names; a stream opens addresses only.
"""

import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from stages.core.errors import UserError, refuse
from stages.core.outputs import require_utf8
from stages.corpora.decoding.images import MAX_SIDE_PX
from stages.serving.inputs import READABLE, signature

# FFmpeg's names of the formats that hold their own frames: a playlist (hls, concat, dash, sdp) would open other files.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,asf,flv,gif,apng,ogg,mpeg,mpegts,mpegvideo,m4v,h261,h263,h264,"
    "hevc,vvc,av1,obu,ivf,vc1,mjpeg,dv,rm,nut,nsv,nuv,mxf,gxf,wtv,swf,yuv4mpegpipe,"
    "mjpeg_2000,flic,ea,smk,bink,roq,amv,film_cpk,cavsvideo,jpeg_pipe,png_pipe,webp_pipe,"
    "bmp_pipe,tiff_pipe,webp_anim"
)
_FILE_OPTIONS = f"protocol_whitelist;file|format_whitelist;{_FORMATS}"
_STREAM_OPTIONS = "protocol_whitelist;rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto,rtmp,rtmps,data"
os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FILE_OPTIONS  # read by OpenCV whenever it opens a video
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg prints a line for each damaged packet
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # OpenCV prints three for a missing camera

RATES_HZ = 0.1, 240.0  # plausible frame rates; a file or camera may report any number
DEFAULT_RATE_HZ = 30.0  # where no plausible rate is reported
MAX_GAP_S = 600.0  # a longer gap between frames is a damaged time stamp; a recorded screen may stand still
MAX_BACKWARD_S = 1.0  # a time stamp that is further behind the last one restarts the clock
SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "udp", "tcp", "rtp")  # schemes of the address of a stream
ADDRESSES = f"an address {', '.join(f'{name}://' for name in SCHEMES)}"
TIMEOUT_MS = 10_000  # longest wait for a stream to open, and for its next frame
MAX_CAMERAS = 100  # OpenCV takes number 200 for the first camera of its second backend
MAX_MISSING = 0.02, 2  # allowed share and number of missing frames, since a clip's frame count is often estimated


@dataclass(frozen=True)
class Frame:
    """`time_s` since the first frame, never decreasing; `image` (height, width, 3) uint8, BGR."""

    time_s: float
    image: np.ndarray


class Clock:
    """Turns the time stamps of a file into times from 0 on that never decrease.

    A missing stamp (0) is replaced by the last time plus one frame. Stamps that start anew, as in two recordings in one
    file, continue from the last time.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._first_s: float | None = None
        self.time_s = 0.0

    def tick(self, stamp_s: float) -> float:
        """Return the time of the next frame. Raises `UserError` for a gap beyond `MAX_GAP_S`."""
        if self._first_s is None:
            self._first_s = stamp_s if math.isfinite(stamp_s) else 0.0
            return self.time_s
        has_stamp, expected_s = math.isfinite(stamp_s) and stamp_s != 0, self.time_s + 1 / self._rate_hz
        if has_stamp and stamp_s - self._first_s < self.time_s - MAX_BACKWARD_S:
            self._first_s = stamp_s - expected_s
        time_s = max(self.time_s, stamp_s - self._first_s) if has_stamp else expected_s
        if time_s - self.time_s > MAX_GAP_S:
            raise UserError(f"damaged: after {self.time_s:.1f} s its time stamps jump to {time_s:.1f} s")
        self.time_s = time_s
        return time_s


class Video:
    """A video file. Its frames keep the times that the file gives them.

    `live`: frames arrive in real time; `count`: number of frames, 0 where unknown; `frame_bytes`: memory of one frame.
    """

    live = False

    def __init__(self, path: Path) -> None:
        self.name = path.name
        if not path.is_file():
            what = "a folder" if path.is_dir() else "neither a file nor a camera" if path.exists() else "no such file"
            refuse(what, where="--video", allowed=f"a video file, /dev/video0, or {ADDRESSES}", received=str(path))
        require_utf8(path, "--video")
        capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            name, kind, *_ = signature(path)
            unread = "not a video that can be read, or cut off before its index"
            what = unread if kind in ("", "video") else name
            raise UserError(f"--video: {path}: {what}; allowed: {READABLE['video']}")
        self._describe(capture, f"--video: {path}")

    def _describe(self, capture: cv2.VideoCapture, where: str) -> None:
        self._capture = capture
        self.frame_bytes = require_size(capture, where)
        self.rate_hz = plausible_rate_hz(capture)
        self.count = max(0, round(min(capture.get(cv2.CAP_PROP_FRAME_COUNT), 1e9)))

    def frames(self) -> Iterator[Frame]:
        """Yield the frames, all of one size; raises `UserError` at the end of a clip that is cut off."""
        clock, found = Clock(self.rate_hz), 0
        try:
            for image in images(self._capture):
                yield Frame(clock.tick(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000), image)
                found += 1
            self._require_whole(found, clock.time_s)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from None
        finally:
            self._capture.release()

    def _require_whole(self, found: int, last_s: float) -> None:
        """Raise `UserError` where both frames and seconds are missing: a variable rate may give fewer frames."""
        if not found:
            raise UserError("holds no frame that can be read")
        duration_s = self.count / self.rate_hz
        lost = self.count - found > max(MAX_MISSING[0] * self.count, MAX_MISSING[1])
        if lost and last_s + (MAX_MISSING[1] + 1) / self.rate_hz < (1 - MAX_MISSING[0]) * duration_s:
            raise UserError(f"cut off or damaged: ends after {last_s:.1f} of {duration_s:.1f} s ({found:,} frames)")


class Camera:
    """A camera, by number. The time of a frame is its arrival."""

    live = True
    count = 0

    def __init__(self, index: int, where: str = "--camera") -> None:
        self.name = f"camera {index}"
        self._capture = cv2.VideoCapture(index) if 0 <= index < MAX_CAMERAS else None
        if self._capture is None or not self._capture.isOpened():
            refuse("no such camera", where=where, allowed="0, 1, … of a connected camera", received=index)
        self.frame_bytes = require_size(self._capture, f"--camera {index}")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not one buffered by the driver
        self.rate_hz = plausible_rate_hz(self._capture)

    def frames(self) -> Iterator[Frame]:
        """Yield frames; raises `UserError` when no more arrive."""
        yield from arriving(self._capture, self.name, "unplugged, or used by another program?")


class Stream(Video):
    """A video at an address: `live` where its number of frames is unknown (a camera in the network), else a file."""

    def __init__(self, address: str) -> None:
        self.name = without_password(address)
        if not address.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
            allowed = f"a file, /dev/video0, or {ADDRESSES}"
            refuse("unknown kind of address", where="--video", allowed=allowed, received=self.name)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
        with stream_options():
            capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, timeouts)
        if not capture.isOpened():
            raise UserError(f"--video: {self.name}: no video can be read there: not reachable, refused, or no video")
        self._describe(capture, f"--video: {self.name}")
        self.live = not self.count

    def frames(self) -> Iterator[Frame]:
        """Yield frames; raises `UserError` when no more arrive, of a file only before its end."""
        if self.live:
            return arriving(self._capture, self.name, "ended, or the connection broke off")
        return super().frames()


Source = Video | Camera


def open_video(given: str) -> Source:
    """Return the source that `--video` names: a file, the address of a stream, or a camera as /dev/video0."""
    if re.match(rf"[A-Za-z][A-Za-z0-9+.-]+://|({'|'.join(SCHEMES)}):", given, re.IGNORECASE):
        return Stream(given)
    path = Path(given)
    device = re.fullmatch(r"/dev/video(\d+)", str(path.resolve() if path.is_char_device() else path))
    return Camera(int(device[1]), f"--video: {given}") if device else Video(path)


def without_password(address: str) -> str:
    """Return an address without user, password and query, for messages and pictures."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


@contextmanager
def stream_options() -> Iterator[None]:
    """Let OpenCV open addresses meanwhile, but no local file that a stream names."""
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _STREAM_OPTIONS
    try:
        yield
    finally:
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FILE_OPTIONS


def arriving(capture: cv2.VideoCapture, name: str, why: str) -> Iterator[Frame]:
    """Yield frames with the times of their arrival. Raises `UserError` with the reason when no more arrive."""
    first_s = now_s = None
    try:
        for image in images(capture):
            now_s = time.monotonic()
            first_s = now_s if first_s is None else first_s
            yield Frame(now_s - first_s, image)
    finally:
        capture.release()
    after = "any frame" if now_s is None else f"more after {now_s - first_s:.1f} s"
    raise UserError(f"{name}: did not deliver {after}: {why}")


def images(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield images (height, width, 3) in the size of the first one; a stream may change its size."""
    size: tuple[int, int] | None = None
    while True:
        good, image = capture.read()
        if not good or image is None:
            return
        size = size or image.shape[1::-1]
        yield image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def require_size(capture: cv2.VideoCapture, where: str) -> int:
    """Return the bytes of one frame before any is decoded. Raises `UserError` for frames that are too large."""
    width, height = (capture.get(key) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if max(width, height) > MAX_SIDE_PX:
        allowed, received = f"at most {MAX_SIDE_PX} px on a side", f"{width:.0f}x{height:.0f} px"
        refuse("frames too large", where=where, allowed=allowed, received=received)
    return int(3 * width * height)


def plausible_rate_hz(capture: cv2.VideoCapture) -> float:
    """Return the reported rate, rounded to 0.001 as in a written video; `DEFAULT_RATE_HZ` where it is implausible."""
    rate_hz = capture.get(cv2.CAP_PROP_FPS)
    return round(rate_hz, 3) if RATES_HZ[0] <= rate_hz <= RATES_HZ[1] else DEFAULT_RATE_HZ
