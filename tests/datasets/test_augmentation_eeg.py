"""Augmentation of EEG: drawn per trial, on its true windows, padded anew as the dataset pads, seeded."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.datasets.augmentation.eeg import build

OPTIONS = {"noise": 0.5, "channel_dropout": 0.3, "window_crop": 0.4}
EACH = [OPTIONS, *({option: value} for option, value in OPTIONS.items())]
PADDINGS = ["zero", "average"]
WINDOWS, ELECTRODES, BANDS = 40, 6, 5
LENGTHS = [40, 1, 2, 3, 25, 39, 10, 20]


def padded(x: torch.Tensor, length: torch.Tensor, padding: str) -> torch.Tensor:
    """As `features.eeg` would have it, trial by trial."""
    x = x.clone()
    for trial, n in zip(x, length.tolist(), strict=True):
        trial[n:] = 0 if padding == "zero" else trial[:n].double().mean(0)
    return x


def trials(
    count: int = 16, padding: str = "average", same: bool = False, lengths: list[int] = LENGTHS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Every electrode and band with a level and a spread of its own."""
    drawn = torch.Generator().manual_seed(1)
    level, spread = torch.randn(2, ELECTRODES * BANDS, generator=drawn)
    x = torch.randn(1 if same else count, WINDOWS, ELECTRODES * BANDS, generator=drawn)
    length = torch.tensor([30] * count if same else lengths * (count // len(lengths)))
    return padded((20 + 3 * level + x * spread.exp()).expand(count, -1, -1), length, padding), length


def changed(options: dict, x: torch.Tensor, length: torch.Tensor, padding: str = "average", seed: int = 0):
    torch.manual_seed(seed)
    return build(padding=padding, **options)(x, length)


@pytest.mark.parametrize("options", EACH)
def test_each_trial_draws_its_own(options: dict):
    found, length = changed(options, *trials(same=True))
    assert len({trial.numpy().tobytes() for trial in found}) > 8
    assert (len(set(length.tolist())) > 4) == ("window_crop" in options)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length_dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("options", EACH)
def test_shape_types_and_padding_are_kept(options: dict, length_dtype, dtype, padding: str):
    x, length = trials(padding=padding)
    x, length = x.to(dtype), length.to(length_dtype)
    before, length_before = x.clone(), length.clone()
    found, new = changed(options, x, length, padding)
    assert (found.shape, found.dtype, found.device) == (x.shape, dtype, x.device)
    assert new.dtype == length_dtype
    assert torch.equal(x, before)  # in place, the next epoch's would be changed twice
    assert torch.equal(length, length_before)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, padded(found, new, padding), atol=1e-4, rtol=1e-5)
    assert not torch.equal(found, x)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("options", EACH)
def test_padding_is_never_read(options: dict, padding: str):
    x, length = trials(padding=padding)
    for value in (1e6, torch.inf, torch.nan):
        garbage = x.masked_fill(torch.arange(WINDOWS)[:, None] >= length[:, None, None], value)
        ours, theirs = changed(options, x, length, padding), changed(options, garbage, length, padding)
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


@pytest.mark.parametrize("padding", PADDINGS)
def test_off_changes_nothing(padding: str):
    x, length = trials(padding=padding)
    for options in ({}, dict.fromkeys(OPTIONS, 0), {"n_bands": 7}):
        found, new = changed(options, x, length, padding)
        assert found is x
        assert new is length


@pytest.mark.parametrize("options", EACH)
def test_the_seed_decides(options: dict):
    x, length = trials()
    found = [changed(options, x, length, seed=seed)[0] for seed in (5, 5, 6)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_nothing_to_train_and_no_gradient():
    module = build(padding="zero", **OPTIONS)
    assert list(module.parameters()) == []
    assert isinstance(module, nn.Module)
    assert not module(*trials())[0].requires_grad


# ---- window crop -----------------------------------------------------------------------------------------------------


def counted(count: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Each window's values are its number, from 1."""
    x = torch.arange(1.0, WINDOWS + 1)[None, :, None].expand(count, -1, ELECTRODES * BANDS)
    length = torch.full((count,), length)
    return padded(x, length, "zero"), length


def test_crop_keeps_a_stretch_and_moves_it_to_the_front():
    x, length = counted(400, 30)
    found, new = changed({"window_crop": 0.4}, x, length, "zero")
    starts, ends = set(), set()
    for trial, n in zip(found, new.tolist(), strict=True):
        first = int(trial[0, 0])
        assert trial[:n, 0].tolist() == list(range(first, first + n))
        assert not trial[n:].any()
        starts.add(first)
        ends.add(first + n - 1)
    assert set(new.tolist()) == set(range(18, 31))  # up to 12 of 30 cut off, none of them rarely
    assert min(starts) == 1
    assert max(starts) >= 11
    assert max(ends) == 30
    assert min(ends) <= 20


@pytest.mark.parametrize("length", [1, 2, 3, 39, 40])
def test_crop_leaves_a_window_of_any_trial(length: int):
    x, lengths = counted(200, length)
    found, new = changed({"window_crop": 0.9999999999}, x, lengths, "zero")
    assert new.min() == 1
    assert new.max() == length
    assert found[:, 0].min() >= 1
    assert found.max() <= length


def test_crop_of_less_than_a_window_cuts_none():
    x, length = counted(50, 4)
    found, new = changed({"window_crop": 0.2}, x, length, "zero")
    assert torch.equal(new, length)
    assert torch.equal(found, x)


def test_crop_pads_a_trial_that_had_no_padding():
    x, length = counted(50, WINDOWS)
    for padding, expected in (("zero", lambda kept: 0.0), ("average", lambda kept: kept.mean())):
        found, new = changed({"window_crop": 0.5}, x, length, padding)
        for trial, n in zip(found, new.tolist(), strict=True):
            assert (trial[n:] == expected(trial[:n, 0])).all()
        assert new.min() < WINDOWS


# ---- noise -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.1, 2.0])
def test_noise_is_white_and_its_sd_a_share_of_each_features(noise: float):
    x, length = trials(800, lengths=[WINDOWS])
    added = (changed({"noise": noise}, x, length)[0] - x).double().numpy()
    in_units = added / x.double().numpy().std(axis=1, keepdims=True)  # of each trial and feature
    np.testing.assert_allclose(in_units.std(axis=(0, 1)), noise, rtol=0.03)
    assert abs(in_units.mean()) < 0.01 * noise
    assert abs((in_units[:, 1:] * in_units[:, :-1]).mean()) < 0.01 * noise**2
    assert abs((in_units[..., 1:] * in_units[..., :-1]).mean()) < 0.01 * noise**2


def test_noise_follows_the_true_windows_alone():
    """Padding with zeros, far from a feature of 20, would make its spread."""
    x, length = trials(800, padding="zero")
    added = (changed({"noise": 1.0}, x, length, "zero")[0] - x).double().numpy()
    for n in (10, 25):
        chosen = (length == n).numpy()
        in_units = added[chosen, :n] / x.double().numpy()[chosen, :n].std(axis=1, keepdims=True)
        assert in_units.std() == pytest.approx(1, rel=0.03)


def test_what_does_not_change_gets_no_noise():
    x = torch.full((3, WINDOWS, ELECTRODES * BANDS), 16.0)
    assert torch.equal(changed({"noise": 1.0}, x, torch.tensor([1, 7, 40]))[0], x)


# ---- channel dropout -------------------------------------------------------------------------------------------------


def test_a_dropped_electrode_holds_the_mean_of_each_band():
    x, length = trials(80)
    found, _ = changed({"channel_dropout": 0.3}, x, length)
    before, after = (v.numpy().reshape(80, WINDOWS, ELECTRODES, BANDS) for v in (x, found))
    share = []
    for old, new, n in zip(before, after, length.tolist(), strict=True):
        dropped = (old[:n] != new[:n]).any(axis=(0, 2))
        share.append(dropped.mean())
        expected = np.broadcast_to(old[:n].mean(axis=(0, 1)), (n, dropped.sum(), BANDS))
        np.testing.assert_allclose(new[:n, dropped], expected, rtol=1e-5)
        np.testing.assert_array_equal(new[:n, ~dropped], old[:n, ~dropped])
    assert 0.2 < np.mean(share) < 0.4


def test_electrodes_are_dropped_one_by_one():
    x, length = trials(400, same=True)
    found, _ = changed({"channel_dropout": 0.5}, x, length)
    dropped = (found != x)[:, :30].any(dim=1).reshape(400, ELECTRODES, BANDS).all(dim=2).double()
    assert abs(dropped.mean(0) - 0.5).max() < 0.1
    correlation = torch.corrcoef(dropped.T) - torch.eye(ELECTRODES)
    assert correlation.abs().max() < 0.2


def test_all_electrodes_dropped():
    x, length = trials(8)
    found = changed({"channel_dropout": 1.0}, x, length)[0].reshape(8, WINDOWS, ELECTRODES, BANDS)
    torch.testing.assert_close(found, found[:, :1, :1].expand_as(found))


def test_bands_of_another_feature():
    x, length = trials(80)
    found = changed({"channel_dropout": 0.5, "n_bands": 3}, x, length)[0]
    apart = (found != x)[:, 0].reshape(80, 10, 3)
    assert torch.equal(apart.any(dim=2), apart.all(dim=2))
    with pytest.raises(ValueError, match="trials have 30 features; allowed: a multiple of n_bands, 7"):
        changed({"channel_dropout": 0.5, "n_bands": 7}, x, length)
