"""Faces cut out of larger images by the boxes that a corpus states."""

import struct

import numpy as np

from stages.core.records import DamagedSample, Signal
from stages.corpora.decoding.images import decode_image

MIN_INSIDE = 0.75  # of a box: detectors and rounding put the edges of some boxes beyond the image
_MAX_PX = 1 << 30
_BOX = struct.Struct("<?4d")


def pack_box(left: float, top: float, right: float, bottom: float, *, relative: bool) -> bytes:
    """Return a box as bytes. `relative`: shares of the image's width and height, not pixels."""
    return _BOX.pack(relative, left, top, right, bottom)


def decode_crop(data: bytes) -> Signal:
    """Return the part of an image that a box holds; `data` is the packed box, then the image. Raises `DamagedSample`.

    The part of a box beyond the image is cut off, as long as most of the box is inside.
    """
    relative, *box = _BOX.unpack_from(data)
    image, rate_hz = decode_image(data[_BOX.size :])
    height, width = image.shape[:2]
    scale = (width, height, width, height) if relative else (1, 1, 1, 1)
    edges = (edge * size for edge, size in zip(box, scale, strict=True))
    left, top, right, bottom = (round(min(max(edge, -_MAX_PX), _MAX_PX)) for edge in edges)
    inside = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    area = (right - left) * (bottom - top)
    if right <= left or bottom <= top or inside.shape[0] * inside.shape[1] < MIN_INSIDE * area:
        received = f"left {left}, top {top}, right {right}, bottom {bottom}"
        raise DamagedSample(f"a face box with {received}; allowed: inside the image of {width}x{height} pixels")
    return np.ascontiguousarray(inside), rate_hz
