"""Augmentation of face images with kornia; parameters are sampled per image, on the device of the batch."""

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
    """Return a module over (x (batch, channel, height, width) in [0, 1], length) that changes x; 0 disables an option.

    `horizontal_flip`, `vertical_flip`, `erasing`: probability per image. `rotation_deg`: uniform in ± degrees.
    `shift`: uniform in ± this fraction of the side. `zoom`: scale uniform in 1 ± this. Uncovered borders are black.
    """
    affine = kornia.RandomAffine(rotation_deg, translate=(shift, shift), scale=(1 - zoom, 1 + zoom), p=1.0)
    steps = [
        (kornia.RandomHorizontalFlip(p=horizontal_flip), horizontal_flip),
        (kornia.RandomVerticalFlip(p=vertical_flip), vertical_flip),
        (affine, rotation_deg or shift or zoom),
        (kornia.RandomErasing(p=erasing), erasing),
    ]
    return Images(*(step for step, is_enabled in steps if is_enabled))


class Images(nn.Sequential):
    """Augmentation steps applied in order; images have no time steps, so lengths do not change."""

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the augmented images (B, channel, height, width), and `length` unchanged."""
        return super().forward(x), length
