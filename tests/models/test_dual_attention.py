"""Backbone, attention and BiLSTM: sizes and equations by hand, and pretrained weights, valid and invalid."""

import os
import pickle
import urllib.error
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import get_model

from stages.core.errors import UserError
from stages.models.dual_attention import ChannelAttention, SpatialAttention, build

SHAPE = (3, 64, 64)
# Parameters of the whole model in torchvision's documentation, minus its head of 1,000 classes.
BACKBONES = {
    "efficientnet_b4": (1792, 19_341_616 - 1792 * 1000 - 1000),
    "resnet50": (2048, 25_557_032 - 2048 * 1000 - 1000),
    "resnet18": (512, 11_689_512 - 512 * 1000 - 1000),
    "mobilenet_v2": (1280, 3_504_872 - 1280 * 1000 - 1000),
    # Without squeeze-and-excitation; 4,652,008 with the head of 1,000 classes (TensorFlow's table says 4.7 million).
    "efficientnet_lite0": (1280, 4_652_008 - 1280 * 1000 - 1000),
    # The stem, then two 3x3 convolutions per stage, from the second on with a 1x1 shortcut, and their normalisations.
    "resnet10": (256, 4_768 + 18_560 + 57_728 + 230_144 + 919_040),
}


def small(**options: object) -> nn.Module:
    torch.manual_seed(0)
    return build(SHAPE, 7, **{"backbone": "resnet18", "pretrained": "none", "lstm_hidden": 8} | options)


def count(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


@pytest.mark.parametrize("backbone", BACKBONES)
def test_sizes_by_hand(backbone: str):
    n, features = BACKBONES[backbone]
    hidden = n // 16
    attention = (n * hidden + hidden) + (hidden * n + n) + (2 * 7 * 7 + 1)
    # Four gates of 256 in two directions, with n (then 512) inputs, 256 states and two biases each.
    bilstm = 2 * 4 * 256 * (n + 256 + 2) + 2 * 4 * 256 * (512 + 256 + 2)
    with torch.device("meta"):  # shapes without memory
        whole = build((3, 224, 224), 7, backbone=backbone, pretrained="none")
        only = build((3, 224, 224), 7, backbone=backbone, pretrained="none", use_attention=False, use_bilstm=False)
    assert count(whole) == features + attention + bilstm + 512 * 7 + 7
    assert count(only) == features + n * 7 + 7


def test_test_time_augmentation_averages_the_probabilities_of_an_image_and_its_mirror_image():
    plain, augmented = (small(backbone="resnet10", use_bilstm=False, tta_views=views).eval() for views in (1, 2))
    x, maps = torch.rand(5, *SHAPE), []
    augmented.feature_map_layer().register_forward_hook(lambda *args: maps.append(args[-1]))
    torch.testing.assert_close(augmented(x).softmax(1), (plain(x).softmax(1) + plain(x.flip(3)).softmax(1)) / 2)
    assert not torch.allclose(plain(x), plain(x.flip(3)), atol=1e-4)
    torch.testing.assert_close(maps[1], plain.attention(plain.backbone(x)))  # Grad-CAM explains the image itself


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("total_stride", "side"), [(32, 2), (16, 4), (8, 8)])
def test_total_stride_sets_the_size_of_the_feature_map(backbone: str, total_stride: int, side: int):
    model = build(SHAPE, 7, backbone=backbone, pretrained="none", total_stride=total_stride).eval()
    assert model.backbone(torch.rand(1, *SHAPE)).shape == (1, BACKBONES[backbone][0], side, side)


def test_parts_can_be_off_and_have_their_options():
    assert small(use_attention=False).spatial_attention(torch.rand(1, *SHAPE)) is None
    assert not any(isinstance(layer, nn.LSTM) for layer in small(use_bilstm=False).modules())
    lstm = small(lstm_hidden=5, lstm_layers=3, dropout=0.2).lstm
    assert (lstm.hidden_size, lstm.num_layers, lstm.bidirectional, lstm.dropout) == (5, 3, True, 0.2)
    assert small(lstm_layers=1).lstm.dropout == 0


def test_backbone_alone_equals_torchvisions_model():
    model = small(use_attention=False, use_bilstm=False).eval()
    reference = get_model("resnet18", weights=None, num_classes=7).eval()
    state = {name.removeprefix("backbone."): value for name, value in model.state_dict().items()}
    state |= {f"fc.{name}": state.pop(f"head.1.{name}") for name in ("weight", "bias")}
    reference.load_state_dict(state)
    x = torch.rand(2, *SHAPE)
    torch.testing.assert_close(model(x), reference(x))


def test_channel_attention_by_hand():
    layer = ChannelAttention(2, 16)  # at least one hidden unit
    first, _, last = layer.mlp
    for weight, values in ((first.weight, [[1.0, 2.0]]), (first.bias, [0.5]), (last.weight, [[1.0], [-1.0]])):
        weight.data = torch.tensor(values)
    last.bias.data = torch.tensor([0.0, 0.25])
    x = torch.tensor([[[[1.0, 3.0]], [[0.0, 2.0]]]])  # means 2 and 1, maxima 3 and 2
    # Hidden units: 2 + 2 + 0.5 = 4.5 and 3 + 4 + 0.5 = 7.5, sum 12.
    weight = torch.tensor([12.0, -12.0 + 0.5]).sigmoid()
    torch.testing.assert_close(layer(x), x * weight[None, :, None, None])


def test_spatial_attention_by_hand():
    layer = SpatialAttention(3)
    layer.convolution.weight.data.zero_()
    layer.convolution.weight.data[0, :, 1, 1] = torch.tensor([1.0, 10.0])  # reads only its own place
    layer.convolution.bias.data.fill_(-1.0)
    x = torch.tensor([[[[0.1, -0.2]], [[0.3, 0.0]]]])  # means 0.2 and -0.1, maxima 0.3 and 0
    expected = torch.tensor([[[[0.2 + 3.0 - 1.0, -0.1 - 1.0]]]]).sigmoid()
    torch.testing.assert_close(layer.weights(x), expected)
    torch.testing.assert_close(layer(x), x * expected)


def test_bilstm_reads_the_map_row_by_row():
    model = small(use_attention=False, lstm_layers=1).eval()
    y = model.backbone(torch.rand(2, *SHAPE))  # (2, 512, 2, 2)
    sequence = torch.stack([y[:, :, 0, 0], y[:, :, 0, 1], y[:, :, 1, 0], y[:, :, 1, 1]], dim=1)
    model.backbone = nn.Identity()
    torch.testing.assert_close(model(y), model.head(model.lstm(sequence)[0].sum(1) / 4))


def test_spatial_attention_has_the_size_of_the_feature_map():
    model = small(total_stride=16).eval()
    x = torch.rand(3, *SHAPE)
    weights = model.spatial_attention(x)
    assert weights.shape == (3, 4, 4)
    assert weights.min() > 0
    assert weights.max() < 1
    expected = model.attention.channel(model.backbone(x)) * weights[:, None]
    torch.testing.assert_close(model.feature_map_layer()(model.backbone(x)), expected)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((1, 48, 48), {}, "allowed: a feature with color: rgb"),
        (SHAPE, {"backbone": "resnet10", "pretrained": "imagenet"}, "allowed with backbone resnet10: none"),
    ],
)
def test_invalid_options(shape: tuple[int, ...], options: dict, words: str):
    with pytest.raises(ValueError, match=words):
        build(shape, 7, **{"backbone": "resnet18", "pretrained": "none"} | options)


# ---- pretrained weights ----------------------------------------------------------------------------------------------


def torchvision_weights(backbone: str = "resnet18", n_classes: int = 1000) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    return get_model(backbone, weights=None, num_classes=n_classes).state_dict()


def loading_error(pretrained: str, backbone: str = "resnet18") -> str:
    model = small(backbone=backbone, pretrained=pretrained)
    with pytest.raises(UserError) as caught:
        model.load_pretrained()
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.pt"])
@pytest.mark.parametrize("n_classes", [1000, 8])
def test_weights_are_read_from_a_file_without_their_head(tmp_path: Path, name: str, n_classes: int):
    state, path = torchvision_weights(n_classes=n_classes), tmp_path / name
    save_file(state, path) if name.endswith("safetensors") else torch.save(state, path)
    model = small(pretrained=str(path))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_pretrained()
    for key, value in model.state_dict().items():
        expected = state[key.removeprefix("backbone.")] if key.startswith("backbone.") else before[key]
        assert torch.equal(value, expected), key


def test_weights_are_not_read_by_build_and_none_keeps_the_random_ones(tmp_path: Path):
    model = small(pretrained=str(tmp_path / "missing.pth"))  # as when a trained model is loaded on another machine
    other = small()
    other.load_pretrained()
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(("saved", "backbone"), [("resnet50", "resnet18"), ("resnet18", "efficientnet_b4")])
def test_weights_of_another_backbone(tmp_path: Path, saved: str, backbone: str):
    save_file(torchvision_weights(saved), tmp_path / "weights.safetensors")
    line = loading_error(str(tmp_path / "weights.safetensors"), backbone)
    assert f"allowed: a state dict of torchvision's {backbone}" in line
    assert "tensors do not match" in line
    assert str(tmp_path) in line


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("executed",)


def test_files_without_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("text.pth").write_text("hello")
    Path("text.safetensors").write_text("hello")
    Path("empty.pth").write_bytes(b"")
    Path("malicious.pth").write_bytes(pickle.dumps(Malicious()))
    torch.save(Malicious(), "malicious.pt")
    torch.save({"epoch": 3, "state_dict": {}}, "checkpoint.pt")
    torch.save([torch.zeros(1)], "list.pt")
    for name in ("text.pth", "text.safetensors", "empty.pth", "malicious.pth", "malicious.pt", "."):
        assert f"pretrained: {name}: not weights" in loading_error(name)
    for name in ("checkpoint.pt", "list.pt"):
        assert "not only weights" in loading_error(name)
    assert "no such file; allowed: imagenet, none, or the path" in loading_error("missing.pth")
    assert not Path("executed").exists()


@pytest.mark.parametrize(
    "error",
    [urllib.error.URLError("Name or service not known"), TimeoutError("timed out"), RuntimeError("invalid hash value")],
)
def test_a_failed_download_is_a_one_line_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    assert "https://download.pytorch.org/models/resnet18-f37072fd.pth" in loading_error("imagenet")


def test_downloaded_weights_are_read_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    state, cached = torchvision_weights(), tmp_path / "hub/checkpoints/resnet18-f37072fd.pth"
    cached.parent.mkdir(parents=True)
    torch.save(state, cached)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = small(pretrained="imagenet")
    model.load_pretrained()
    assert torch.equal(model.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
