"""Operations by hand."""

import pytest
import torch
from torch import nn

from stages.evaluation.cost import flops


class Timed(nn.Module):
    """Takes `length` and lets its network go without."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, length: torch.Tensor | None) -> torch.Tensor:
        return self.network(x)


def test_layers_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 5))
    assert flops(Timed(network), torch.rand(1, 3, 8, 8)) == 2 * (8 * 8 * 8 * 3 * 9 + 128 * 5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_lstm_by_hand(bidirectional: bool, training: bool):
    """Four gates of 20, each from 10 inputs and 20 states; the second layer reads the first."""
    lstm = nn.LSTM(10, 20, 2, batch_first=True, bidirectional=bidirectional).train(training)
    directions = 2 if bidirectional else 1
    by_hand = 2 * 7 * directions * (4 * 20 * (10 + 20) + 4 * 20 * (20 * directions + 20))
    assert flops(Timed(lstm), torch.rand(1, 7, 10)) == by_hand


def test_a_published_network():
    """torchvision's documentation: ResNet-18 takes 1.81 GFLOPs at 224x224, a product and its sum counted as one."""
    from torchvision.models import resnet18

    assert flops(Timed(resnet18()).eval(), torch.rand(1, 3, 224, 224)) / 2e9 == pytest.approx(1.81, abs=0.01)
