"""Augmentation of padded EEG trials: every trial of a batch draws its own, on the batch's device.

It acts on true windows, in the features' raw units; then the trial is padded anew, as its dataset pads: with zeros or
with the mean of what its true windows have become.
"""

from typing import Literal

import torch
from torch import nn

from stages.params.options import Fraction, NonNegativeFloat, PositiveInt, Probability

LAYOUT = ("time", "feature")


def build(
    *,
    padding: Literal["zero", "average"],
    noise: NonNegativeFloat = 0.0,
    channel_dropout: Probability = 0.0,
    window_crop: Fraction = 0.0,
    n_bands: PositiveInt = 5,
) -> nn.Module:
    """Module over (x (batch, time, electrode · `n_bands`), length (batch,)) → both. Options at 0 are not run.

    `padding`: that of the dataset; a trial without padding does not show it. `window_crop`: up to this share of the
    true windows is cut off, both ends together; the rest moves to the front. `noise`: white, its sd as a share of the
    sd of the feature over the trial's true windows. `channel_dropout`: probability of each electrode to hold, in each
    band and window, the trial's mean of that band over electrodes and true windows.
    """
    steps: list[nn.Module] = []
    if window_crop:
        steps.append(WindowCrop(window_crop))
    if noise:
        steps.append(Noise(noise))
    if channel_dropout:
        steps.append(ChannelDropout(channel_dropout, n_bands))
    return Steps([*steps, Padding(padding)] if steps else [])


class Steps(nn.Module):
    """One after the other; only the crop changes a length."""

    def __init__(self, steps: list[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, F), (B,) → (B, T, F), (B,)."""
        for step in self.steps:
            x, length = step(x, length)
        return x, length


class WindowCrop(nn.Module):
    """Windows at both ends cut off, at least one kept."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, F), (B,) → (B, T, F), (B,); what stands beyond the new lengths is left over."""
        most = (self.share * length).floor().long().minimum(length - 1)  # (B,)
        drawn, where = torch.rand(2, len(x), device=x.device)  # (B,) each
        cut = (drawn * (most + 1)).long()
        first = (where * (cut + 1)).long()
        window = torch.arange(x.shape[1], device=x.device) + first[:, None]  # (B, T)
        window = window.clamp(max=x.shape[1] - 1)[..., None]
        return x.gather(1, window.expand_as(x)), length - cut.to(length.dtype)


class Noise(nn.Module):
    """A feature that hardly changes during the trial gets as little noise."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, F), (B,) → (B, T, F), (B,)."""
        sd = _mean((x - _mean(x, length)).square(), length).sqrt()  # (B, 1, F)
        return x + self.share * sd * torch.randn_like(x), length


class ChannelDropout(nn.Module):
    """Electrodes that tell nothing of their own: not even their level, which a mean of theirs would."""

    def __init__(self, probability: float, n_bands: int) -> None:
        super().__init__()
        self.probability, self.n_bands = probability, n_bands

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, F), (B,) → (B, T, F), (B,). Raises ValueError for features that are no multiple of `n_bands`."""
        if x.shape[2] % self.n_bands:
            raise ValueError(f"trials have {x.shape[2]} features; allowed: a multiple of n_bands, {self.n_bands}")
        apart = x.unflatten(2, (-1, self.n_bands))  # (B, T, E · bands) → (B, T, E, bands)
        mean = _mean(x, length).unflatten(2, (-1, self.n_bands)).mean(dim=2, keepdim=True)  # (B, 1, 1, bands)
        dropped = torch.rand(len(x), 1, apart.shape[2], 1, device=x.device) < self.probability  # (B, 1, E, 1)
        return torch.where(dropped, mean, apart).flatten(2), length


class Padding(nn.Module):
    """What `features.eeg` pads with, of the trial as it is now."""

    def __init__(self, padding: str) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, F), (B,) → (B, T, F), (B,)."""
        filling = _mean(x, length) if self.padding == "average" else x.new_zeros(())
        return torch.where(_is_true(x, length), x, filling), length


def _is_true(x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """(B, T, 1), true where a window is no padding."""
    return (torch.arange(x.shape[1], device=x.device) < length[:, None])[..., None]


def _mean(x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Of each feature over the true windows: (B, T, F), (B,) → (B, 1, F)."""
    return x.masked_fill(~_is_true(x, length), 0).sum(dim=1, keepdim=True) / length[:, None, None]
