"""FLOPs against hand-computed numbers."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from stages.evaluation.cost import flops


class IgnoresLength(nn.Module):
    """Takes `length` and does not pass it on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, length: torch.Tensor | None) -> torch.Tensor:
        return self.network(x)


def test_convolution_and_linear_layers():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 5))
    assert flops(IgnoresLength(network), torch.rand(1, 3, 8, 8)) == 2 * (8 * 8 * 8 * 3 * 9 + 128 * 5)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("training", [False, True])
def test_lstm(directions: int, training: bool):
    """Four gates of 20 units, from 10 inputs and 20 states; the second layer reads the first."""
    lstm = nn.LSTM(10, 20, 2, batch_first=True, bidirectional=directions == 2).train(training)
    expected = 2 * 7 * directions * (4 * 20 * (10 + 20) + 4 * 20 * (20 * directions + 20))
    assert flops(IgnoresLength(lstm), torch.rand(1, 7, 10)) == expected


def test_published_network():
    """torchvision's documentation: ResNet-18 has 1.81 GFLOPs at 224x224, counting multiply-add as one."""
    assert flops(IgnoresLength(resnet18()).eval(), torch.rand(1, 3, 224, 224)) / 2e9 == pytest.approx(1.81, abs=0.01)
