"""Where a network looks, drawn where it can tell; Grad-CAM against the class activation maps it equals."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from stages.evaluation.attention_picture import covered, draw_attention, maps
from stages.evaluation.canvas import Caption
from stages.evaluation.gallery import FACES, choose
from stages.models import compact_resnet
from stages.models.dual_attention import build
from stages.training.recogniser import Recogniser

CAPTION = Caption("portraits_cnn_attention", "synthetic", "official (test = test)", 40, True)
CLASSES = ["angry", "happy", "sad"]


class Network(nn.Module):
    """A convolution, attention that is twice as much on the right, the mean over places, a linear head."""

    def __init__(self, attends: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attends = attends
        self.convolution = nn.Conv2d(3, 4, 2, stride=2)
        self.head = nn.Linear(4, len(CLASSES))
        self.architecture = self  # stands for the recogniser too

    def feature_map_layer(self) -> nn.Module:
        return self.convolution

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        return (x - 0.5) / 0.25

    def spatial_attention(self, x: torch.Tensor) -> torch.Tensor | None:
        return torch.tensor([[0.25, 0.75]]).expand(len(x), 1, 2) if self.attends else None

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(self.convolution(x).mean((2, 3)))


def faces(count: int = 5, side: int = 12) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def said(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that are right on even numbers."""
    label = np.arange(count) % 3
    guess = np.where(np.arange(count) % 2 == 0, label, (label + 1) % 3)
    return label, np.eye(3, dtype=np.float32)[guess] * 0.7 + 0.1


def test_grad_cam_is_the_class_activation_map_of_a_mean_and_a_head():
    """Zhou et al. 2016: Σ_k w_k A_k; Grad-CAM's weights are its w_k over the places."""
    network, x, target = Network(), faces(), torch.tensor([0, 1, 2, 0, 1])
    found = maps(network, x, target)["Grad-CAM"]
    features = network.convolution(x).detach()  # (5, 4, 6, 6)
    by_hand = torch.einsum("nk,nkhw->nhw", network.head.weight.detach()[target], features).relu() / 36
    size = (12, 12)
    expected = nn.functional.interpolate(by_hand[:, None], size, mode="bilinear")[:, 0]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_of_the_portraits_model_with_all_its_parts():
    model = build((3, 64, 64), 3, backbone="resnet18", total_stride=16, lstm_hidden=4).eval()
    found = maps(model, faces(2, 64), torch.tensor([0, 2]))
    assert {what: values.shape for what, values in found.items()} == dict.fromkeys(found, (2, 64, 64))
    assert 0 < found["spatial attention"].min() < found["spatial attention"].max() < 1
    assert found["Grad-CAM"].min() >= 0
    assert found["Grad-CAM"].max() > 0


def test_spatial_attention_comes_at_the_size_of_the_image_or_not_at_all():
    found = maps(Network(), faces(2), torch.tensor([0, 0]))
    assert list(found) == ["spatial attention", "Grad-CAM"]
    assert found["spatial attention"].shape == (2, 12, 12)
    assert found["spatial attention"][:, :, 0].max() == pytest.approx(0.25)
    assert found["spatial attention"][:, :, -1].min() == pytest.approx(0.75)
    assert list(maps(Network(attends=False), faces(2), torch.tensor([0, 0]))) == ["Grad-CAM"]


def test_gray_faces_of_a_network_that_attends_to_nothing(tmp_path: Path):
    """Such as compact_resnet: it tells its feature map alone."""
    architecture = compact_resnet.build((1, 16, 16), 3, widths=[4], blocks=1, stem=4).eval()
    recogniser = Recogniser(architecture, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 1 / 255, 0.0)
    draw_attention(tmp_path / "attention.png", CAPTION, recogniser, faces(4, 16)[:, :1], *said(4), CLASSES)
    picture = np.asarray(Image.open(tmp_path / "attention.png").convert("RGB"))
    assert picture.std() > 10


def test_faces_named_right_come_before_those_named_wrong():
    labels, probabilities = said(40)
    chosen = choose(labels, probabilities, 7)
    right = probabilities[chosen].argmax(axis=1) == labels[chosen]
    assert right.tolist() == [True] * FACES + [False] * FACES
    assert len(set(chosen.tolist())) == 2 * FACES
    assert choose(labels, probabilities, 7).tolist() == chosen.tolist() != choose(labels, probabilities, 8).tolist()
    assert len(choose(labels[:1], probabilities[:1], 7)) == 1  # one sample, named right


def test_a_map_of_one_value_covers_evenly():
    face = np.full((4, 4, 3), 0.5)
    found = covered(face, np.zeros((4, 4)))
    assert found.shape == face.shape
    assert np.ptp(found, axis=(0, 1)).max() == 0
    ramp = covered(face, np.arange(16.0).reshape(4, 4))
    assert ramp[-1, -1, 0] > ramp[0, 0, 0]  # yellow against blue
    assert ramp.min() >= 0
    assert ramp.max() <= 1


@pytest.mark.parametrize("attends", [True, False])
@pytest.mark.parametrize("count", [1, 8])
def test_drawn(tmp_path: Path, count: int, attends: bool):
    path = tmp_path / "attention.png"
    draw_attention(path, CAPTION, Network(attends), faces(count, 48), *said(count), CLASSES)
    with Image.open(path) as image:
        image.load()
        assert len(image.convert("RGB").getcolors(1 << 16)) > 50
    assert path.stat().st_size < 150_000
    again = path.read_bytes()
    draw_attention(path, CAPTION, Network(attends), faces(count, 48), *said(count), CLASSES)
    assert path.read_bytes() == again


class Plain(nn.Module):
    architecture = nn.Linear(2, 2)


def test_a_network_that_cannot_tell_leaves_no_picture_of_an_earlier_one(tmp_path: Path):
    path = tmp_path / "attention.png"
    draw_attention(path, CAPTION, Network(), faces(3), *said(3), CLASSES)
    draw_attention(path, CAPTION, Plain(), faces(3), *said(3), CLASSES)
    assert list(tmp_path.iterdir()) == []
