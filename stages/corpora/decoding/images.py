"""Decodes an image from outside: format and size are checked before a pixel is decompressed."""

import io

import numpy as np
import simplejpeg
from PIL import Image

from stages.core.records import DamagedSample, Signal

# Files that are meant as images: those of other formats are named as damaged, not passed over.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FORMATS = ("JPEG", "PNG")
MAX_SIDE_PX = 8192
_JPEG = b"\xff\xd8\xff"
# Ours is checked before decoding; Pillow's own limit would print a warning of two lines first.
Image.MAX_IMAGE_PIXELS = None


def decode_image(data: bytes) -> Signal:
    """(height, width) uint8 for a gray image, (height, width, 3) for others; no rate. Raises `DamagedSample`."""
    try:
        image = _usual_jpeg(data) if data.startswith(_JPEG) else None
        return (_any_format(data) if image is None else image), None
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
