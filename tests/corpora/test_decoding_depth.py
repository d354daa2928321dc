"""Pixels of more than 8 bits are scaled by the bits that an image uses, whatever its format and channels."""

import cv2
import numpy as np
import pytest

from stages.corpora.decoding.depth import eight_bits, shrink_by
from stages.corpora.decoding.images import decode_image


def picture(channels: int) -> np.ndarray:
    """Return all 8-bit values, (20, 256) or (20, 256, channels) uint16; a fourth channel is opaque."""
    gray = np.tile(np.arange(256, dtype=np.uint16), (20, 1))
    color = np.stack([gray, gray[:, ::-1], gray // 2, np.full_like(gray, 255)], axis=-1)
    return gray if channels == 1 else color[..., :channels]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_scales_by_the_used_bits(bits: int, suffix: str, channels: int):
    original = picture(channels)
    data = cv2.imencode(suffix, original << (bits - 8))[1].tobytes()
    expected = original if channels == 1 else original[..., 2::-1]  # OpenCV writes BGR
    found = decode_image(data)[0]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("white", [1.0, 255.0, 4095.0, 65535.0])
def test_scales_fractions(white: float):
    data = cv2.imencode(".tiff", (picture(1) / 255 * white).astype(np.float32))[1].tobytes()
    assert np.abs(decode_image(data)[0].astype(int) - picture(1)).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[-5, 0, 300]], np.int32), [[0, 0, 75]]),
        (np.array([[np.nan, np.inf, 0.5]]), [[0, 0, 128]]),
        (np.array([[0, 1 << 31]], np.int64), [[0, 128]]),
        (np.zeros((1, 3), np.uint16), [[0, 0, 0]]),
    ],
)
def test_odd_values(values: np.ndarray, expected: list):
    np.testing.assert_array_equal(eight_bits(values), expected)


@pytest.mark.parametrize(
    ("shape", "factor", "expected"), [((9, 12), 1, (9, 12)), ((9, 12, 3), 2, (4, 6, 3)), ((1, 50), 8, (1, 6))]
)
def test_shrinks_by_whole_factors(shape: tuple, factor: int, expected: tuple):
    assert shrink_by(factor, np.zeros(shape, np.uint8)).shape == expected


@pytest.mark.parametrize("n_hot", [1, 2])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_hot_pixel_does_not_darken_the_others(bits: int, n_hot: int):
    values = np.tile(np.arange(256, dtype=np.uint16) << (bits - 8), (200, 1))  # 51,200 pixels
    expected = (values >> (bits - 8)).astype(np.uint8)
    values[0, :n_hot] = 65_535
    found = eight_bits(values)
    np.testing.assert_array_equal(found[1:], expected[1:])
    assert (found[0, :n_hot] == 255).all()
