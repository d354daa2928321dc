"""Augmentation of padded EEG trials; parameters are sampled per trial, on the device of the batch.

Steps act on the true windows, in the units of the feature. Then each trial is padded again as in its dataset: with
zeros, or with the mean of its true windows after augmentation.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from stages.params.options import Fraction, NonNegativeFloat, PositiveInt, Probability

LAYOUT = ("time", "feature")

Trials = tuple[Tensor, Tensor]  # x (B, T, F), length (B,)


def build(
    *,
    padding: Literal["zero", "average"],
    noise: NonNegativeFloat = 0.0,
    channel_dropout: Probability = 0.0,
    window_crop: Fraction = 0.0,
    n_bands: PositiveInt = 5,
) -> Callable[[Tensor, Tensor], Trials]:
    """Return a function (x (batch, time, electrode · `n_bands`), length (batch,)) → both; 0 disables an option.

    `padding`: that of the dataset. `window_crop`: up to this share of the true windows is cut off, at both ends
    together; the rest moves to the front. `noise`: sd of white noise, as a share of the sd of the feature over the true
    windows of the trial. `channel_dropout`: probability that an electrode is replaced, in each band and window, by the
    mean of that band over the electrodes and true windows of the trial.
    """
    steps = [partial(crop_windows, share=window_crop)] if window_crop else []
    steps += [partial(add_noise, share=noise)] if noise else []
    steps += [partial(drop_channels, probability=channel_dropout, n_bands=n_bands)] if channel_dropout else []
    steps += [partial(pad, padding=padding)] if steps else []

    def augment(x: Tensor, length: Tensor) -> Trials:
        for step in steps:
            x, length = step(x, length)
        return x, length

    return augment


def crop_windows(x: Tensor, length: Tensor, share: float) -> Trials:
    """Remove windows at both ends, but keep at least one. Values beyond the new lengths are undefined."""
    most = (share * length).floor().long().minimum(length - 1)  # (B,)
    relative_cut, relative_first = torch.rand(2, len(x), device=x.device)  # (B,) each
    cut = (relative_cut * (most + 1)).long()
    first = (relative_first * (cut + 1)).long()
    window = torch.arange(x.shape[1], device=x.device) + first[:, None]  # (B, T)
    window = window.clamp(max=x.shape[1] - 1)[..., None]
    return x.gather(1, window.expand_as(x)), length - cut.to(length.dtype)


def add_noise(x: Tensor, length: Tensor, share: float) -> Trials:
    """Add white noise in proportion to the variation of each feature during the trial."""
    sd = _mean((x - _mean(x, length)).square(), length).sqrt()  # (B, 1, F)
    return x + share * sd * torch.randn_like(x), length


def drop_channels(x: Tensor, length: Tensor, probability: float, n_bands: int) -> Trials:
    """Replace electrodes by the mean over all electrodes, which also removes their own level."""
    if x.shape[2] % n_bands:
        raise ValueError(f"trials have {x.shape[2]} features; allowed: a multiple of n_bands, {n_bands}")
    electrodes = x.unflatten(2, (-1, n_bands))  # (B, T, E · bands) → (B, T, E, bands)
    mean = _mean(x, length).unflatten(2, (-1, n_bands)).mean(dim=2, keepdim=True)  # (B, 1, 1, bands)
    dropped = torch.rand(len(x), 1, electrodes.shape[2], 1, device=x.device) < probability  # (B, 1, E, 1)
    return torch.where(dropped, mean, electrodes).flatten(2), length


def pad(x: Tensor, length: Tensor, padding: str) -> Trials:
    """Pad as in `features.eeg`, computed from the augmented trial."""
    fill = _mean(x, length) if padding == "average" else x.new_zeros(())
    return torch.where(_is_true(x, length), x, fill), length


def _is_true(x: Tensor, length: Tensor) -> Tensor:
    """Return a mask (B, T, 1) of the windows that are not padding."""
    return (torch.arange(x.shape[1], device=x.device) < length[:, None])[..., None]


def _mean(x: Tensor, length: Tensor) -> Tensor:
    """Return the mean of each feature over the true windows: (B, T, F), (B,) → (B, 1, F)."""
    return x.masked_fill(~_is_true(x, length), 0).sum(dim=1, keepdim=True) / length[:, None, None]
