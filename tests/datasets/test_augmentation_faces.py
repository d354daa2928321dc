"""Augmentation of faces: drawn per sample, in range, seeded, and what it says it is."""

import pytest
import torch

from stages.datasets.augmentation.faces import build

OPTIONS = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "rotation_deg": 20.0,
    "shift": 0.2,
    "zoom": 0.2,
    "erasing": 0.9,
}


def changed(x: torch.Tensor, **options: float) -> torch.Tensor:
    return build(**options)(x, torch.zeros(len(x), dtype=torch.int64))[0]


def faces(count: int = 16, channels: int = 1, same: bool = False) -> torch.Tensor:
    x = torch.rand(1 if same else count, channels, 24, 24, generator=torch.Generator().manual_seed(1))
    return x.expand(count, -1, -1, -1).clone()


@pytest.mark.parametrize("option", OPTIONS)
def test_each_sample_draws_its_own(option: str):
    torch.manual_seed(0)
    found = changed(faces(same=True), **{option: OPTIONS[option]})
    assert len({sample.numpy().tobytes() for sample in found}) > 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("options", [OPTIONS, *({option: value} for option, value in OPTIONS.items())])
def test_shape_type_and_range_are_kept(options: dict[str, float], channels: int):
    torch.manual_seed(0)
    x = faces(channels=channels)
    found = changed(x, **options)
    assert found.shape == x.shape
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-5
    assert not torch.equal(found, x)


@pytest.mark.parametrize("options", [{}, OPTIONS])
def test_lengths_are_passed_on(options: dict[str, float]):
    length = torch.zeros(16, dtype=torch.int64)
    assert build(**options)(faces(), length)[1] is length


def test_off_changes_nothing():
    x = faces()
    assert torch.equal(changed(x), x)
    assert torch.equal(changed(x, **dict.fromkeys(OPTIONS, 0.0)), x)


@pytest.mark.parametrize(("option", "axis"), [("horizontal_flip", 3), ("vertical_flip", 2)])
def test_flip_mirrors(option: str, axis: int):
    x = faces()
    torch.testing.assert_close(changed(x, **{option: 1.0}), x.flip(axis))
    torch.manual_seed(0)
    found = changed(x, **{option: 0.5})
    mirrored = [torch.allclose(new, old.flip(axis - 1), atol=1e-6) for new, old in zip(found, x, strict=True)]
    left = [torch.allclose(new, old, atol=1e-6) for new, old in zip(found, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, left, strict=True))
    assert 0 < sum(mirrored) < len(x)


def test_uncovered_border_is_black():
    torch.manual_seed(0)
    found = changed(torch.ones(16, 1, 24, 24), rotation_deg=30.0, shift=0.3)
    assert (found.flatten(1).min(dim=1).values < 1e-6).all()


def test_zoom_stays_within_its_bounds():
    """A centred bright square of 12 pixels, zoomed by 1 ± 0.2, covers (12 * 0.8)² to (12 * 1.2)² pixels."""
    x = torch.zeros(64, 1, 48, 48)
    x[:, :, 18:30, 18:30] = 1
    torch.manual_seed(0)
    side = changed(x, zoom=0.2).sum(dim=(1, 2, 3)).sqrt()
    assert side.min() > 12 * 0.8 - 0.7
    assert side.max() < 12 * 1.2 + 0.7
    assert side.max() - side.min() > 2


def test_the_seed_decides():
    x, found = faces(), []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        found.append(changed(x, **OPTIONS))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_nothing_to_train():
    assert list(build(**OPTIONS).parameters()) == []
