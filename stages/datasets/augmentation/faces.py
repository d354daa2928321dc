"""Augmentation of face images with kornia: every sample of a batch draws its own parameters, on the batch's device."""

import kornia.augmentation as kornia
import torch
from torch import nn

from stages.params.options import Fraction, NonNegativeFloat, Probability

LAYOUT = ("channel", "height", "width")


def build(
    *,
    horizontal_flip: Probability = 0.0,
    vertical_flip: Probability = 0.0,
    rotation_deg: NonNegativeFloat = 0.0,
    shift: Fraction = 0.0,
    zoom: Fraction = 0.0,
    erasing: Probability = 0.0,
) -> nn.Module:
    """Module over (x (batch, channel, height, width) in [0, 1], length) → both. Options left at 0 are not run.

    `horizontal_flip`, `vertical_flip`, `erasing`: probability per sample. `rotation_deg`: uniform in ± degrees.
    `shift`: uniform in ± this fraction of the side. `zoom`: scale uniform in 1 ± this. Uncovered border: black.
    """
    steps: list[nn.Module] = []
    if horizontal_flip:
        steps.append(kornia.RandomHorizontalFlip(p=horizontal_flip))
    if vertical_flip:
        steps.append(kornia.RandomVerticalFlip(p=vertical_flip))
    if rotation_deg or shift or zoom:
        scale = (1 - zoom, 1 + zoom)
        steps.append(kornia.RandomAffine(rotation_deg, translate=(shift, shift), scale=scale, p=1.0))
    if erasing:
        steps.append(kornia.RandomErasing(p=erasing))
    return Images(*steps)


class Images(nn.Sequential):
    """One step after the other; images have no time steps to change."""

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, channel, height, width) → the same shape; the lengths as they are."""
        return super().forward(x), length
