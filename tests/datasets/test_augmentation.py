"""Behaviour that all augmentations share; their own effects are tested in one file each."""

from collections.abc import Callable

import pytest
import torch

from stages.core import lookup

COMMON = {"horizontal_flip": 0.5, "rotation_deg": 15.0, "erasing": 0.9}
OPTIONS = {
    "faces": {**COMMON, "vertical_flip": 0.5, "shift": 0.2, "zoom": 0.2},
    "portraits": {**COMMON, "crop": 0.3, "brightness": 0.3, "contrast": 0.3, "saturation": 0.5, "hue": 0.1},
    "speech": {"width_shift": 0.2, "zoom": 0.2, "horizontal_flip": 0.5, "time_masks": 2, "mel_masks": 2},
    "eeg": {"noise": 0.5, "channel_dropout": 0.3, "window_crop": 0.4},
}
SHAPES = {"faces": (1, 24, 24), "portraits": (3, 24, 20), "speech": (50, 12), "eeg": (40, 30)}
EACH = [
    pytest.param(name, chosen, id=f"{name}-{'-'.join(chosen) if len(chosen) == 1 else 'all'}")
    for name, options in OPTIONS.items()
    for chosen in [options, *({option: value} for option, value in options.items())]
]
STEPS = [1, 2, 3, 10, 20, 25, 37, 40]


def build(name: str, options: dict) -> Callable:
    required = {"padding": "zero"} if name == "eeg" else {}
    return lookup.build("datasets.augmentation", {"name": name, **required, **options})


def samples(name: str, same: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Return 16 samples, and the true time steps of each (0 for images)."""
    x = torch.rand(1 if same else 16, *SHAPES[name], generator=torch.Generator().manual_seed(1))
    length = torch.tensor([30] * 16 if same else STEPS * 2)
    return x.expand(16, *SHAPES[name]).clone(), length * (len(SHAPES[name]) == 2)


def changed(name: str, options: dict, x: torch.Tensor, length: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return build(name, options)(x, length)[0]


def test_every_augmentation_is_tested():
    assert set(OPTIONS) == set(lookup.names("datasets.augmentation"))


@pytest.mark.parametrize(("name", "options"), EACH)
def test_samples_of_a_batch_are_changed_differently(name: str, options: dict):
    result = changed(name, options, *samples(name, same=True))
    different = len({sample.numpy().tobytes() for sample in result})
    assert different == 2 if "flip" in "".join(options) and len(options) == 1 else different > 8


@pytest.mark.parametrize(("name", "options"), EACH)
def test_shape_and_types_are_unchanged(name: str, options: dict):
    x, length = samples(name)
    before, length_before = x.clone(), length.clone()
    torch.manual_seed(0)
    result, new_length = build(name, options)(x, length)
    assert (result.shape, result.dtype, new_length.dtype) == (x.shape, torch.float32, torch.int64)
    assert torch.equal(x, before)  # a change in place would accumulate over epochs
    assert torch.equal(length, length_before)
    assert torch.isfinite(result).all()
    assert not torch.equal(result, x)
    assert not result.requires_grad
    if name in ("faces", "portraits"):
        assert result.min() >= 0
        assert result.max() <= 1 + 1e-5
    if name != "eeg":
        assert torch.equal(new_length, length)


@pytest.mark.parametrize("name", OPTIONS)
def test_disabled_options_change_nothing(name: str):
    x, length = samples(name)
    for options in ({}, dict.fromkeys(OPTIONS[name], 0)):
        result, new_length = build(name, options)(x, length)
        assert torch.equal(result, x)
        assert new_length is length


@pytest.mark.parametrize(("name", "options"), EACH)
def test_result_depends_on_the_seed_only(name: str, options: dict):
    first, same, other = (changed(name, options, *samples(name), seed) for seed in (5, 5, 6))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
