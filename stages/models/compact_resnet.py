"""A small residual network for small images: He, Zhang, Ren, Sun, "Deep residual learning", CVPR 2016, three stages.

Made for 48x48 faces on a few processor cores: each stage's first block halves the image, so that after a stem that sees
every pixel the work is done at 24, 12 and 6 px. With `widths` 64, 128, 256: 2.8 M weights, 5.5 MB in float16.
"""

import math
from collections.abc import Iterator

import torch
from torch import nn

from stages.params.options import Fraction, Literal, PositiveInt, PositiveInts

LAYOUT = ("channel", "height", "width")
# Of the image, left out at each of its edges, by the number of views.
EDGES = {1: (), 2: (0.0,), 10: (1 / 12, 1 / 16, 1 / 24, 1 / 48, 0.0)}


def build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    widths: PositiveInts = [64, 128, 256],  # noqa: B006 (a literal: options are read off the source)
    blocks: PositiveInt = 2,
    stem: PositiveInt = 32,
    dropout: Fraction = 0.3,
    views: Literal[1, 2, 10] = 10,
) -> nn.Module:
    """`input_shape` (channel, height, width), any size. One stage per entry of `widths`, its number of channels.

    `blocks`: of two convolutions each, in every stage. `stem`: channels of the first convolution. `dropout`: of the
    pooled features, before the one linear layer. `views`: an answer, not a training step, is the mean of what so many
    give, in as many times the time: 2, the image and its mirror image (Krizhevsky et al. 2012, section 4.1, of their
    ten); 10, also the middles of both, without 1, 2, 3 and 4 of 48 px at each edge.
    Raises ValueError for another number of axes.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"input has {len(input_shape)} axes, {tuple(input_shape)}; allowed: 3, (channel, height, width)"
        )
    stages = [
        nn.Sequential(Block(n_in, n_out, 2), *(Block(n_out, n_out, 1) for _ in range(blocks - 1)))
        for n_in, n_out in zip([stem, *widths[:-1]], widths, strict=True)
    ]
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], n_classes))
    first = nn.Sequential(*_convolution(input_shape[0], stem), nn.ReLU())
    # Worked out here: within a graph that is exported, sides are no numbers.
    middles = [tuple(_middle(side, edge) for side in input_shape[1:]) for edge in EDGES[views]]
    model = CompactResNet(first, nn.Sequential(*stages), head, views, middles)
    model.apply(_initialise)
    return model


class CompactResNet(nn.Module):
    """Shapes in the comments are those of a 48x48 image and widths 64, 128, 256."""

    def __init__(
        self, stem: nn.Module, stages: nn.Module, head: nn.Module, views: int, middles: list[tuple[slice, slice]]
    ) -> None:
        super().__init__()
        self.stem, self.stages, self.head, self.views, self.middles = stem, stages, head, views, middles

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """(B, channel, height, width) → logits (B, n_classes); images have no `length`."""
        if self.training or self.views == 1:
            return self.head(self._pooled(x))
        pooled = torch.stack([self._pooled(view) for view in self._views_of(x)])  # (views, B, 256)
        return self.head(pooled).log_softmax(2).logsumexp(0) - math.log(self.views)  # of the mean of probabilities

    def _views_of(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """The image last: who watches `feature_map_layer` sees the map of it."""
        for rows, columns in self.middles:
            middle = x[:, :, rows, columns]
            yield from (middle.flip(3), middle)

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(self.stem(x))  # (B, 1, 48, 48) → (B, 32, 48, 48) → (B, 256, 6, 6)
        return x.mean((2, 3))  # (B, 256, 6, 6) → (B, 256)

    def feature_map_layer(self) -> nn.Module:
        """The layer whose output is the last map of the image (B, channel, H, W), for Grad-CAM."""
        return self.stages


def _middle(side_px: int, edge: float) -> slice:
    left_out = round(side_px * edge)
    return slice(left_out, side_px - left_out)


class Block(nn.Module):
    """conv, BN, ReLU, conv, BN, + input, ReLU: (B, n_in, H, W) → (B, n_out, ⌈H/stride⌉, ⌈W/stride⌉)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolution(n_in, n_out, stride=stride), nn.ReLU(), *_convolution(n_out, n_out)
        )
        # The mean of what a strided 1x1 convolution would skip (He, T. et al. 2019, arXiv 1812.01187, ResNet-D).
        pooled = [nn.AvgPool2d(stride, ceil_mode=True)] if stride > 1 else []
        same = stride == 1 and n_in == n_out
        self.shortcut = nn.Identity() if same else nn.Sequential(*pooled, *_convolution(n_in, n_out, kernel=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.convolutions(x) + self.shortcut(x)).relu()


def _convolution(n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    # No bias: the batch normalisation that follows would cancel it.
    return nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_out)


def _initialise(layer: nn.Module) -> None:
    """He et al. 2015 for what precedes a ReLU; each block begins as its shortcut (Goyal et al. 2017, section 5.1)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, Block):
        nn.init.zeros_(layer.convolutions[-1].weight)
