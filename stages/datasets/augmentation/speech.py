"""Augmentation of log-mel spectrograms; parameters are sampled per clip, on the device of the batch.

Shift, zoom and time reversal are those of the original speech project, masks those of SpecAugment (Park et al. 2019,
arXiv 1904.08779). Only the true frames of a clip are read and changed; padding stays as it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from stages.params.options import Fraction, NonNegativeInt, Probability

LAYOUT = ("time", "mel")


def build(
    *,
    width_shift: Fraction = 0.0,
    zoom: Fraction = 0.0,
    horizontal_flip: Probability = 0.0,
    time_masks: NonNegativeInt = 0,
    time_mask_width: Fraction = 0.1,
    mel_masks: NonNegativeInt = 0,
    mel_mask_width: Fraction = 0.15,
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return a function (x (batch, time, mel) in dB, length (batch,)) → both, which changes x; 0 disables an option.

    `width_shift`: uniform in ± this fraction of the true length. `zoom`: time scale uniform in 1 ± this.
    `horizontal_flip`: probability of time reversal. `*_masks`: number of masks per clip, each up to `*_mask_width` of
    the true frames or of the bands wide, filled with the mean of the clip.
    """

    def augment(x: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        is_true = (torch.arange(x.shape[1], device=x.device) < length[:, None])[..., None]  # (B, T, 1)
        changed = warp(x, length, width_shift, zoom, horizontal_flip) if width_shift or zoom or horizontal_flip else x
        mean = (changed * is_true).sum((1, 2), keepdim=True) / (length[:, None, None] * x.shape[2])  # (B, 1, 1)
        for _ in range(time_masks):
            changed = torch.where(_interval(length, time_mask_width, x.shape[1])[:, :, None], mean, changed)
        for _ in range(mel_masks):
            bands = torch.full_like(length, x.shape[2])
            changed = torch.where(_interval(bands, mel_mask_width, x.shape[2])[:, None, :], mean, changed)
        return torch.where(is_true, changed, x), length

    return augment


def warp(x: Tensor, length: Tensor, width_shift: float, zoom: float, flip: float) -> Tensor:
    """Shift, scale and reverse time: (B, T, M), (B,) → (B, T, M), interpolated linearly between frames.

    Beyond the ends of a clip, its first or last true frame is repeated.
    """
    # (B, 1) each, uniform in ± e
    shift, scale = ((torch.rand(len(x), 1, device=x.device, dtype=x.dtype) * 2 - 1) * e for e in (width_shift, zoom))
    reverse = torch.rand(len(x), 1, device=x.device) < flip
    last = (length[:, None] - 1).to(x.dtype)
    frame = torch.arange(x.shape[1], device=x.device, dtype=x.dtype)  # (T,)
    source = (frame - last / 2) * (1 + scale) + last / 2 + shift * (last + 1)  # (B, T)
    source = torch.where(reverse, last - source, source).clamp(min=0).minimum(last)
    before = source.floor().long()
    after = (before + 1).minimum(length.long()[:, None] - 1)
    weight = (source - before)[..., None]  # (B, T, 1)
    earlier, later = (x.gather(1, index[..., None].expand_as(x)) for index in (before, after))  # (B, T, M)
    return earlier * (1 - weight) + later * weight


def _interval(size: Tensor, width: float, n: int) -> Tensor:
    """Return a mask (B, n), true on one random interval per clip, up to `width` of its `size` (B,) long."""
    relative_width, relative_start = torch.rand(2, len(size), 1, device=size.device)  # (B, 1) each
    wide = (relative_width * width * size[:, None]).round()
    start = (relative_start * (size[:, None] - wide + 1)).floor()
    index = torch.arange(n, device=size.device)
    return (index >= start) & (index < start + wide)
