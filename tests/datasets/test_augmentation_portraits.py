"""Augmentation of colour faces: drawn per sample, in range, seeded, and what it says it is."""

import colorsys

import pytest
import torch

from stages.core.errors import UserError
from stages.datasets.augmentation.portraits import build

OPTIONS = {
    "horizontal_flip": 0.5,
    "rotation_deg": 15.0,
    "crop": 0.3,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.5,
    "hue": 0.1,
    "erasing": 0.9,
}


def changed(x: torch.Tensor, **options: float) -> torch.Tensor:
    torch.manual_seed(0)
    return build(**options)(x, torch.zeros(len(x), dtype=torch.int64))[0]


def faces(count: int = 16, same: bool = False) -> torch.Tensor:
    x = torch.rand(1 if same else count, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    return x.expand(count, -1, -1, -1).clone()


def plain(red: float, green: float, blue: float, count: int = 64) -> torch.Tensor:
    return torch.tensor([red, green, blue])[None, :, None, None].expand(count, 3, 8, 8).clone()


@pytest.mark.parametrize("option", OPTIONS)
def test_each_sample_draws_its_own(option: str):
    found = changed(faces(same=True), **{option: OPTIONS[option]})
    assert len({sample.numpy().tobytes() for sample in found}) > (1 if option == "horizontal_flip" else 8)


@pytest.mark.parametrize("options", [OPTIONS, *({option: value} for option, value in OPTIONS.items())])
def test_shape_type_and_range_are_kept(options: dict[str, float]):
    x = faces()
    found = changed(x, **options)
    assert found.shape == x.shape
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-5
    assert not torch.equal(found, x)


def test_off_changes_nothing():
    x, length = faces(), torch.zeros(16, dtype=torch.int64)
    found, same_length = build(**dict.fromkeys(OPTIONS, 0.0))(x, length)
    assert torch.equal(found, x)
    assert same_length is length
    assert torch.equal(changed(x), x)


def test_flip_mirrors():
    x = faces()
    torch.testing.assert_close(changed(x, horizontal_flip=1.0), x.flip(3))


def test_crop_enlarges_a_part_of_the_picture():
    """Of a ramp from left to right, a crop shows an interval: as wide as what is left of that side."""
    ramp = torch.linspace(0, 1, 64).expand(48, 3, 64, 64).clone()
    found = changed(ramp, crop=0.36)
    width = found[:, 0, 32, -1] - found[:, 0, 32, 0]
    assert width.min() > (0.64 * 0.9) ** 0.5 - 0.03  # side of the smallest area, at the narrowest ratio
    assert width.max() < 1 + 1e-5
    assert width.max() - width.min() > 0.1
    assert found[:, 0, 32, 0].std() > 0.02  # not always cut on the same side


def test_brightness_and_contrast_and_saturation_stay_within_their_bounds():
    gray = changed(plain(0.5, 0.5, 0.5), brightness=0.2)
    assert gray.min() >= 0.4 - 1e-5
    assert gray.max() <= 0.6 + 1e-5
    assert gray.max() - gray.min() > 0.1
    halves = plain(0.5, 0.5, 0.5)
    halves[..., 4:] = 0.7
    distance = (halves := changed(halves, contrast=0.5))[..., -1] - halves[..., 0]
    assert 0.1 - 1e-5 <= distance.min() < distance.max() <= 0.3 + 1e-5
    colors = changed(plain(0.6, 0.4, 0.4), saturation=0.5)
    distance = colors[:, 0] - colors[:, 1]
    assert 0.1 - 1e-5 <= distance.min() < distance.max() <= 0.3 + 1e-5


def test_hue_turns_the_circle_of_colors():
    found = changed(plain(0.8, 0.2, 0.2), hue=0.1)[:, :, 0, 0]
    hues = [(colorsys.rgb_to_hsv(*color)[0] + 0.5) % 1 - 0.5 for color in found.tolist()]
    assert -0.101 < min(hues) < -0.05
    assert 0.05 < max(hues) < 0.101


def test_the_seed_decides():
    x, found = faces(), []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        found.append(build(**OPTIONS)(x, torch.zeros(16, dtype=torch.int64))[0])
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_gray_images_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"allowed: images with color: rgb; received: 1 channel$"):
        changed(torch.rand(2, 1, 8, 8), saturation=0.5)


def test_nothing_to_train():
    assert list(build(**OPTIONS).parameters()) == []
