"""The folder `inside`: always there, never of an earlier network, and shown by the report."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.evaluation import figures, gallery
from stages.evaluation.report import pictures_in

CLASSES = ["angry", "happy", "sad"]
TOLD = {"run": "a", "classes": CLASSES, "name": "synthetic", "protocol": "official", "synthetic": True}
LISTED = "pictures.json"


class Adaptive(nn.Module):
    """Has learnt bases, and a feature map to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.head = nn.Conv2d(1, 2, 2, stride=2), nn.Linear(2, 3)

    def bases(self, n_points: int) -> tuple[torch.Tensor, torch.Tensor]:
        times = torch.linspace(0, 1, n_points)
        return times, torch.stack([times, 1 - times], dim=1)

    def feature_map_layer(self) -> nn.Module:
        return self.convolution

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(self.convolution(x).mean((2, 3)))


class Recogniser(nn.Module):
    def __init__(self, architecture: nn.Module) -> None:
        super().__init__()
        self.architecture = architecture

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        return x


def look_inside(folder: Path, architecture: nn.Module) -> list[str]:
    labels, probabilities = np.array([0, 1, 2]), np.eye(3, dtype=np.float32)
    judged = gallery.Judged(labels, probabilities, figures.compute(labels, probabilities, {}, CLASSES, 7))
    gallery.look_inside(folder, TOLD, judged, Recogniser(architecture), np.arange(3), torch.rand(3, 1, 8, 8))
    found = sorted(path.name for path in (folder / "inside").iterdir())
    listed = json.loads((folder / "inside" / LISTED).read_text())["pictures"]
    assert [*listed, LISTED] == found
    return found


def test_what_a_network_has_is_drawn_and_reported(tmp_path: Path):
    assert look_inside(tmp_path, Adaptive()) == ["attention.png", "bases.png", LISTED]
    (tmp_path / "roc.png").write_bytes(b"roc")
    assert sorted(pictures_in(tmp_path)) == ["attention.png", "bases.png", "roc.png"]


def test_a_network_with_nothing_to_show_leaves_a_folder_that_says_so(tmp_path: Path):
    assert look_inside(tmp_path, nn.Linear(2, 2)) == [LISTED]
    assert pictures_in(tmp_path) == {}


def test_nothing_is_left_of_an_earlier_network(tmp_path: Path):
    look_inside(tmp_path, Adaptive())
    assert look_inside(tmp_path, nn.Linear(2, 2)) == [LISTED]
