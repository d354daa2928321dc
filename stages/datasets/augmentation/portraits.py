"""Augmentation of colour faces with kornia: every sample of a batch draws its own parameters, on the batch's device."""

import kornia.augmentation as kornia
import torch
from torch import nn

from stages.core.errors import UserError
from stages.params.options import Fraction, NonNegativeFloat, Probability, UpToHalf

LAYOUT = ("channel", "height", "width")
SIDES_RATIO = (0.9, 1.1)  # of what a crop leaves


def build(
    *,
    horizontal_flip: Probability = 0.0,
    rotation_deg: NonNegativeFloat = 0.0,
    crop: Fraction = 0.0,
    brightness: Fraction = 0.0,
    contrast: Fraction = 0.0,
    saturation: Fraction = 0.0,
    hue: UpToHalf = 0.0,
    erasing: Probability = 0.0,
) -> nn.Module:
    """Module over (x (batch, 3, height, width) in [0, 1], length) → both. Options left at 0 are not run.

    `horizontal_flip`, `erasing`: probability per sample. `rotation_deg`: uniform in ± degrees; uncovered border: black.
    `crop`: up to this fraction of the area is cut off on random sides, and the rest enlarged to the whole.
    `brightness`, `contrast`, `saturation`: factor uniform in 1 ± this. `hue`: shift uniform in ± this fraction of the
    circle of hues; on a CPU it takes ten times as long as all others.
    """
    steps: list[nn.Module] = []
    if horizontal_flip:
        steps.append(kornia.RandomHorizontalFlip(p=horizontal_flip))
    if rotation_deg:
        steps.append(kornia.RandomAffine(rotation_deg, p=1.0))
    if crop:
        steps.append(Crop(crop))
    if brightness or contrast or saturation or hue:
        steps.append(kornia.ColorJitter(brightness, contrast, saturation, hue, p=1.0))
    if erasing:
        steps.append(kornia.RandomErasing(p=erasing))
    return Portraits(*steps)


class Portraits(nn.Sequential):
    """One step after the other; images have no time steps to change."""

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, height, width) → the same shape; the lengths as they are. Raises `UserError` for gray images."""
        if x.shape[1] != 3:
            raise UserError(f"augmentation portraits: allowed: images with color: rgb; received: {x.shape[1]} channel")
        return super().forward(x), length


class Crop(nn.Module):
    """Leaves at least 1 - `fraction` of the area, at the size of whatever comes: (B, C, H, W) → the same shape."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.scale = (1.0 - fraction, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # "resample" takes a third of the time of slicing, where every sample is cut in another way.
        cut = kornia.RandomResizedCrop(tuple(x.shape[2:]), self.scale, SIDES_RATIO, cropping_mode="resample")
        return cut(x)
