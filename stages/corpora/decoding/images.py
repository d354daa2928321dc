"""Decoding of untrusted images: format and size are checked before any pixel is decompressed."""

import io
import math
import struct
import warnings

import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from stages.core.records import DamagedSample, Signal
from stages.corpora.decoding.depth import deep_color, eight_bits, has_deep_color, shrink_by

# Suffixes of the formats that are decoded. The content decides, not the suffix: a PNG called `.jpg` is decoded, too.
DECODED = (".jpg", ".jpeg", ".jfif", ".jpe", ".jfi", ".jif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff")
DECODED += (".heic", ".heif", ".hif")
# Suffixes of all image files. A single file in another format is reported as damaged, not ignored.
SUFFIXES = (*DECODED, ".gif", ".pgm", ".ppm", ".avif")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF")
ALLOWED = "JPEG, PNG, BMP, WebP, TIFF or HEIC"
MAX_SIDE_PX = 8192
MAX_PIXELS = 200_000_000  # largest picture that is scaled down: phones have up to 16,320 x 12,240
MAX_SHRUNK_SIDE_PX = 32_000  # of a panorama: OpenCV turns and crops pictures up to 32,767
_JPEG = b"\xff\xd8\xff"
# First bytes of a file and its format; `?` stands for any byte.
_MAGIC = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP", b"RIFF????WEBP": "WebP"}
_MAGIC |= {b"II*\x00": "TIFF", b"MM\x00*": "TIFF", b"II+\x00": "TIFF", b"MM\x00+": "TIFF", b"GIF8": "GIF"}
_MAGIC |= {b"????ftyp" + brand: "HEIC" for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")}
_MAGIC |= {b"????ftypavi": "AVIF", b"8BPS": "Photoshop", b"%PDF": "PDF", b"\x00\x00\x00\x0cJXL ": "JPEG XL"}
_MAGIC |= {b"\x00\x00\x00\x0cjP  ": "JPEG 2000", b"P5": "PGM", b"P6": "PPM", b"PK\x03\x04": "zip", b"<svg": "SVG"}
_EXIF = b"Exif\x00\x00"  # start of the camera's EXIF data in a JPEG, at most 64 KiB
# Pillow raises these, too, for damaged TIFF tags.
_TIFF_ERRORS = (TypeError, KeyError, AttributeError, OverflowError, ZeroDivisionError, RuntimeError, struct.error)
# The size is checked here before decoding; with its own limit, Pillow would print a warning of two lines first.
Image.MAX_IMAGE_PIXELS = None


def decode_image(data: bytes, shrink: bool = False) -> Signal:
    """Return (height, width[, 3]) uint8, upright, grey if the image is, and no rate. Raises `DamagedSample`.

    `shrink`: larger images, up to `MAX_PIXELS`, are scaled down to as many pixels as a square of `MAX_SIDE_PX` has.
    """
    try:
        image = _decode_jpeg(data, shrink) if data.startswith(_JPEG) else None
        return _decode_any(data, shrink) if image is None else _upright(image, data[max(0, data.find(_EXIF)) :]), None
    except (OSError, ValueError, SyntaxError, EOFError, *_TIFF_ERRORS) as error:
        raise DamagedSample(f"not a whole {ALLOWED} image ({describe(data)}; {error.__class__.__name__})") from None


def image_format(start: bytes) -> str | None:
    """Return the format (JPEG, PNG, GIF, …) of an image, from its first 16 bytes; None if they are of another file."""
    for magic, name in _MAGIC.items():
        if len(start) >= len(magic) and all(a in (b, ord("?")) for a, b in zip(magic, start, strict=False)):
            return name
    return None


def is_decoded(start: bytes) -> bool:
    """Return whether a file with these first 16 bytes is in a format that is decoded."""
    return image_format(start) in ("JPEG", "PNG", "BMP", "WebP", "TIFF", "HEIC")


def describe(data: bytes) -> str:
    """Return what bytes are that were not decoded: 'a GIF', '5 bytes starting 68656c6c6f'."""
    name = image_format(data[:16])
    if name and not is_decoded(data[:16]):
        return f"an {name}" if name in ("AVIF", "SVG") else f"a {name}"
    return f"{len(data)} bytes" + (f" starting {data[:8].hex()}" if data else "")


def _decode_jpeg(data: bytes, shrink: bool) -> np.ndarray | None:
    """Decode to the same pixels as Pillow, five times faster; None for the colour spaces that are left to Pillow."""
    height, width, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    _check_size(width, height, shrink)
    # libjpeg decodes an eighth to a half of the size in less time and memory than the whole: a power of 2.
    wanted = _shrink_factor(width, height) if shrink else 1
    factor = 1 << (wanted - 1).bit_length()
    size = {"min_height": -(-height // factor), "min_width": -(-width // factor)} if factor > 1 else {}
    if colorspace == "Gray":
        return simplejpeg.decode_jpeg(data, "GRAY", **size)[..., 0]
    return simplejpeg.decode_jpeg(data, "RGB", **size) if colorspace == "YCbCr" else None


def _decode_any(data: bytes, shrink: bool) -> np.ndarray:
    formats = FORMATS
    if image_format(data[:16]) == "HEIC":
        from pillow_heif import register_heif_opener  # imported here: its library is needed for these files only

        register_heif_opener(thumbnails=False)
        formats = ("HEIF",)
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=formats) as image:
        _check_size(*image.size, shrink)
        if getattr(image, "n_frames", 1) > 1:
            raise DamagedSample(f"an animation of {image.n_frames} frames or pages; allowed: one image")
        image.load()
        pixels = shrink_by(_shrink_factor(*image.size), _pixels(image, data))
        # Pillow turns a TIFF itself, libheif a HEIC.
        is_upright = image.format in ("TIFF", "HEIF")
        return np.ascontiguousarray(pixels) if is_upright else _upright(pixels, image.info.get("exif", b""))


def _pixels(image: Image.Image, data: bytes) -> np.ndarray:
    if image.mode[0] in "IF":  # Pillow's own conversion makes all values above 255 white
        return eight_bits(np.asarray(image))
    if has_deep_color(image, data) and (deep := deep_color(data)) is not None:
        return deep[..., 0] if image.mode == "LA" and deep.ndim == 3 else deep
    return np.asarray(image if image.mode == "L" else image.convert("L" if image.mode in ("1", "LA") else "RGB"))


def _upright(image: np.ndarray, exif: bytes) -> np.ndarray:
    """Turn an image by its EXIF orientation (1 to 8: CIPA DC-008, 4.6.5): cameras store pixels as they were held."""
    orientation = _orientation(exif) if exif.startswith((_EXIF, b"II*\0", b"MM\0*")) else 1
    image = image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image
    image = image[::-1] if orientation in (3, 4, 7, 8) else image
    return np.ascontiguousarray(image[:, ::-1] if orientation in (2, 3, 6, 7) else image)


def _orientation(data: bytes) -> int:
    """Return the orientation in the EXIF data, 1 (upright) if they are damaged: the pixels may still be whole."""
    exif = Image.Exif()
    with warnings.catch_warnings(action="ignore"):
        try:
            exif.load(data[: 1 << 16])
            return exif.get(ExifTags.Base.Orientation, 1)
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
            return 1


def _shrink_factor(width: int, height: int) -> int:
    """Return the smallest whole number by which both sides are divided; 1 for all images up to `MAX_SIDE_PX` a side."""
    by_area = math.isqrt(max(0, width * height - 1)) // MAX_SIDE_PX + 1
    return max(by_area, -(-max(width, height) // MAX_SHRUNK_SIDE_PX))


def _check_size(width: int, height: int, shrink: bool) -> None:
    if shrink and width * height > MAX_PIXELS:
        raise DamagedSample(f"{width}x{height} pixels; allowed: {MAX_PIXELS:,} in all")
    if not shrink and max(width, height) > MAX_SIDE_PX:
        raise DamagedSample(f"{width}x{height} pixels; allowed: {MAX_SIDE_PX} a side")
