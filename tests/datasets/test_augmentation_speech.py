"""Augmentation of speech: drawn per clip, within its true frames, seeded, and what it says it is."""

import pytest
import torch
from torch import nn

from stages.datasets.augmentation.speech import build

OPTIONS = {
    "width_shift": 0.2,
    "zoom": 0.2,
    "horizontal_flip": 0.5,
    "time_masks": 2,
    "mel_masks": 2,
    "gain_db": 6.0,
    "noise_db": 1.0,
}
EACH = [OPTIONS, *({option: value} for option, value in OPTIONS.items())]
FRAMES, BANDS = 50, 12
PADDING = -77.0


def lengths(count: int = 16) -> torch.Tensor:
    return torch.tensor([50, 1, 2, 3, 37, 49, 10, 20] * (count // 8))


def padded(x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.arange(x.shape[1])[None, :, None] < length[:, None, None], x, PADDING)


def clips(count: int = 16, same: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(1 if same else count, FRAMES, BANDS, generator=torch.Generator().manual_seed(1)) * 10 - 30
    length = torch.full((count,), 40) if same else lengths(count)
    return padded(x.expand(count, -1, -1), length), length


def ramp(count: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Each frame's values are its number: a warp's are the times it read at."""
    x = torch.arange(FRAMES, dtype=torch.float32)[None, :, None].expand(count, -1, BANDS)
    return x.clone(), torch.full((count,), length)


def changed(options: dict, x: torch.Tensor, length: torch.Tensor, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return build(**options)(x, length)[0]


@pytest.mark.parametrize("options", EACH)
def test_each_clip_draws_its_own(options: dict):
    found = changed(options, *clips(same=True))
    different = len({clip.numpy().tobytes() for clip in found})
    assert different == 2 if options == {"horizontal_flip": 0.5} else different > 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length_dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("options", EACH)
def test_shape_types_length_and_padding_are_kept(options: dict, length_dtype: torch.dtype, dtype: torch.dtype):
    x, length = clips()
    x, length = x.to(dtype), length.to(length_dtype)
    before, length_before = x.clone(), length.clone()
    torch.manual_seed(0)
    found, found_length = build(**options)(x, length)
    assert (found.shape, found.dtype, found.device) == (x.shape, dtype, x.device)
    assert found_length.dtype == length_dtype
    assert torch.equal(found_length, length_before)
    assert torch.equal(x, before)  # in place, the next epoch's would be changed twice
    assert torch.isfinite(found).all()
    is_padding = torch.arange(FRAMES) >= length[:, None]
    assert (found[is_padding] == PADDING).all()
    assert not torch.equal(found, x)


@pytest.mark.parametrize("options", EACH)
def test_padding_is_never_read(options: dict):
    x, length = clips()
    garbage = torch.where(x == PADDING, torch.tensor(1e6), x)
    is_true = torch.arange(FRAMES) < length[:, None]
    assert torch.equal(changed(options, x, length)[is_true], changed(options, garbage, length)[is_true])


def test_off_changes_nothing():
    x, length = clips()
    for options in ({}, dict.fromkeys(OPTIONS, 0), {"time_mask_width": 0.9, "mel_mask_width": 0.9}):
        found, found_length = build(**options)(x, length)
        assert torch.equal(found, x)
        assert found_length is length


@pytest.mark.parametrize("options", EACH)
def test_the_seed_decides(options: dict):
    x, length = clips()
    found = [changed(options, x, length, seed) for seed in (5, 5, 6)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("options", EACH)
def test_a_clip_of_one_frame_keeps_its_only_time(options: dict):
    x, _ = clips()
    found = changed(options, x, torch.ones(len(x), dtype=torch.int64))
    assert torch.isfinite(found).all()
    if set(options) <= {"width_shift", "zoom", "horizontal_flip"}:
        assert torch.equal(found, x)


def test_nothing_to_train_and_no_gradient():
    module = build(**OPTIONS)
    assert list(module.parameters()) == []
    assert isinstance(module, nn.Module)
    assert not module(*clips())[0].requires_grad


def test_flip_reverses_exactly_the_true_frames():
    x, length = clips()
    found = changed({"horizontal_flip": 1.0}, x, length)
    for new, old, n in zip(found, x, length, strict=True):
        assert torch.equal(new[:n], old[:n].flip(0))
        assert torch.equal(new[n:], old[n:])


def test_flip_at_its_probability():
    x, length = ramp(400, 30)
    found = changed({"horizontal_flip": 0.25}, x, length)
    reversed_ = found[:, 0, 0] == 29
    assert ((found[:, 0, 0] == 0) | reversed_).all()
    assert 60 < reversed_.sum() < 140


def test_width_shift_reads_up_to_its_fraction_away():
    x, length = ramp(400, 40)
    found = changed({"width_shift": 0.25}, x, length)[:, :40, 0]
    shift = found[:, 20] - 20
    assert shift.abs().max() <= 10
    assert shift.min() < -9
    assert shift.max() > 9
    assert abs(shift.mean()) < 1
    expected = (torch.arange(40) + shift[:, None]).clamp(0, 39)  # beyond the ends, the outermost frame
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_zoom_reads_around_the_middle():
    x, length = ramp(400, 41)
    found = changed({"zoom": 0.25}, x, length)[:, :41, 0]
    scale = found[:, 21] - found[:, 20]
    assert scale.min() >= 0.75 - 1e-4
    assert scale.max() <= 1.25 + 1e-4
    assert scale.max() - scale.min() > 0.45
    expected = (20 + (torch.arange(41) - 20) * scale[:, None]).clamp(0, 40)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_all_bands_are_warped_alike():
    x, length = ramp(16, 40)
    found = changed({"width_shift": 0.2, "zoom": 0.2, "horizontal_flip": 0.5}, x, length)
    assert torch.equal(found, found[..., :1].expand_as(found))
    assert found.min() >= 0


def test_warp_is_within_the_true_frames_of_each_clip():
    x, _ = ramp(16, 40)
    length = lengths()
    found = changed({"width_shift": 0.5, "zoom": 0.5, "horizontal_flip": 0.5}, x, length)
    for clip, n in zip(found, length, strict=True):
        assert clip[:n].max() <= n - 1


def runs(is_masked: torch.Tensor) -> int:
    """Into how many stretches the masked places fall."""
    return int(is_masked[0]) + int((is_masked[1:] & ~is_masked[:-1]).sum())


@pytest.mark.parametrize("masks", [1, 3])
def test_time_masks_and_only_they_hold_the_mean(masks: int):
    x, length = clips(400)
    found = changed({"time_masks": masks, "time_mask_width": 0.2}, x, length)
    widths, starts, ends = [], set(), set()
    for new, old, n in zip(found, x, length, strict=True):
        is_masked = (new != old).any(dim=1)
        assert torch.equal(new[~is_masked], old[~is_masked])
        torch.testing.assert_close(new[is_masked], old[:n].mean().expand(int(is_masked.sum()), BANDS))
        assert not is_masked[n:].any()
        assert runs(is_masked) <= masks
        assert is_masked.sum() <= masks * round(0.2 * int(n))
        if n == 50 and is_masked.any():
            widths.append(int(is_masked.sum()))
            starts.add(int(is_masked.nonzero()[0]))
            ends.add(int(is_masked.nonzero()[-1]))
    assert max(widths) > 7 * min(masks, 2)
    assert min(starts) <= 3  # they reach both ends
    assert max(ends) >= 46


@pytest.mark.parametrize("masks", [1, 2])
def test_mel_masks_and_only_they_hold_the_mean(masks: int):
    x, length = clips(400)
    found = changed({"mel_masks": masks, "mel_mask_width": 0.25}, x, length)
    ever = torch.zeros(BANDS, dtype=torch.bool)
    for new, old, n in zip(found, x, length, strict=True):
        is_masked = (new != old).any(dim=0)
        assert torch.equal(new[:, ~is_masked], old[:, ~is_masked])
        torch.testing.assert_close(new[:n, is_masked], old[:n].mean().expand(int(n), int(is_masked.sum())))
        assert runs(is_masked) <= masks
        assert is_masked.sum() <= masks * 3
        ever |= is_masked
    assert ever.all()


def test_masks_of_the_widest_leave_no_number_undefined():
    x, length = clips(80)
    options = {"time_masks": 3, "time_mask_width": 0.99, "mel_masks": 3, "mel_mask_width": 0.99}
    assert torch.isfinite(changed(options, x, length)).all()


def test_gain_is_one_number_a_clip():
    x, length = clips(400)
    found = changed({"gain_db": 6.0}, x, length)
    gains = torch.tensor([float(new[0, 0] - old[0, 0]) for new, old in zip(found, x, strict=True)])
    expected = padded(x + gains[:, None, None], length)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert gains.abs().max() <= 6 + 1e-4
    assert gains.min() < -5.5
    assert gains.max() > 5.5
    assert abs(gains.mean()) < 0.6


@pytest.mark.parametrize("noise_db", [0.5, 3.0])
def test_noise_is_white_and_of_its_sd(noise_db: float):
    x, _ = clips(80)
    length = torch.full((80,), FRAMES)
    noise = changed({"noise_db": noise_db}, x, length) - x
    assert noise.std().item() == pytest.approx(noise_db, rel=0.03)
    assert abs(noise.mean()) < 0.05 * noise_db
    flat = noise.flatten(1)
    assert abs((flat[:, 1:] * flat[:, :-1]).mean()) < 0.05 * noise_db**2
