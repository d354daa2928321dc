"""Effects of the augmentation of colour faces."""

import colorsys

import pytest
import torch

from stages.core.errors import UserError
from stages.datasets.augmentation.portraits import build


def changed(x: torch.Tensor, **options: float) -> torch.Tensor:
    torch.manual_seed(0)
    return build(**options)(x, torch.zeros(len(x), dtype=torch.int64))[0]


def uniform_color(red: float, green: float, blue: float, count: int = 64) -> torch.Tensor:
    return torch.tensor([red, green, blue])[None, :, None, None].expand(count, 3, 8, 8).clone()


def test_crop_enlarges_a_part_of_the_image():
    """A crop of a ramp from left to right shows an interval as wide as the share of the side that is kept."""
    ramp = torch.linspace(0, 1, 64).expand(48, 3, 64, 64).clone()
    result = changed(ramp, crop=0.36)
    width = result[:, 0, 32, -1] - result[:, 0, 32, 0]
    assert width.min() > (0.64 * 0.9) ** 0.5 - 0.03  # side of the smallest area, at the narrowest ratio
    assert width.max() < 1 + 1e-5
    assert width.max() - width.min() > 0.1
    assert result[:, 0, 32, 0].std() > 0.02  # the cut varies between the two sides


def test_brightness_contrast_and_saturation_stay_within_their_bounds():
    gray = changed(uniform_color(0.5, 0.5, 0.5), brightness=0.2)
    assert gray.min() >= 0.4 - 1e-5
    assert gray.max() <= 0.6 + 1e-5
    assert gray.max() - gray.min() > 0.1
    halves = uniform_color(0.5, 0.5, 0.5)
    halves[..., 4:] = 0.7
    distance = (halves := changed(halves, contrast=0.5))[..., -1] - halves[..., 0]
    assert 0.1 - 1e-5 <= distance.min() < distance.max() <= 0.3 + 1e-5
    colors = changed(uniform_color(0.6, 0.4, 0.4), saturation=0.5)
    distance = colors[:, 0] - colors[:, 1]
    assert 0.1 - 1e-5 <= distance.min() < distance.max() <= 0.3 + 1e-5


def test_hue_shifts_colors_both_ways():
    result = changed(uniform_color(0.8, 0.2, 0.2), hue=0.1)[:, :, 0, 0]
    hues = [(colorsys.rgb_to_hsv(*color)[0] + 0.5) % 1 - 0.5 for color in result.tolist()]
    assert -0.101 < min(hues) < -0.05
    assert 0.05 < max(hues) < 0.101


def test_rejects_gray_images():
    with pytest.raises(UserError, match=r"color: rgb; received: 1 channel$"):
        changed(torch.rand(2, 1, 8, 8), saturation=0.5)
