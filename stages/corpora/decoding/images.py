"""Decoding of untrusted images: format and size are checked before any pixel is decompressed."""

import io
import struct
import warnings

import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from stages.core.records import DamagedSample, Signal

# Suffixes of image files. Those in other formats are reported as damaged, not ignored.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
FORMATS = ("JPEG", "PNG")
MAX_SIDE_PX = 8192
_JPEG = b"\xff\xd8\xff"
_EXIF = (b"Exif\x00\x00", b"eXIf")  # start of the camera's EXIF data in JPEG and in PNG, at most 64 KiB
# The size is checked here before decoding; with its own limit, Pillow would print a warning of two lines first.
Image.MAX_IMAGE_PIXELS = None


def decode_image(data: bytes) -> Signal:
    """Return (height, width[, 3]) uint8, upright, grey if the image is, and no rate. Raises `DamagedSample`."""
    try:
        image = _decode_jpeg(data) if data.startswith(_JPEG) else None
        return _upright(_decode_any(data) if image is None else image, data), None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        start = f" starting {data[:8].hex()}" if data else ""
        found = "a GIF" if data[:4] == b"GIF8" else f"{len(data)} bytes{start}"
        raise DamagedSample(f"not a whole JPEG or PNG image ({found}; {error.__class__.__name__})") from None


def _decode_jpeg(data: bytes) -> np.ndarray | None:
    """Decode to the same pixels as Pillow, five times faster; None for the colour spaces that are left to Pillow."""
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    _check_size(width, height)
    if colorspace == "Gray":
        return simplejpeg.decode_jpeg(data, "GRAY")[..., 0]
    return simplejpeg.decode_jpeg(data, "RGB") if colorspace == "YCbCr" else None


def _decode_any(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        _check_size(*image.size)
        if getattr(image, "n_frames", 1) > 1:
            raise DamagedSample(f"an animation of {image.n_frames} frames; allowed: one image")
        if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion makes all values above 255 white
            return (np.asarray(image) >> 8).astype(np.uint8)
        return np.asarray(image if image.mode == "L" else image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _upright(image: np.ndarray, data: bytes) -> np.ndarray:
    """Turn an image by its EXIF orientation (1 to 8: CIPA DC-008, 4.6.5): cameras store pixels as they were held."""
    orientation = next((_orientation(data[start:]) for start in map(data.find, _EXIF) if start >= 0), 1)
    image = image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image
    image = image[::-1] if orientation in (3, 4, 7, 8) else image
    return np.ascontiguousarray(image[:, ::-1] if orientation in (2, 3, 6, 7) else image)


def _orientation(data: bytes) -> int:
    """Return the orientation in the EXIF data, 1 (upright) if they are damaged: the pixels may still be whole."""
    exif = Image.Exif()
    with warnings.catch_warnings(action="ignore"):
        try:
            exif.load(data[: 1 << 16].removeprefix(b"eXIf"))
            return exif.get(ExifTags.Base.Orientation, 1)
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
            return 1


def _check_size(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE_PX:
        raise DamagedSample(f"{width}x{height} pixels; allowed: {MAX_SIDE_PX} a side")
