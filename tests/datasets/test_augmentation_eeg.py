"""Effects of the augmentation of EEG, which restores the padding."""

import numpy as np
import pytest
import torch
from torch import Tensor

from stages.datasets.augmentation.eeg import build

OPTIONS = {"noise": 0.5, "channel_dropout": 0.3, "window_crop": 0.4}
EACH = [OPTIONS, *({option: value} for option, value in OPTIONS.items())]
PADDINGS = ["zero", "average"]
WINDOWS, ELECTRODES, BANDS = 40, 6, 5
LENGTHS = [40, 1, 2, 3, 25, 39, 10, 20]


def padded(x: Tensor, length: Tensor, padding: str) -> Tensor:
    """Pad each trial as `features.eeg` does."""
    x = x.clone()
    for trial, n in zip(x, length.tolist(), strict=True):
        trial[n:] = 0 if padding == "zero" else trial[:n].double().mean(0)
    return x


def trials(count: int = 16, padding: str = "average", lengths: list[int] = LENGTHS) -> tuple[Tensor, Tensor]:
    """Every electrode and band has its own level and spread."""
    rng = torch.Generator().manual_seed(1)
    level, spread = torch.randn(2, ELECTRODES * BANDS, generator=rng)
    x = torch.randn(count, WINDOWS, ELECTRODES * BANDS, generator=rng)
    length = torch.tensor(lengths * (count // len(lengths)))
    return padded(20 + 3 * level + x * spread.exp(), length, padding), length


def changed(options: dict, x: Tensor, length: Tensor, padding: str = "average"):
    torch.manual_seed(0)
    return build(padding=padding, **options)(x, length)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("options", EACH)
def test_padding_is_restored_and_not_read(options: dict, padding: str):
    x, length = trials(padding=padding)
    result, new = changed(options, x, length, padding)
    torch.testing.assert_close(result, padded(result, new, padding), atol=1e-4, rtol=1e-5)
    for value in (1e6, torch.inf, torch.nan):
        garbage = x.masked_fill(torch.arange(WINDOWS)[:, None] >= length[:, None, None], value)
        same, same_length = changed(options, garbage, length, padding)
        assert torch.equal(same, result)
        assert torch.equal(same_length, new)


def numbered(count: int, length: int) -> tuple[Tensor, Tensor]:
    """Every value is the number of its window, from 1."""
    x = torch.arange(1.0, WINDOWS + 1)[None, :, None].expand(count, -1, ELECTRODES * BANDS)
    length = torch.full((count,), length)
    return padded(x, length, "zero"), length


def test_crop_moves_the_kept_windows_to_the_front():
    x, length = numbered(400, 30)
    result, new = changed({"window_crop": 0.4}, x, length, "zero")
    first = result[:, 0, 0]
    for trial, start, n in zip(result, first.tolist(), new.tolist(), strict=True):
        assert trial[:n, 0].tolist() == list(range(int(start), int(start) + n))
        assert not trial[n:].any()
    assert set(new.tolist()) == set(range(18, 31))  # up to 12 of 30 are cut off
    last = first + new - 1
    assert (first.min(), last.max()) == (1, 30)
    assert first.max() >= 11
    assert last.min() <= 20


@pytest.mark.parametrize("length", [1, 2, 40])
def test_crop_keeps_at_least_one_window(length: int):
    x, lengths = numbered(200, length)
    result, new = changed({"window_crop": 0.9999999999}, x, lengths, "zero")
    assert new.min() == 1
    assert new.max() == length
    assert result[:, 0].min() >= 1
    assert result.max() <= length


def test_noise_is_white_in_proportion_to_the_sd_of_each_feature():
    noise = 0.1
    x, length = trials(800, lengths=[WINDOWS])
    added = (changed({"noise": noise}, x, length)[0] - x).double().numpy()
    in_units = added / x.double().numpy().std(axis=1, keepdims=True)  # of each trial and feature
    np.testing.assert_allclose(in_units.std(axis=(0, 1)), noise, rtol=0.03)
    assert abs(in_units.mean()) < 0.01 * noise
    assert abs((in_units[:, 1:] * in_units[:, :-1]).mean()) < 0.01 * noise**2
    assert abs((in_units[..., 1:] * in_units[..., :-1]).mean()) < 0.01 * noise**2


def test_noise_level_depends_on_true_windows_only():
    """Zero padding is far from the level of 20 and would dominate the sd."""
    x, length = trials(800, padding="zero")
    added = (changed({"noise": 1.0}, x, length, "zero")[0] - x).double().numpy()
    for n in (10, 25):
        chosen = (length == n).numpy()
        in_units = added[chosen, :n] / x.double().numpy()[chosen, :n].std(axis=1, keepdims=True)
        assert in_units.std() == pytest.approx(1, rel=0.03)


def test_constant_features_get_no_noise():
    x = torch.full((3, WINDOWS, ELECTRODES * BANDS), 16.0)
    assert torch.equal(changed({"noise": 1.0}, x, torch.tensor([1, 7, 40]))[0], x)


def test_dropped_electrodes_are_replaced_by_the_mean_of_each_band():
    x, length = trials(80)
    result, _ = changed({"channel_dropout": 0.3}, x, length)
    before, after = (v.numpy().reshape(80, WINDOWS, ELECTRODES, BANDS) for v in (x, result))
    share = []
    for old, new, n in zip(before, after, length.tolist(), strict=True):
        dropped = (old[:n] != new[:n]).any(axis=(0, 2))
        share.append(dropped.mean())
        expected = np.broadcast_to(old[:n].mean(axis=(0, 1)), (n, dropped.sum(), BANDS))
        np.testing.assert_allclose(new[:n, dropped], expected, rtol=1e-5)
        np.testing.assert_array_equal(new[:n, ~dropped], old[:n, ~dropped])
    assert 0.2 < np.mean(share) < 0.4


def test_another_number_of_bands():
    x, length = trials(80)
    result = changed({"channel_dropout": 0.5, "n_bands": 3}, x, length)[0]
    dropped = (result != x)[:, 0].reshape(80, 10, 3)
    assert torch.equal(dropped.any(dim=2), dropped.all(dim=2))
    with pytest.raises(ValueError, match="30 features; allowed: a multiple of n_bands, 7"):
        changed({"channel_dropout": 0.5, "n_bands": 7}, x, length)
