"""Faces are brought to one size and colour."""

import numpy as np
import pytest
from PIL import Image

from stages.features import faces


def picture(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def compute(image: np.ndarray, size_px: int = 48, color: str = "gray") -> np.ndarray:
    x, steps = faces.compute(image, None, size_px=size_px, color=color)
    assert steps == 0
    return x


@pytest.mark.parametrize("color", ["gray", "rgb"])
@pytest.mark.parametrize("channels", [(), (3,)])
@pytest.mark.parametrize("size", [(48, 48), (100, 60), (7, 9), (1, 1), (300, 20)])
def test_shape_and_type(size: tuple[int, int], channels: tuple[int, ...], color: str):
    x = compute(picture(*size, *channels), color=color)
    assert x.shape == ({"gray": 1, "rgb": 3}[color], 48, 48)
    assert x.dtype == np.dtype(faces.DTYPE) == np.uint8
    assert x.flags.c_contiguous
    assert len(faces.LAYOUT) == x.ndim


def test_image_of_the_right_size_is_unchanged():
    gray, color = picture(48, 48), picture(48, 48, 3)
    np.testing.assert_array_equal(compute(gray)[0], gray)
    np.testing.assert_array_equal(compute(color, color="rgb"), np.moveaxis(color, 2, 0))


def test_gray_equals_pillow():
    color = picture(64, 64, 3)
    expected = np.asarray(Image.fromarray(color).convert("L")).astype(int)
    assert np.abs(compute(color, 64)[0].astype(int) - expected).max() <= 1


def test_gray_is_repeated_for_rgb():
    gray = picture(48, 48)
    np.testing.assert_array_equal(compute(gray, color="rgb"), np.stack([gray] * 3))


def test_shrinking_averages_over_the_area_of_a_pixel():
    image = picture(96, 96)
    means = image.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.abs(compute(image)[0] - means).max() <= 0.51  # rounding


@pytest.mark.parametrize(("level", "expected"), [(0, 0), (255, 1)])
def test_stored_values_cover_zero_to_one(level: int, expected: float):
    stored = compute(np.full((48, 48), level, np.uint8))
    np.testing.assert_allclose(stored * faces.SCALE_FACTOR + faces.ADD_OFFSET, expected)


@pytest.mark.parametrize(
    ("size_px", "color", "count"),
    [(24, "gray", 512), (48, "gray", 512), (48, "rgb", 170), (224, "rgb", 7), (1000, "rgb", 1), (4000, "rgb", 1)],
)
def test_chunks_are_limited_in_samples_and_pixels(size_px: int, color: str, count: int):
    assert faces.samples_per_chunk({"size_px": size_px, "color": color}) == count
