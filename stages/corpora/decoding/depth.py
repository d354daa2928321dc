"""Pixels of more than 8 bits, scaled to 8 by the bits that an image uses: cameras store 10 to 14 bits in 16."""

import cv2
import numpy as np
from PIL import Image

BITS = (8, 10, 12, 14, 16, 24, 32)  # bits of cameras, scanners and programs; the smallest that holds all values is used
HOT_PIXELS = 20_000  # one value in so many may be beyond the bits that the others use: a defect of the sensor
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it would print a line for each odd tag of a TIFF
_BITS_PER_SAMPLE, _ORIENTATION = 258, 274  # tags of TIFF


def eight_bits(values: np.ndarray) -> np.ndarray:
    """Return uint8 for integers or fractions of any range; fractions up to 1 are shares of white."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "f":
        values = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
    highest = values.size - 1 - values.size // HOT_PIXELS
    top = float(np.partition(values, highest, axis=None)[highest])
    if values.dtype.kind == "f" and top <= 1:
        return np.rint(255 * values.clip(0)).astype(np.uint8)
    bits = next((bits for bits in BITS if top < 1 << bits), BITS[-1])
    return (values.clip(0, (1 << bits) - 1).astype(np.uint64) >> np.uint64(bits - 8)).astype(np.uint8)


def has_deep_color(image: Image.Image, data: bytes) -> bool:
    """Return whether a PNG or TIFF has 16 bits per channel, of which Pillow keeps the upper eight."""
    if image.format == "PNG":
        return data[24] == 16 and data[25] in (2, 4, 6)  # bit depth and colour type in IHDR
    tags = image.tag_v2 if image.format == "TIFF" else {}
    bits = tags.get(_BITS_PER_SAMPLE, ())
    return image.mode in ("RGB", "RGBA") and 16 in np.atleast_1d(bits) and tags.get(_ORIENTATION, 1) == 1


def deep_color(data: bytes) -> np.ndarray | None:
    """Return (height, width[, 3]) uint8 of an image that Pillow has found whole; None where OpenCV cannot read it."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        return None
    values = eight_bits(values[..., :3] if values.ndim == 3 else values)
    return values[..., ::-1] if values.ndim == 3 else values


def shrink_by(factor: int, image: np.ndarray) -> np.ndarray:
    """Return the image with both sides divided by a whole number: the same, or one averaged over areas."""
    if factor <= 1:
        return image
    height, width = (max(1, side // factor) for side in image.shape[:2])
    whole = image[: height * factor, : width * factor]  # OpenCV averages whole blocks ten times faster
    return cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
