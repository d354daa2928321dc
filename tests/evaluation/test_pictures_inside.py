"""Pictures of what a network has learnt: bases and attention maps, which only some networks have."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from stages.evaluation.pictures import gallery
from stages.evaluation.pictures.canvas import Caption
from stages.evaluation.pictures.inside import covered, draw_attention, draw_bases, maps
from stages.evaluation.report.page import pictures_in
from stages.models.dual_attention import build

CAPTION = Caption("portraits_cnn_attention", "synthetic", "official (test = test)", 40, True)
CLASSES = ["angry", "happy", "sad"]
ORIGIN = {"run": "a", "classes": CLASSES, "name": "synthetic", "protocol": "official", "synthetic": True}


class Network(nn.Module):
    """A convolution, attention that is stronger on the right, the mean over positions, a linear head; and bases."""

    def __init__(self, attends: bool = True, n_bases: int = 2, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attends, self.n_bases = attends, n_bases
        self.convolution = nn.Conv2d(channels, 4, 2, stride=2)
        self.head = nn.Linear(4, len(CLASSES))
        self.architecture = self  # the network is its own recogniser

    def feature_map_layer(self) -> nn.Module:
        return self.convolution

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        return (x - 0.5) / 0.25

    def spatial_attention(self, x: torch.Tensor) -> torch.Tensor | None:
        return torch.tensor([[0.25, 0.75]]).expand(len(x), 1, 2) if self.attends else None

    def bases(self, n_points: int) -> tuple[torch.Tensor, torch.Tensor] | None:
        times = torch.linspace(0, 1, n_points)
        return (times, torch.stack([torch.sin(torch.pi * k * times) for k in range(self.n_bases)], dim=1))

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(self.convolution(x).mean((2, 3)))


class Plain(nn.Module):
    architecture = nn.Linear(2, 2)


def faces(count: int, side: int = 12, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(1))


def predictions(count: int) -> dict[str, np.ndarray]:
    """Return labels, and probabilities that are correct for even numbers."""
    label = np.arange(count) % 3
    predicted = np.where(np.arange(count) % 2 == 0, label, (label + 1) % 3)
    return {"label": label, "probabilities": np.eye(3, dtype=np.float32)[predicted] * 0.7 + 0.1}


def n_colours(path: Path) -> int:
    with Image.open(path) as image:
        return len(image.convert("RGB").getcolors(1 << 16))


def test_grad_cam_equals_class_activation_map():
    """Zhou et al. 2016: Σ_k w_k A_k; Grad-CAM's weights are w_k divided by the number of positions."""
    network, x, target = Network(), faces(5), torch.tensor([0, 1, 2, 0, 1])
    features = network.convolution(x).detach()  # (5, 4, 6, 6)
    expected_map = torch.einsum("nk,nkhw->nhw", network.head.weight.detach()[target], features).relu() / 36
    expected = nn.functional.interpolate(expected_map[:, None], (12, 12), mode="bilinear")[:, 0]
    np.testing.assert_allclose(maps(network, x, target)["Grad-CAM"], expected.numpy(), atol=1e-6)


def test_maps_of_dual_attention():
    model = build((3, 64, 64), 3, backbone="resnet10", pretrained="none", total_stride=16, lstm_hidden=4).eval()
    found = maps(model, faces(2, 64), torch.tensor([0, 2]))
    assert {what: values.shape for what, values in found.items()} == dict.fromkeys(found, (2, 64, 64))
    assert 0 < found["spatial attention"].min() < found["spatial attention"].max() < 1
    assert 0 <= found["Grad-CAM"].min() < found["Grad-CAM"].max()


def test_spatial_attention_has_image_size_if_present():
    found = maps(Network(), faces(2), torch.tensor([0, 0]))
    assert list(found) == ["spatial attention", "Grad-CAM"]
    assert found["spatial attention"].shape == (2, 12, 12)
    assert found["spatial attention"][:, :, 0].max() == pytest.approx(0.25)
    assert found["spatial attention"][:, :, -1].min() == pytest.approx(0.75)
    assert list(maps(Network(attends=False), faces(2), torch.tensor([0, 0]))) == ["Grad-CAM"]


def test_correct_faces_come_first():
    test = predictions(40)
    chosen = gallery.choose(test, 7)
    correct = test["probabilities"][chosen].argmax(axis=1) == test["label"][chosen]
    assert correct.tolist() == [True] * gallery.N_FACES + [False] * gallery.N_FACES
    assert len(set(chosen.tolist())) == 2 * gallery.N_FACES
    assert gallery.choose(test, 7).tolist() == chosen.tolist() != gallery.choose(test, 8).tolist()
    assert len(gallery.choose(predictions(1), 7)) == 1  # one correct sample


def test_map_covers_face_from_blue_to_yellow():
    face = np.full((4, 4, 3), 0.5)
    assert np.ptp(covered(face, np.zeros((4, 4))), axis=(0, 1)).max() == 0  # a constant map
    ramp = covered(face, np.arange(16.0).reshape(4, 4))
    assert ramp[-1, -1, 0] > ramp[0, 0, 0]
    assert 0 <= ramp.min() < ramp.max() <= 1


@pytest.mark.parametrize(("count", "channels", "attends"), [(1, 3, True), (8, 1, False)])
def test_attention_picture_is_small_and_reproducible(tmp_path: Path, count: int, channels: int, attends: bool):
    path, x = tmp_path / "attention.png", faces(count, 48, channels)
    draw_attention(path, CAPTION, Network(attends, channels=channels), x, predictions(count), CLASSES)
    assert n_colours(path) > 50
    assert path.stat().st_size < 150_000
    before = path.read_bytes()
    draw_attention(path, CAPTION, Network(attends, channels=channels), x, predictions(count), CLASSES)
    assert path.read_bytes() == before


@pytest.mark.parametrize("count", [1, 12])  # the first basis is zero everywhere
def test_bases_picture_has_many_colours(tmp_path: Path, count: int):
    draw_bases(tmp_path / "bases.png", CAPTION, Network(n_bases=count))
    assert n_colours(tmp_path / "bases.png") > 5


def test_available_pictures_are_drawn_reported_and_deleted_if_outdated(tmp_path: Path):
    """The folder always exists, and the report shows what is in it."""
    test, indices = predictions(3), np.arange(3)
    (tmp_path / "roc.png").write_bytes(b"roc")
    for recogniser, names in ((Network(), ["attention.png", "bases.png"]), (Plain(), [])):
        gallery.draw_inside(tmp_path, test, ORIGIN, recogniser, indices, faces(3))
        listed = json.loads((tmp_path / "inside" / "pictures.json").read_text())["pictures"]
        assert listed == names
        assert sorted(path.name for path in (tmp_path / "inside").iterdir()) == [*names, "pictures.json"]
        assert sorted(pictures_in(tmp_path)) == [*names, "roc.png"]
