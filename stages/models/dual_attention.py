"""A torchvision backbone, channel and spatial attention on its feature map, and a BiLSTM over the map as a sequence.

Attention: Woo, Park, Lee, Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018. Attention and BiLSTM are
optional.
"""

import pickle
from collections import OrderedDict
from http.client import HTTPException
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F
from torchvision.models import get_model, get_model_weights
from torchvision.models.resnet import BasicBlock

from stages.core import tta, weights
from stages.core.errors import UserError
from stages.params.options import Fraction, OddInt, PositiveInt, Pretrained

LAYOUT = ("channel", "height", "width")
COLOR = "rgb"  # what the published weights expect
HEADS = ("avgpool", "fc", "classifier")  # the layers of a torchvision model behind its feature map, which are not used
WHOLE = [(slice(None), slice(None))]  # the only crop of test-time augmentation
PUBLISHED_STRIDE = 32  # image pixels per place of the feature map
# Channels of the feature map
N_CHANNELS = {"efficientnet_b4": 1792, "efficientnet_lite0": 1280, "mobilenet_v2": 1280}
N_CHANNELS |= {"resnet50": 2048, "resnet18": 512, "resnet10": 256}
# EfficientNet-Lite0: (blocks, kernel, stride of the first, expansion, channels) of each stage
LITE0 = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192))
LITE0 += ((1, 3, 1, 6, 320),)


def build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    backbone: Literal[
        "efficientnet_b4", "efficientnet_lite0", "mobilenet_v2", "resnet50", "resnet18", "resnet10"
    ] = "efficientnet_b4",
    pretrained: Pretrained = "imagenet",
    total_stride: Literal[32, 16, 8] = 32,
    use_attention: bool = True,
    use_bilstm: bool = True,
    reduction: PositiveInt = 16,
    spatial_kernel: OddInt = 7,
    lstm_hidden: PositiveInt = 256,
    lstm_layers: PositiveInt = 2,
    dropout: Fraction = 0.5,
    tta_views: Literal[1, 2] = 1,
) -> nn.Module:
    """Return the network for `input_shape` (3, height, width) with random weights; training calls `load_pretrained`.

    `pretrained`: 'imagenet', 'none', or the path of a state dict of torchvision's model (.safetensors, .pt, .pth).
    `total_stride`: image pixels per place of the feature map; 32 as published, less keeps more of small images.
    `reduction`: channels per hidden unit of channel attention. `spatial_kernel`: side of spatial attention's kernel.
    `lstm_hidden`: units of each direction. `dropout`: before the classifier and between LSTM layers. `tta_views`: 2: in
    evaluation mode the probabilities are the mean over the image and its mirror image, which takes twice the time.
    Raises ValueError for images that are not RGB, and for ImageNet weights of ResNet-10.
    """
    if input_shape[0] != 3:
        raise ValueError(f"input is {tuple(input_shape)}; allowed: a feature with color: rgb")
    if (backbone, pretrained) == ("resnet10", "imagenet"):
        raise ValueError("pretrained is imagenet; allowed with backbone resnet10: none, or a path")
    n_channels = N_CHANNELS[backbone]
    attention = nn.Sequential()  # of channels, then of places (CBAM, eq. 1)
    if use_attention:
        attention.channel = ChannelAttention(n_channels, reduction)
        attention.spatial = SpatialAttention(spatial_kernel)
    inner_dropout = dropout if lstm_layers > 1 else 0.0  # PyTorch warns about a dropout in an LSTM of one layer
    sizes = (n_channels, lstm_hidden, lstm_layers)
    lstm = nn.LSTM(*sizes, batch_first=True, bidirectional=True, dropout=inner_dropout) if use_bilstm else None
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * lstm_hidden if use_bilstm else n_channels, n_classes))
    layers = feature_layers(backbone, total_stride)
    return DualAttentionNet(backbone, pretrained, layers, attention, lstm, head, tta_views)


class DualAttentionNet(nn.Module):
    """The network. Shapes in the comments: B images of 224x224 px, EfficientNet-B4 (ResNet-50: 2048 channels)."""

    def __init__(
        self,
        name: str,
        pretrained: str,
        backbone: nn.Module,
        attention: nn.Module,
        lstm: nn.LSTM | None,
        head: nn.Module,
        tta_views: int,
    ) -> None:
        super().__init__()
        self.name, self.pretrained, self.tta_views = name, pretrained, tta_views
        self.backbone, self.attention, self.lstm, self.head = backbone, attention, lstm, head

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, 3, height, width); images have no `length`."""
        if self.training or self.tta_views == 1:
            return self.head(self._pooled(x))
        pooled = torch.stack([self._pooled(view) for view in tta.views(x, WHOLE)])  # (2, B, 512 or 1792)
        return tta.log_mean_probability(self.head(pooled))

    def _pooled(self, x: torch.Tensor) -> torch.Tensor:
        y = self.attention(self.backbone(x))  # (B, 3, 224, 224) → (B, 1792, 7, 7)
        y = y.flatten(2).transpose(1, 2)  # (B, 1792, 7, 7) → (B, 1792, 49) → (B, 49, 1792), row by row
        if self.lstm is not None:
            y, _ = self.lstm(y)  # (B, 49, 1792) → (B, 49, 512), both directions concatenated
        return y.mean(1)  # (B, 49, 512 or 1792) → (B, 512 or 1792)

    def load_pretrained(self) -> None:
        """Load the weights that `pretrained` names into the backbone. Raises `UserError` if that is impossible."""
        if self.pretrained != "none":
            fill(self.backbone, self.name, self.pretrained)

    def feature_map_layer(self) -> nn.Module:
        """Return the layer whose output is the last feature map (B, channel, H, W), for Grad-CAM."""
        return self.attention

    @torch.no_grad()
    def spatial_attention(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return spatial attention weights (B, H, W) in 0..1 for `x` (B, 3, height, width); None without attention."""
        if not len(self.attention):
            return None
        return self.attention.spatial.weights(self.attention.channel(self.backbone(x)))[:, 0]


class ChannelAttention(nn.Module):
    """Multiplies the channels by σ(MLP(mean over places) + MLP(maximum over places)), with one MLP (CBAM, eq. 2)."""

    def __init__(self, n_channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, n_channels // reduction)
        self.mlp = nn.Sequential(nn.Linear(n_channels, hidden), nn.ReLU(), nn.Linear(hidden, n_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = (self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))).sigmoid()  # (B, C, H, W) → (B, C)
        return x * weight[:, :, None, None]


class SpatialAttention(nn.Module):
    """Multiplies the places by σ(convolution of [mean over channels; maximum over channels]) (CBAM, eq. 3)."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """Return the weights of the places, in 0..1: (B, C, H, W) → (B, 1, H, W)."""
        both = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)  # (B, 2, H, W)
        return self.convolution(both).sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weights(x)


def feature_layers(backbone: str, total_stride: int) -> nn.Sequential:
    """Return torchvision's model without its head, with random weights and torchvision's parameter names."""
    own = {"resnet10": resnet10, "efficientnet_lite0": efficientnet_lite0}
    model = own[backbone]() if backbone in own else get_model(backbone, weights=None)
    layers = nn.Sequential(OrderedDict((name, layer) for name, layer in model.named_children() if name not in HEADS))
    spatial = [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
    halving = [layer for layer in spatial if layer.stride in (2, (2, 2))]
    # The first strides are removed, so that every later map is larger.
    for layer in halving[: (PUBLISHED_STRIDE // total_stride).bit_length() - 1]:
        layer.stride = 1 if isinstance(layer, nn.MaxPool2d) else (1, 1)
    return layers


def resnet10() -> nn.Sequential:
    """Return ResNet-18 with one block per stage and half the channels, for small images, without published weights."""
    layers = nn.Sequential()
    layers.conv1, layers.bn1 = nn.Conv2d(3, 32, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(32)
    layers.relu, layers.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
    layers.layer1 = BasicBlock(32, 32)
    for number, width in ((2, 64), (3, 128), (4, 256)):
        shortcut = nn.Sequential(nn.Conv2d(width // 2, width, 1, stride=2, bias=False), nn.BatchNorm2d(width))
        layers.add_module(f"layer{number}", BasicBlock(width // 2, width, stride=2, downsample=shortcut))
    return layers


def efficientnet_lite0() -> nn.Sequential:
    """Return EfficientNet-Lite0 without its head: EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

    The names of its parameters are those of the published weights without their leading underscores.
    """
    layers = nn.Sequential()
    layers.conv_stem, layers.bn0, layers.relu0 = SameConv2d(3, 32, 3, stride=2), _batch_norm(32), nn.ReLU6(inplace=True)
    layers.blocks, n_in = nn.Sequential(), 32
    for n_blocks, kernel, stride, expansion, n_out in LITE0:
        for number in range(n_blocks):
            layers.blocks.append(LiteBlock(n_in, n_out, kernel, 1 if number else stride, expansion))
            n_in = n_out
    layers.conv_head, layers.bn1, layers.relu1 = SameConv2d(320, 1280, 1), _batch_norm(1280), nn.ReLU6(inplace=True)
    return layers


class LiteBlock(nn.Module):
    """An inverted residual block: expand the channels, convolve each by itself, project; plus the input if it fits."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner, self.is_residual = n_in * expansion, stride == 1 and n_in == n_out
        if expansion > 1:
            self.expand_conv, self.bn0 = SameConv2d(n_in, inner, 1), _batch_norm(inner)
        self.depthwise_conv, self.bn1 = (
            SameConv2d(inner, inner, kernel, stride=stride, groups=inner),
            _batch_norm(inner),
        )
        self.project_conv, self.bn2 = SameConv2d(inner, n_out, 1), _batch_norm(n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu6(self.bn0(self.expand_conv(x))) if hasattr(self, "expand_conv") else x
        y = F.relu6(self.bn1(self.depthwise_conv(y)))  # (B, inner, H, W) → (B, inner, ⌈H / stride⌉, ⌈W / stride⌉)
        y = self.bn2(self.project_conv(y))
        return x + y if self.is_residual else y


class SameConv2d(nn.Conv2d):
    """A convolution without bias, padded as in TensorFlow: an odd number of pixels has one more at right and bottom."""

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(n_in, n_out, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
        return super().forward(F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)))


def _batch_norm(n_channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(n_channels, eps=1e-3, momentum=0.01)  # TensorFlow's values


def fill(layers: nn.Module, backbone: str, pretrained: str) -> None:
    """Load weights into the feature layers; the weights of a head are ignored."""
    loaded = imagenet_weights(backbone) if pretrained == "imagenet" else read_weights(Path(pretrained))
    state = {name: value for name, value in loaded.items() if name.split(".")[0] not in HEADS}
    expected = layers.state_dict()
    mismatched = [
        name
        for name, value in expected.items()
        # num_batches_tracked may be missing, as in torchvision's older weights
        if not name.endswith("num_batches_tracked") and (name not in state or state[name].shape != value.shape)
    ]
    mismatched += [name for name in state if name not in expected]
    if mismatched:
        raise UserError(
            f"model dual_attention: pretrained: {pretrained}: weights of another network; allowed: a state dict of "
            f"torchvision's {backbone}; {len(mismatched)} tensors do not match, the first is {mismatched[0]}"
        )
    layers.load_state_dict(state)


def imagenet_weights(backbone: str) -> dict[str, torch.Tensor]:
    """Return ImageNet-1k weights from a package, or torchvision's from its cache or a download; hashes are checked."""
    if backbone in weights.WEIGHTS:
        state = torch.load(weights.path(backbone), map_location="cpu", weights_only=True)
        # Lite0's names begin with underscores: _blocks.0._bn1.weight
        return {".".join(part.lstrip("_") for part in name.split(".")): value for name, value in state.items()}
    published = get_model_weights(backbone)["IMAGENET1K_V1"]
    try:
        return published.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise UserError(
            f"model dual_attention: pretrained: imagenet: the weights of {backbone} cannot be downloaded ({error}); "
            f"download {published.url} elsewhere and set pretrained to the file's path, or to none"
        ) from None


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the state dict in a file; nothing but tensors is unpickled."""
    where, allowed = f"model dual_attention: pretrained: {path}", "a state dict in .safetensors, or of torch.save"
    try:
        is_safe = path.suffix == ".safetensors"
        state = load_file(path) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{where}: no such file; allowed: imagenet, none, or the path of {allowed}") from None
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{where}: not weights ({type(error).__name__}); allowed: {allowed}") from None
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"{where}: not only weights; allowed: {allowed}, which maps names to tensors")
    return state
