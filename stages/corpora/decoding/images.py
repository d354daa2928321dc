"""Decodes an image from outside: format and size are checked before a pixel is decompressed."""

import io

import numpy as np
from PIL import Image

from stages.core.records import DamagedSample, Signal

# Files that are meant as images: those of other formats are named as damaged, not passed over.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FORMATS = ("JPEG", "PNG")
MAX_SIDE_PX = 8192
# Ours is checked before decoding; Pillow's own limit would print a warning of two lines first.
Image.MAX_IMAGE_PIXELS = None


def decode_image(data: bytes) -> Signal:
    """(height, width) uint8 for a gray image, (height, width, 3) for others; no rate. Raises `DamagedSample`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            if getattr(image, "n_frames", 1) > 1:
                raise DamagedSample(f"an animation of {image.n_frames} frames; allowed: one image")
            return _to_uint8(image), None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise DamagedSample(f"not a whole JPEG or PNG image ({_kind(data)}; {error.__class__.__name__})") from None


def _check_size(image: Image.Image) -> None:
    if max(image.size) > MAX_SIDE_PX:
        raise DamagedSample(f"{image.width}x{image.height} pixels; allowed: {MAX_SIDE_PX} a side")


def _to_uint8(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bit gray, of which Pillow's own conversion makes white whatever is above 255
        return (np.asarray(image) >> 8).astype(np.uint8)
    return np.asarray(image if image.mode == "L" else image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _kind(data: bytes) -> str:
    if not data:
        return "0 bytes"
    return "a GIF" if data[:4] == b"GIF8" else f"{len(data)} bytes starting {data[:8].hex()}"
