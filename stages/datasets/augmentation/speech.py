"""Augmentation of log-mel spectrograms: every clip of a batch draws its own parameters, on the batch's device.

Shift, zoom and time reversal are the speech project's own, masks are SpecAugment's (Park et al. 2019, arXiv
1904.08779). All act within a clip's true frames: what is padding stays padding.
"""

import torch
from torch import nn

from stages.params.options import Fraction, NonNegativeFloat, NonNegativeInt, Probability

LAYOUT = ("time", "mel")


def build(
    *,
    width_shift: Fraction = 0.0,
    zoom: Fraction = 0.0,
    horizontal_flip: Probability = 0.0,
    mel_shift: NonNegativeFloat = 0.0,
    time_masks: NonNegativeInt = 0,
    time_mask_width: Fraction = 0.1,
    mel_masks: NonNegativeInt = 0,
    mel_mask_width: Fraction = 0.15,
    gain_db: NonNegativeFloat = 0.0,
    noise_db: NonNegativeFloat = 0.0,
) -> nn.Module:
    """Module over (x (batch, time, mel) in dB, length (batch,)) → both, the same shapes. Options at 0 are not run.

    `width_shift`: uniform in ± this fraction of the true length. `zoom`: time scale uniform in 1 ± this.
    `horizontal_flip`: probability of time reversal. `mel_shift`: uniform in ± so many bands. `*_masks`: how many a
    clip, each up to `*_mask_width` of the true frames or of the bands wide, filled with the clip's mean. `gain_db`:
    uniform in ±. `noise_db`: sd of white noise.
    """
    steps: list[nn.Module] = []
    if width_shift or zoom or horizontal_flip:
        steps.append(Warp(width_shift, zoom, horizontal_flip))
    if mel_shift:
        steps.append(MelShift(mel_shift))
    if time_masks or mel_masks:
        steps.append(Masks(time_masks, time_mask_width, mel_masks, mel_mask_width))
    if gain_db or noise_db:
        steps.append(Level(gain_db, noise_db))
    return Steps(steps)


class Steps(nn.Module):
    """One after the other, on what is no padding."""

    def __init__(self, steps: list[nn.Module]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, T, M) → (B, T, M); the lengths as they are."""
        is_true = torch.arange(x.shape[1], device=x.device) < length[:, None]  # (B, T)
        changed = x
        for step in self.steps:
            changed = step(changed, length, is_true)
        return torch.where(is_true[..., None], changed, x), length


class Warp(nn.Module):
    """Frames are read at shifted, stretched or reversed times; beyond a clip's ends its outermost frame is repeated."""

    def __init__(self, width_shift: float, zoom: float, horizontal_flip: float) -> None:
        super().__init__()
        self.width_shift, self.zoom, self.horizontal_flip = width_shift, zoom, horizontal_flip

    def forward(self, x: torch.Tensor, length: torch.Tensor, is_true: torch.Tensor) -> torch.Tensor:
        """(B, T, M) → (B, T, M), linear between frames."""
        shift, scale = (_uniform(x, limit) for limit in (self.width_shift, self.zoom))  # (B, 1)
        reverse = torch.rand(len(x), 1, device=x.device) < self.horizontal_flip
        last = (length[:, None] - 1).to(x.dtype)
        frame = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)  # (T,)
        at = (frame - last / 2) * (1 + scale) + last / 2 + shift * (last + 1)  # (B, T)
        at = torch.where(reverse, last - at, at).clamp(min=0).minimum(last)
        return _read_at(x, at, length - 1)


class MelShift(nn.Module):
    """The spectrum moved along the mel axis, much as another vocal tract would (Jaitly, Hinton 2013)."""

    def __init__(self, bands: float) -> None:
        super().__init__()
        self.bands = bands

    def forward(self, x: torch.Tensor, length: torch.Tensor, is_true: torch.Tensor) -> torch.Tensor:
        """(B, T, M) → (B, T, M), linear between bands, the outermost repeated."""
        band = torch.arange(x.shape[2], device=x.device)
        at = (band + _uniform(x, self.bands)).clamp(0, x.shape[2] - 1)  # (B, M)
        return _read_at(x.transpose(1, 2), at, torch.full_like(length, x.shape[2] - 1)).transpose(1, 2)


class Masks(nn.Module):
    """Stretches of time, and of bands, that say nothing."""

    def __init__(self, time_masks: int, time_width: float, mel_masks: int, mel_width: float) -> None:
        super().__init__()
        self.time_masks, self.time_width, self.mel_masks, self.mel_width = time_masks, time_width, mel_masks, mel_width

    def forward(self, x: torch.Tensor, length: torch.Tensor, is_true: torch.Tensor) -> torch.Tensor:
        """(B, T, M) → (B, T, M)."""
        true = is_true[..., None]  # (B, T, 1)
        mean = (x * true).sum((1, 2), keepdim=True) / (length[:, None, None] * x.shape[2])  # (B, 1, 1)
        bands = torch.full_like(length, x.shape[2])
        for _ in range(self.time_masks):
            x = torch.where(_stretch(length, self.time_width, x.shape[1])[:, :, None], mean, x)
        for _ in range(self.mel_masks):
            x = torch.where(_stretch(bands, self.mel_width, x.shape[2])[:, None, :], mean, x)
        return x


class Level(nn.Module):
    """Louder or softer as a whole, and noise on every value."""

    def __init__(self, gain_db: float, noise_db: float) -> None:
        super().__init__()
        self.gain_db, self.noise_db = gain_db, noise_db

    def forward(self, x: torch.Tensor, length: torch.Tensor, is_true: torch.Tensor) -> torch.Tensor:
        """(B, T, M) → (B, T, M)."""
        return x + _uniform(x, self.gain_db)[..., None] + self.noise_db * torch.randn_like(x)


def _uniform(x: torch.Tensor, limit: float) -> torch.Tensor:
    """(B, 1) in ± limit."""
    return (torch.rand(len(x), 1, device=x.device, dtype=x.dtype) * 2 - 1) * limit


def _read_at(x: torch.Tensor, at: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """(B, N, F) at the places (B, N), 0 to `last` (B,), linear in between → (B, N, F)."""
    before = at.floor().long()
    after = (before + 1).minimum(last.long()[:, None])
    share = (at - before)[..., None]
    one, other = (x.gather(1, index[..., None].expand_as(x)) for index in (before, after))
    return one * (1 - share) + other * share


def _stretch(size: torch.Tensor, width: float, n: int) -> torch.Tensor:
    """(B,) sizes → (B, n), true on one stretch of each, up to `width` of its size."""
    drawn, where = torch.rand(2, len(size), 1, device=size.device)  # (B, 1) each
    wide = (drawn * width * size[:, None]).round()
    start = (where * (size[:, None] - wide + 1)).floor()
    at = torch.arange(n, device=size.device)
    return (at >= start) & (at < start + wide)
