"""MobileNetV1 with weights of face recognition, for small faces: Howard et al., "MobileNets", arXiv 1704.04861.

It enlarges the faces itself, so that they are stored, streamed and mixed at their own size.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from stages.core import tta, weights
from stages.params.options import Annotated, Field, Fraction, Literal, PositiveInt, Pretrained

LAYOUT = ("channel", "height", "width")
STEM = 32  # channels of the first convolution
# Channels and stride of each separable convolution
SEPARABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), *[(512, 2), *[(512, 1)] * 5], (1024, 2), (1024, 1))
# Published weights: mean of blue, green and red in 0..255, subtracted from the first, second and third channel
MEAN = (103.939, 116.779, 123.68)
N_HEADS = 257 * 100 + 1025 * 256 + 257  # numbers of the file before the first convolution: age, features, gender
N_LIMITS = 2  # numbers after each convolution: the limits of ReLU6


def build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    size_px: PositiveInt = 160,
    blocks: Annotated[int, Field(ge=1, le=13)] = 13,
    pretrained: Pretrained = "none",
    dropout: Fraction = 0.3,
    tta_views: Literal[1, 2, 10] = 2,
) -> nn.Module:
    """Return the network for `input_shape` (1 or 3, height, width); training calls `load_pretrained` and `calibrate`.

    `size_px`: side to which faces are enlarged; the published weights were trained with 224. `blocks`: separable
    convolutions that are used, of 13. `pretrained`: 'none', or the path of faceres-deep.bin (docs/weights.md).
    `dropout`: before the linear layer. `tta_views`: as of compact_resnet. Raises ValueError for 'imagenet'.
    """
    if pretrained == "imagenet":
        raise ValueError("pretrained is imagenet; allowed: none, or the path of faceres-deep.bin")
    layers, n_in = [Unit(3, STEM, 3, 2)], STEM
    for n_out, stride in SEPARABLE[:blocks]:
        layers += [Unit(n_in, n_in, 3, stride, groups=n_in), Unit(n_in, n_out, 1)]
        n_in = n_out
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(n_in, n_classes))
    return FaceMobileNet(
        nn.Sequential(*layers), head, size_px, pretrained, tta_views, tta.crops(*input_shape[1:], tta_views)
    )


class FaceMobileNet(nn.Module):
    """The network. Shapes in the comments are those of gray 48x48 faces, 160 px and 13 blocks."""

    samples_at_once = 8  # when it is served: maps of enlarged faces are large, and memory is slower than a cache

    def __init__(
        self,
        layers: nn.Sequential,
        head: nn.Module,
        size_px: int,
        pretrained: str,
        tta_views: int,
        crops: list[tuple[slice, slice]],
    ) -> None:
        super().__init__()
        self.layers, self.head, self.size_px, self.pretrained = layers, head, size_px, pretrained
        self.tta_views, self.crops = tta_views, crops
        self.register_buffer("published_mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.set_input_scale(torch.zeros(()), torch.ones(()))

    def set_input_scale(self, mean: torch.Tensor, sd: torch.Tensor) -> None:
        """Set the mean and standard deviation with which the input, in 0..1, was standardised."""
        self.register_buffer("input_mean", mean.clone(), persistent=False)
        self.register_buffer("input_sd", sd.clone(), persistent=False)

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for standardised `x` (B, 1 or 3, height, width); images have no `length`."""
        if self.training or self.tta_views == 1:
            return self.head(self._pooled(x))
        pooled = torch.stack([self._pooled(view) for view in tta.views(x, self.crops)])  # (views, B, 1024)
        return tta.log_mean_probability(self.head(pooled))

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(self._enlarged(x))  # (B, 3, 160, 160) → (B, 32, 80, 80) → … → (B, 1024, 5, 5)
        return y.mean((2, 3))  # (B, 1024, 5, 5) → (B, 1024)

    def _enlarged(self, x: torch.Tensor) -> torch.Tensor:
        x = F.interpolate(x, (self.size_px, self.size_px), mode="bicubic")  # (B, 1, 48, 48) → (B, 1, 160, 160)
        x = 255 * (x * self.input_sd + self.input_mean) - self.published_mean  # gray as three: (B, 3, 160, 160)
        return x.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def load_pretrained(self) -> None:
        """Load the published convolutions. Raises `UserError` if the file is absent or another."""
        if self.pretrained != "none":
            numbers = np.frombuffer(weights.content("faceres-deep", Path(self.pretrained)), "<f4")
            take = _taker(torch.tensor(numbers[N_HEADS:]))
            for layer in self.layers:
                layer.load(take)

    @torch.no_grad()
    def calibrate(self, x: torch.Tensor) -> None:
        """Give each batch normalisation the statistics of standardised training faces `x` (B, 1 or 3, height, width).

        The published file has none; training, which normalises by those of a batch, would start from another network.
        """
        y = self._enlarged(x)
        for layer in self.layers:
            layer.calibrate(y)
            y = layer(y)

    def feature_map_layer(self) -> nn.Module:
        """Return the layer whose output is the last feature map (B, channel, H, W), for Grad-CAM."""
        return self.layers


def _taker(numbers: torch.Tensor) -> Callable[..., torch.Tensor]:
    """Return a function that takes the next numbers, as a tensor of the shape that it is given."""
    start = 0

    def take(*shape: int) -> torch.Tensor:
        nonlocal start
        start += math.prod(shape)
        return numbers[start - math.prod(shape) : start].view(shape)

    return take


class Unit(nn.Module):
    """Convolution, batch normalisation, ReLU6: (B, n_in, H, W) → (B, n_out, ⌈H/stride⌉, ⌈W/stride⌉).

    Padded as in TensorFlow: of an odd number of pixels one more is at the right and at the bottom.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(n_in, n_out, kernel, stride, groups=groups, bias=False)
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_in", nonlinearity="relu")  # He et al. 2015
        self.norm = nn.BatchNorm2d(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu6(self.norm(self.convolve(x)))

    def convolve(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.convolution.kernel_size[0], self.convolution.stride[0]
        rows, columns = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
        return self.convolution(F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)))

    def calibrate(self, x: torch.Tensor) -> None:
        """Take over the mean and variance of the convolved `x`; scale and shift change so that the output does not."""
        sd, mean = torch.std_mean(self.convolve(x), (0, 2, 3), correction=0)
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        self.norm.bias += scale * (mean - self.norm.running_mean)
        self.norm.weight.copy_(scale * (sd**2 + self.norm.eps).sqrt())
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(sd**2)

    def load(self, take: Callable[..., torch.Tensor]) -> None:
        """Copy the weights, for a depthwise convolution their factors, and the shift, in the order of the file."""
        side, (n_out, n_in) = self.convolution.kernel_size[0], self.convolution.weight.shape[:2]
        if self.convolution.groups == 1:
            kernels = take(side, side, n_in, n_out).permute(3, 2, 0, 1)  # TensorFlow: (height, width, in, out)
        else:
            kernels = take(side, side, n_out, 1).permute(2, 3, 0, 1) * take(n_out)[:, None, None, None]
        self.convolution.weight.copy_(kernels)
        self.norm.running_var.fill_(1 - self.norm.eps)  # the normalisation is part of the kernels
        self.norm.bias.copy_(take(n_out))
        take(N_LIMITS)
