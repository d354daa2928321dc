"""Augmentation of colour faces with kornia; parameters are sampled per image, on the device of the batch."""

import kornia.augmentation as kornia
import torch
from torch import nn

from stages.core.errors import UserError
from stages.datasets.augmentation.faces import Images
from stages.params.options import Fraction, NonNegativeFloat, Probability, UpToHalf

LAYOUT = ("channel", "height", "width")
ASPECT_RATIO = (0.9, 1.1)  # range of the crop's width to height


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
    """Return a module over (x (batch, 3, height, width) in [0, 1], length) that changes x; 0 disables an option.

    `horizontal_flip`, `erasing`: probability per image. `rotation_deg`: uniform in ± degrees; uncovered borders are
    black. `crop`: up to this fraction of the area is cut off, and the rest is enlarged to the full size. `brightness`,
    `contrast`, `saturation`: factor uniform in 1 ± this. `hue`: shift uniform in ± this fraction of the hue circle; on
    a CPU it takes ten times as long as all others.
    """
    steps = [
        (kornia.RandomHorizontalFlip(p=horizontal_flip), horizontal_flip),
        (kornia.RandomAffine(rotation_deg, p=1.0), rotation_deg),
        (Crop(crop), crop),
        (kornia.ColorJitter(brightness, contrast, saturation, hue, p=1.0), brightness or contrast or saturation or hue),
        (kornia.RandomErasing(p=erasing), erasing),
    ]
    return Portraits(*(step for step, is_enabled in steps if is_enabled))


class Portraits(Images):
    """Augmentation steps applied in order to colour images."""

    def forward(self, x: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the augmented images (B, 3, height, width), and `length` unchanged. `UserError` for gray images."""
        if x.shape[1] != 3:
            raise UserError(f"augmentation portraits: allowed: images with color: rgb; received: {x.shape[1]} channel")
        return super().forward(x, length)


class Crop(nn.Module):
    """Random crop of at least 1 - `fraction` of the area, resized to the input size: (B, C, H, W) → the same shape."""

    def __init__(self, fraction: float) -> None:
        super().__init__()
        self.scale = (1.0 - fraction, 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # With a different crop for each image, "resample" takes a third of the time of slicing.
        cut = kornia.RandomResizedCrop(tuple(x.shape[2:]), self.scale, ASPECT_RATIO, cropping_mode="resample")
        return cut(x)
