"""The learnt bases, drawn where a network has any."""

import numpy as np
import pytest
import torch
from PIL import Image

from stages.evaluation.basis_picture import draw_bases
from stages.evaluation.canvas import Caption

CAPTION = Caption("speech_adafnn", "synthetic", "speaker-disjoint (fold 0 of 6)", 40, True)


class Network:
    def __init__(self, count):
        self.count = count

    def bases(self, n_points):
        times = torch.linspace(0, 1, n_points)
        curves = [torch.sin(np.pi * (k + 1) * times) for k in range(self.count)]
        return (times, torch.stack(curves, dim=1)) if curves else None


@pytest.mark.parametrize("count", [1, 4, 12])
def test_drawn(tmp_path, count):
    draw_bases(tmp_path / "bases.png", CAPTION, Network(count))
    with Image.open(tmp_path / "bases.png") as image:
        image.load()
        assert len(image.convert("RGB").getcolors(1 << 16)) > 5


@pytest.mark.parametrize("network", [Network(0), torch.nn.Linear(2, 2)])
def test_a_network_without_bases_leaves_no_picture_of_an_earlier_one(tmp_path, network):
    draw_bases(tmp_path / "bases.png", CAPTION, Network(2))
    draw_bases(tmp_path / "bases.png", CAPTION, network)
    assert list(tmp_path.iterdir()) == []


def test_a_basis_of_zeros_is_drawn_as_one(tmp_path):
    class Flat(Network):
        def bases(self, n_points):
            return torch.linspace(0, 1, n_points), torch.zeros(n_points, 1)

    draw_bases(tmp_path / "bases.png", CAPTION, Flat(1))
    assert (tmp_path / "bases.png").exists()
