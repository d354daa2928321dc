"""Effects of the augmentation of faces."""

import pytest
import torch

from stages.datasets.augmentation.faces import build


def changed(x: torch.Tensor, **options: float) -> torch.Tensor:
    return build(**options)(x, torch.zeros(len(x), dtype=torch.int64))[0]


@pytest.mark.parametrize(("option", "axis"), [("horizontal_flip", 3), ("vertical_flip", 2)])
def test_flip_mirrors(option: str, axis: int):
    x = torch.rand(16, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(changed(x, **{option: 1.0}), x.flip(axis))
    torch.manual_seed(0)
    result = changed(x, **{option: 0.5})
    mirrored = [torch.allclose(new, old.flip(axis - 1), atol=1e-6) for new, old in zip(result, x, strict=True)]
    unchanged = [torch.allclose(new, old, atol=1e-6) for new, old in zip(result, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, unchanged, strict=True))
    assert 0 < sum(mirrored) < len(x)


def test_uncovered_border_is_black():
    torch.manual_seed(0)
    result = changed(torch.ones(16, 1, 24, 24), rotation_deg=30.0, shift=0.3)
    assert (result.flatten(1).min(dim=1).values < 1e-6).all()


def test_zoom_stays_within_its_bounds():
    """A centred bright square of 12 pixels, zoomed by 1 ± 0.2, covers (12 * 0.8)² to (12 * 1.2)² pixels."""
    x = torch.zeros(64, 1, 48, 48)
    x[:, :, 18:30, 18:30] = 1
    torch.manual_seed(0)
    side = changed(x, zoom=0.2).sum(dim=(1, 2, 3)).sqrt()
    assert side.min() > 12 * 0.8 - 0.7
    assert side.max() < 12 * 1.2 + 0.7
    assert side.max() - side.min() > 2
