"""A published backbone, channel and spatial attention on its feature map, a BiLSTM over the map read as a sequence.

Attention: Woo, Park, Lee, Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018. Each part switches off.
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
from torchvision.models import get_model, get_model_weights
from torchvision.models.resnet import BasicBlock

from stages.core.errors import UserError
from stages.params.options import Fraction, OddInt, PositiveInt, Pretrained

LAYOUT = ("channel", "height", "width")
COLOR = "rgb"  # as the published weights take it
# What a torchvision model puts behind its feature map, and no weight of which is ever taken.
HEADS = ("avgpool", "fc", "classifier")
# Of the feature map.
PUBLISHED_STRIDE, N_CHANNELS = 32, {"efficientnet_b4": 1792, "resnet50": 2048, "resnet18": 512, "resnet10": 256}


def build(
    input_shape: tuple[int, int, int],
    n_classes: int,
    *,
    backbone: Literal["efficientnet_b4", "resnet50", "resnet18", "resnet10"] = "efficientnet_b4",
    pretrained: Pretrained = "imagenet",
    total_stride: Literal[32, 16, 8] = 32,
    use_attention: bool = True,
    use_bilstm: bool = True,
    reduction: PositiveInt = 16,
    spatial_kernel: OddInt = 7,
    lstm_hidden: PositiveInt = 256,
    lstm_layers: PositiveInt = 2,
    dropout: Fraction = 0.5,
) -> nn.Module:
    """`input_shape` (3, height, width). Weights are random: `load_pretrained` gets others, and only training calls it.

    `pretrained`: 'imagenet', 'none', or the path of a state dict of torchvision's model (.safetensors, .pt, .pth).
    `total_stride`: pixels of the image to one of the feature map; 32 as published, less keeps more of small images.
    `reduction`: of the channels, in the hidden layer of channel attention; `spatial_kernel`: side, odd. `lstm_hidden`:
    units of each direction. `dropout`: before the head and between layers of the LSTM. Raises ValueError for a shape
    or kernel that is not as said, and for weights from ImageNet of ResNet-10.
    """
    if len(input_shape) != 3 or input_shape[0] != 3:
        allowed = "a feature with color: rgb, (channel, height, width)"
        raise ValueError(f"input is {tuple(input_shape)}; allowed: {allowed}")
    if spatial_kernel % 2 == 0:
        raise ValueError(f"spatial_kernel is {spatial_kernel}; allowed: odd, to have a middle")
    if (backbone, pretrained) == ("resnet10", "imagenet"):
        raise ValueError("pretrained is imagenet; allowed with backbone resnet10: none, or a path")
    n_channels = N_CHANNELS[backbone]
    attention = DualAttention(n_channels, reduction, spatial_kernel) if use_attention else nn.Identity()
    between = dropout if lstm_layers > 1 else 0.0  # PyTorch warns of dropout between the layers of one
    sizes = (n_channels, lstm_hidden, lstm_layers)
    lstm = nn.LSTM(*sizes, batch_first=True, bidirectional=True, dropout=between) if use_bilstm else None
    head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * lstm_hidden if use_bilstm else n_channels, n_classes))
    return Portraits(backbone, pretrained, feature_layers(backbone, total_stride), attention, lstm, head)


class Portraits(nn.Module):
    """Shapes in the comments: B images of 224x224 px, EfficientNet-B4 (ResNet-50: 2048 channels, ResNet-18: 512)."""

    def __init__(
        self,
        name: str,
        pretrained: str,
        backbone: nn.Module,
        attention: nn.Module,
        lstm: nn.LSTM | None,
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.name, self.pretrained = name, pretrained
        self.backbone, self.attention, self.lstm, self.head = backbone, attention, lstm, head

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """(B, 3, height, width) → logits (B, n_classes); images have no `length`."""
        y = self.attention(self.backbone(x))  # (B, 3, 224, 224) → (B, 1792, 7, 7), twice
        y = y.flatten(2).transpose(1, 2)  # (B, 1792, 7, 7) → (B, 1792, 49) → (B, 49, 1792), row by row
        if self.lstm is not None:
            y, _ = self.lstm(y)  # (B, 49, 1792) → (B, 49, 512), both directions beside each other
        return self.head(y.mean(1))  # (B, 49, 512 or 1792) → (B, 512 or 1792) → (B, n_classes)

    def load_pretrained(self) -> None:
        """Put the weights `pretrained` names into the backbone. Raises `UserError` for any it cannot get or use."""
        if self.pretrained != "none":
            fill(self.backbone, self.name, self.pretrained)

    def feature_map_layer(self) -> nn.Module:
        """The layer whose output is the last map of the image (B, channel, H, W), for Grad-CAM."""
        return self.attention

    @torch.no_grad()
    def spatial_attention(self, x: torch.Tensor) -> torch.Tensor | None:
        """(B, 3, height, width) → (B, H, W) in 0..1, how much of each place passes; None where nothing attends."""
        if isinstance(self.attention, nn.Identity):
            return None
        return self.attention.spatial.weights(self.attention.channel(self.backbone(x)))[:, 0]


class DualAttention(nn.Module):
    """Channel, then spatial attention (CBAM, eq. 1): (B, C, H, W) → the same shape."""

    def __init__(self, n_channels: int, reduction: int, kernel: int) -> None:
        super().__init__()
        self.channel, self.spatial = ChannelAttention(n_channels, reduction), SpatialAttention(kernel)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.spatial(self.channel(x))


class ChannelAttention(nn.Module):
    """σ(MLP(mean over places) + MLP(largest over places)), one MLP for both (CBAM, eq. 2), times the channels."""

    def __init__(self, n_channels: int, reduction: int) -> None:
        super().__init__()
        hidden = max(1, n_channels // reduction)
        self.mlp = nn.Sequential(nn.Linear(n_channels, hidden), nn.ReLU(), nn.Linear(hidden, n_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = (self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))).sigmoid()  # (B, C, H, W) → (B, C)
        return x * weight[:, :, None, None]


class SpatialAttention(nn.Module):
    """σ(convolution of [mean over channels; largest over channels]) (CBAM, eq. 3), times each place."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2)

    def weights(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) → (B, 1, H, W) in 0..1."""
        both = torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), dim=1)  # (B, 2, H, W)
        return self.convolution(both).sigmoid()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weights(x)


def feature_layers(backbone: str, total_stride: int) -> nn.Sequential:
    """torchvision's model without its head, its weights random and under torchvision's names."""
    model = resnet10() if backbone == "resnet10" else get_model(backbone, weights=None)
    layers = nn.Sequential(OrderedDict((name, layer) for name, layer in model.named_children() if name not in HEADS))
    spatial = [layer for layer in layers.modules() if isinstance(layer, nn.Conv2d | nn.MaxPool2d)]
    halving = [layer for layer in spatial if layer.stride in (2, (2, 2))]
    for layer in halving[: (PUBLISHED_STRIDE // total_stride).bit_length() - 1]:  # the first ones, on the largest maps
        layer.stride = 1 if isinstance(layer, nn.MaxPool2d) else (1, 1)
    return layers


def resnet10() -> nn.Sequential:
    """ResNet-18 with one block a stage and half its channels, for small images; there are no published weights."""
    layers = nn.Sequential()
    layers.conv1, layers.bn1 = nn.Conv2d(3, 32, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(32)
    layers.relu, layers.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
    layers.layer1 = BasicBlock(32, 32)
    for number, width in ((2, 64), (3, 128), (4, 256)):
        shortcut = nn.Sequential(nn.Conv2d(width // 2, width, 1, stride=2, bias=False), nn.BatchNorm2d(width))
        layers.add_module(f"layer{number}", BasicBlock(width // 2, width, stride=2, downsample=shortcut))
    return layers


def fill(layers: nn.Module, backbone: str, pretrained: str) -> None:
    """Load weights into the feature layers; those of a head, whatever its classes, are left out."""
    found = imagenet_weights(backbone) if pretrained == "imagenet" else read_weights(Path(pretrained))
    given = {name: value for name, value in found.items() if name.split(".")[0] not in HEADS}
    needed = {name: value for name, value in layers.state_dict().items() if not name.endswith("num_batches_tracked")}
    unfit = [name for name, value in needed.items() if name not in given or given[name].shape != value.shape]
    unfit += [name for name in given if name not in layers.state_dict()]
    if unfit:
        raise UserError(
            f"model dual_attention: pretrained: {pretrained}: weights of another network than {backbone}; "
            f"allowed: a state dict of torchvision's {backbone}; {len(unfit)} tensors do not fit, the first {unfit[0]}"
        )
    layers.load_state_dict(given)


def imagenet_weights(backbone: str) -> dict[str, torch.Tensor]:
    """torchvision's, trained on ImageNet-1k, from its cache or the network, compared with the digest in their name."""
    weights = get_model_weights(backbone)["IMAGENET1K_V1"]
    try:
        return weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError, HTTPException) as error:
        raise UserError(
            f"model dual_attention: pretrained: imagenet: the weights of {backbone} cannot be fetched ({error}); fetch "
            f"{weights.url} where there is a network and set pretrained to the file's path, or to none"
        ) from None


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict from outside, never unpickled beyond tensors."""
    where, allowed = f"model dual_attention: pretrained: {path}", "a state dict in .safetensors, or of torch.save"
    try:
        is_safe = path.suffix == ".safetensors"
        found = load_file(path) if is_safe else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{where}: no such file; allowed: imagenet, none, or the path of {allowed}") from None
    except (SafetensorError, pickle.UnpicklingError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{where}: not weights ({type(error).__name__}); allowed: {allowed}") from None
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise UserError(f"{where}: more than weights, or none; allowed: {allowed}, names and tensors alone")
    return found
