"""A small residual network for small images: He, Zhang, Ren, Sun, "Deep residual learning", CVPR 2016, three stages.

It is designed for 48x48 faces on a few processor cores: the stem works at full resolution, then the first block of each
stage halves the image, to 24, 12 and 6 px. With `widths` 64, 128, 256 it has 2.8 M weights, 5.5 MB in float16.
"""

import torch
from torch import nn

from stages.core import tta
from stages.params.options import Fraction, Literal, PositiveInt, PositiveInts

LAYOUT = ("channel", "height", "width")


def build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    widths: PositiveInts = [64, 128, 256],  # noqa: B006 (a literal: options are read off the source)
    blocks: PositiveInt = 2,
    stem: PositiveInt = 32,
    dropout: Fraction = 0.3,
    tta_views: Literal[1, 2, 10] = 10,
) -> nn.Module:
    """Return the network for `input_shape` (channel, height, width) of any size.

    `widths`: channels of each stage. `blocks`: residual blocks per stage, each of two convolutions. `stem`: channels of
    the first convolution. `dropout`: on the pooled features, before the linear layer. `tta_views`: test-time
    augmentation; in evaluation mode the probabilities are the mean over this many views, which takes as many times the
    time. 1: none. 2: the image and its mirror image (Krizhevsky et al. 2012, section 4.1, average over ten such views).
    10: also the centre crops of both without 1, 2, 3 and 4 of 48 px at each edge.
    """
    stages = [
        nn.Sequential(Block(n_in, n_out, 2), *(Block(n_out, n_out, 1) for _ in range(blocks - 1)))
        for n_in, n_out in zip([stem, *widths[:-1]], widths, strict=True)
    ]
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(widths[-1], n_classes))
    first = nn.Sequential(*_convolution(input_shape[0], stem), nn.ReLU())
    crops = tta.crops(*input_shape[1:], tta_views)
    model = CompactResNet(first, nn.Sequential(*stages), head, tta_views, crops)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):  # He et al. 2015
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, Block):  # starts as its shortcut alone (Goyal et al. 2017, sec. 5.1)
            nn.init.zeros_(layer.convolutions[-1].weight)
    return model


class CompactResNet(nn.Module):
    """The network. Shapes in the comments are those of a 48x48 image and widths 64, 128, 256."""

    def __init__(
        self, stem: nn.Module, stages: nn.Module, head: nn.Module, tta_views: int, crops: list[tuple[slice, slice]]
    ) -> None:
        super().__init__()
        self.stem, self.stages, self.head, self.tta_views, self.crops = stem, stages, head, tta_views, crops

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, channel, height, width); images have no `length`."""
        if self.training or self.tta_views == 1:
            return self.head(self._pooled(x))
        pooled = torch.stack([self._pooled(view) for view in tta.views(x, self.crops)])  # (views, B, 256)
        return tta.log_mean_probability(self.head(pooled))

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(self.stem(x))  # (B, 1, 48, 48) → (B, 32, 48, 48) → (B, 256, 6, 6)
        return x.mean((2, 3))  # (B, 256, 6, 6) → (B, 256)

    def feature_map_layer(self) -> nn.Module:
        """Return the layer whose output is the last feature map (B, channel, H, W), for Grad-CAM."""
        return self.stages


class Block(nn.Module):
    """conv, BN, ReLU, conv, BN, + input, ReLU: (B, n_in, H, W) → (B, n_out, ⌈H/stride⌉, ⌈W/stride⌉)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolution(n_in, n_out, stride=stride), nn.ReLU(), *_convolution(n_out, n_out)
        )
        # Average pooling, because a strided 1x1 convolution would skip pixels (ResNet-D, arXiv 1812.01187).
        pooling = [nn.AvgPool2d(stride, ceil_mode=True)] if stride > 1 else []
        same_shape = stride == 1 and n_in == n_out
        self.shortcut = nn.Identity() if same_shape else nn.Sequential(*pooling, *_convolution(n_in, n_out, kernel=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.convolutions(x) + self.shortcut(x)).relu()


def _convolution(n_in: int, n_out: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    # No bias: the batch normalisation that follows would cancel it.
    return nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(n_out)
