"""Test-time augmentation of images: the views of an image over which a network's probabilities are averaged."""

import math
from collections.abc import Iterator

import torch

# By the number of views: the share of the side that each crop cuts off at each edge.
CROP_MARGINS = {1: (0.0,), 2: (0.0,), 10: (1 / 12, 1 / 16, 1 / 24, 1 / 48, 0.0)}


def crops(height_px: int, width_px: int, n_views: int) -> list[tuple[slice, slice]]:
    """Return the rows and columns of the centre crops; each is seen twice, as it is and mirrored.

    They are computed before a forward pass, because image sides are not plain numbers while a graph is exported.
    """
    return [(_centre(height_px, margin), _centre(width_px, margin)) for margin in CROP_MARGINS[n_views]]


def _centre(side_px: int, margin: float) -> slice:
    margin_px = round(side_px * margin)
    return slice(margin_px, side_px - margin_px)


def views(x: torch.Tensor, crops: list[tuple[slice, slice]]) -> Iterator[torch.Tensor]:
    """Yield the views of `x` (B, channel, height, width), each crop after its mirror image.

    The image itself comes last, so that a hook on a layer ends with its map.
    """
    for rows, columns in crops:
        crop = x[:, :, rows, columns]
        yield from (crop.flip(3), crop)


def log_mean_probability(logits: torch.Tensor) -> torch.Tensor:
    """Return the logarithm (B, n_classes) of the mean probability over the views' `logits` (views, B, n_classes)."""
    return logits.log_softmax(2).logsumexp(0) - math.log(logits.shape[0])
