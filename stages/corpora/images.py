"""Decodes an image from outside: format and size are checked before a pixel is decompressed."""

import io

import numpy as np
from PIL import Image

from stages.core.records import DamagedSample

FORMATS = ("JPEG", "PNG")
MAX_SIDE_PX = 8192


def decode_image(data: bytes) -> np.ndarray:
    """(height, width) uint8 for a gray image, (height, width, 3) for any other mode. Raises `DamagedSample`."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            if getattr(image, "n_frames", 1) > 1:
                raise DamagedSample(f"an animation of {image.n_frames} frames; allowed: one image")
            return np.asarray(image if image.mode == "L" else image.convert(_target_mode(image.mode)))
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise DamagedSample(f"not a whole JPEG or PNG image ({_kind(data)}; {error.__class__.__name__})") from None


def _check_size(image: Image.Image) -> None:
    if max(image.size) > MAX_SIDE_PX:
        raise DamagedSample(f"{image.width}x{image.height} pixels; allowed: {MAX_SIDE_PX} a side")


def _target_mode(mode: str) -> str:
    return "L" if mode in ("1", "LA", "I;16", "I", "F") else "RGB"


def _kind(data: bytes) -> str:
    if not data:
        return "0 bytes"
    return "a GIF" if data[:4] == b"GIF8" else f"{len(data)} bytes starting {data[:8].hex()}"
