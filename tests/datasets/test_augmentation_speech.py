"""Effects of the augmentation of speech, which is limited to true frames."""

import pytest
import torch

from stages.datasets.augmentation.speech import build

OPTIONS = {"width_shift": 0.2, "zoom": 0.2, "horizontal_flip": 0.5, "time_masks": 2, "mel_masks": 2}
EACH = [OPTIONS, *({option: value} for option, value in OPTIONS.items())]
FRAMES, BANDS = 50, 12
PADDING = -77.0


def clips(count: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(count, FRAMES, BANDS, generator=torch.Generator().manual_seed(1)) * 10 - 30
    length = torch.tensor([50, 1, 2, 3, 37, 49, 10, 20] * (count // 8))
    return torch.where(torch.arange(FRAMES)[:, None] < length[:, None, None], x, PADDING), length


def ramp(count: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Every value is the index of its frame, so that a warped value is the time it was read from."""
    x = torch.arange(FRAMES, dtype=torch.float32)[None, :, None].expand(count, -1, BANDS)
    return x.clone(), torch.full((count,), length)


def changed(options: dict, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)
    return build(**options)(x, length)[0]


@pytest.mark.parametrize("options", EACH)
def test_padding_is_neither_read_nor_changed(options: dict):
    x, length = clips()
    garbage = torch.where(x == PADDING, torch.tensor(1e6), x)
    is_true = torch.arange(FRAMES) < length[:, None]
    result = changed(options, x, length)
    assert torch.equal(result[is_true], changed(options, garbage, length)[is_true])
    assert (result[~is_true] == PADDING).all()


@pytest.mark.parametrize("options", EACH)
def test_clips_of_one_frame(options: dict):
    x, _ = clips()
    result = changed(options, x, torch.ones(len(x), dtype=torch.int64))
    assert torch.isfinite(result).all()
    if set(options) <= {"width_shift", "zoom", "horizontal_flip"}:
        assert torch.equal(result, x)


def test_flip_reverses_the_true_frames_only():
    x, length = clips()
    result = changed({"horizontal_flip": 1.0}, x, length)
    for new, old, n in zip(result, x, length, strict=True):
        assert torch.equal(new[:n], old[:n].flip(0))
        assert torch.equal(new[n:], old[n:])


def test_width_shift_moves_frames_up_to_its_fraction():
    x, length = ramp(400, 40)
    result = changed({"width_shift": 0.25}, x, length)[:, :40, 0]
    shift = result[:, 20] - 20
    assert shift.abs().max() <= 10
    assert shift.min() < -9
    assert shift.max() > 9
    assert abs(shift.mean()) < 1
    expected = (torch.arange(40) + shift[:, None]).clamp(0, 39)  # the outermost frame is repeated
    torch.testing.assert_close(result, expected, atol=1e-4, rtol=0)


def test_zoom_scales_time_around_the_middle():
    x, length = ramp(400, 41)
    result = changed({"zoom": 0.25}, x, length)[:, :41, 0]
    scale = result[:, 21] - result[:, 20]
    assert scale.min() >= 0.75 - 1e-4
    assert scale.max() <= 1.25 + 1e-4
    assert scale.max() - scale.min() > 0.45
    expected = (20 + (torch.arange(41) - 20) * scale[:, None]).clamp(0, 40)
    torch.testing.assert_close(result, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("masks", [1, 3])
@pytest.mark.parametrize(("kind", "axis"), [("time", 0), ("mel", 1)])
def test_masks_are_intervals_filled_with_the_mean(kind: str, axis: int, masks: int):
    x, length = clips(400)
    result = changed({f"{kind}_masks": masks, f"{kind}_mask_width": 0.25}, x, length)
    widths, ever = [], torch.zeros(x.shape[1 + axis], dtype=torch.bool)
    for new, old, n in zip(result, x, length.tolist(), strict=True):
        new, old, size = new[:n], old[:n], (n, BANDS)[axis]
        is_masked = (new != old).any(dim=1 - axis)
        torch.testing.assert_close(new, torch.where(is_masked.unsqueeze(1 - axis), old.mean(), old))
        assert is_masked[0].int() + (is_masked[1:] & ~is_masked[:-1]).sum() <= masks  # the number of intervals
        widths.append(int(is_masked.sum()))
        assert widths[-1] <= masks * round(0.25 * size)
        ever[:size] |= is_masked
    assert max(widths) > 0.15 * x.shape[1 + axis] * min(masks, 2)
    assert ever.all()  # masks reach both ends
