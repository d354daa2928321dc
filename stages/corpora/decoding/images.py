"""Decodes an image from outside: format and size are checked before a pixel is decompressed."""

import io
import struct
import warnings

import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from stages.core.records import DamagedSample, Signal

# Files that are meant as images: those of other formats are named as damaged, not passed over.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FORMATS = ("JPEG", "PNG")
MAX_SIDE_PX = 8192
_JPEG = b"\xff\xd8\xff"
_EXIF = (b"Exif\x00\x00", b"eXIf")  # begin, in JPEG and in PNG, what a camera says of a picture, within 64 KiB
# Ours is checked before decoding; Pillow's own limit would print a warning of two lines first.
Image.MAX_IMAGE_PIXELS = None


def decode_image(data: bytes) -> Signal:
    """(height, width) uint8 for a gray image, else (height, width, 3), upright; no rate. Raises `DamagedSample`."""
    try:
        image = _usual_jpeg(data) if data.startswith(_JPEG) else None
        return _upright(_any_format(data) if image is None else image, data), None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DamagedSample(f"not a whole JPEG or PNG image ({_kind(data)}; {error.__class__.__name__})") from None


def _usual_jpeg(data: bytes) -> np.ndarray | None:
    """Five times faster than Pillow, to the same bytes; None for the colour spaces that are left to Pillow."""
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    _check_size(width, height)
    if colorspace == "Gray":
        return simplejpeg.decode_jpeg(data, "GRAY")[..., 0]
    return simplejpeg.decode_jpeg(data, "RGB") if colorspace == "YCbCr" else None


def _any_format(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _check_size(*image.size)
        if getattr(image, "n_frames", 1) > 1:
            raise DamagedSample(f"an animation of {image.n_frames} frames; allowed: one image")
        return _to_uint8(image)


def _upright(image: np.ndarray, data: bytes) -> np.ndarray:
    """Turned as EXIF's orientation says (1 to 8: CIPA DC-008, 4.6.5); cameras leave pixels as the sensor lay."""
    orientation = next((_orientation(data[at:]) for at in map(data.find, _EXIF) if at >= 0), 1)
    image = image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image
    image = image[::-1] if orientation in (3, 4, 7, 8) else image
    return np.ascontiguousarray(image[:, ::-1] if orientation in (2, 3, 6, 7) else image)


def _orientation(exif: bytes) -> int:
    """1, as it is, where the header is damaged: the picture itself is not."""
    found = Image.Exif()
    with warnings.catch_warnings(action="ignore"):
        try:
            found.load(exif[: 1 << 16].removeprefix(b"eXIf"))
            return found.get(ExifTags.Base.Orientation, 1)
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
            return 1


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE_PX:
        raise DamagedSample(f"{width}x{height} pixels; allowed: {MAX_SIDE_PX} a side")


def _to_uint8(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bit gray, of which Pillow's own conversion makes white whatever is above 255
        return (np.asarray(image) >> 8).astype(np.uint8)
    return np.asarray(image if image.mode == "L" else image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _kind(data: bytes) -> str:
    if not data:
        return "0 bytes"
    return "a GIF" if data[:4] == b"GIF8" else f"{len(data)} bytes starting {data[:8].hex()}"
