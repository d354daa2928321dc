"""Faces brought to one size and colour."""

import numpy as np
import pytest
from PIL import Image

from stages.features import faces


def picture(height: int, width: int, *channels: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def smooth(side: int) -> np.ndarray:
    y, x = np.mgrid[:side, :side] / side
    return np.round(127 + 100 * np.sin(3 * x) * np.cos(2 * y)).astype(np.uint8)


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


def test_same_size_is_left_as_it_is():
    gray, color = picture(48, 48), picture(48, 48, 3)
    np.testing.assert_array_equal(compute(gray)[0], gray)
    for channel in range(3):
        np.testing.assert_array_equal(compute(color, color="rgb")[channel], color[..., channel])


def test_gray_is_what_pillow_calls_gray():
    color = picture(64, 64, 3)
    expected = np.asarray(Image.fromarray(color).convert("L")).astype(int)
    assert np.abs(compute(color, 64)[0].astype(int) - expected).max() <= 1


def test_gray_as_rgb_repeats_it():
    gray = picture(48, 48)
    x = compute(gray, color="rgb")
    assert all(np.array_equal(x[channel], gray) for channel in range(3))


def test_smaller_is_the_mean_over_what_a_pixel_covers():
    image = picture(96, 96)
    means = image.reshape(48, 2, 48, 2).mean(axis=(1, 3))
    assert np.abs(compute(image)[0] - means).max() <= 0.51  # rounding


@pytest.mark.parametrize("side", [24, 36])
def test_bigger_stays_close_to_pillow(side: int):
    image = smooth(side)
    expected = np.asarray(Image.fromarray(image).resize((48, 48), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(compute(image)[0].astype(int) - expected).max() <= 2


def test_packing_covers_zero_to_one():
    white, black = np.full((48, 48), 255, np.uint8), np.zeros((48, 48), np.uint8)
    assert compute(white).max() * faces.SCALE_FACTOR + faces.ADD_OFFSET == pytest.approx(1)
    assert compute(black).min() * faces.SCALE_FACTOR + faces.ADD_OFFSET == 0


@pytest.mark.parametrize(("size_px", "color", "count"), [(24, "gray", 512), (48, "gray", 512), (48, "rgb", 170)])
def test_small_faces_travel_by_the_hundred(size_px: int, color: str, count: int):
    assert faces.samples_per_chunk({"size_px": size_px, "color": color}) == count


@pytest.mark.parametrize("size_px", [224, 1000, 4000])
def test_large_images_travel_by_the_megabyte(size_px: int):
    count = faces.samples_per_chunk({"size_px": size_px, "color": "rgb"})
    assert count == 1 or count * 3 * size_px**2 < 2e6
