"""The exponential moving average of weights, against what is worked out by hand."""

import pytest
import torch
from torch import nn

from stages.training.ema import Ema


class Weights(nn.Module):
    """One weight, one statistic and one count, as a normalisation has them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("statistic", torch.zeros(2))
        self.register_buffer("n_batches", torch.tensor(0))

    def put(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
            self.statistic.fill_(-value)
            self.n_batches += 1

    def seen(self) -> tuple[float, float, int]:
        return self.weight[0].item(), self.statistic[1].item(), self.n_batches.item()


def stepped(decay: float, values: list[float]) -> tuple[Ema, Weights]:
    """The average after steps that left the weight at each of `values`."""
    weights = Weights()
    average = Ema(weights, decay)
    for value in values:
        weights.put(value)
        average.update_parameters(weights)
    return average, weights


def test_the_average_by_hand():
    # begins at the first; then decays 2/11, 3/12 and, no longer 4/13, the 0.3 that is asked for
    second = 1 * 2 / 11 + 2 * 9 / 11
    third = second * 3 / 12 + 5 * 9 / 12
    fourth = third * 0.3 + 3 * 0.7
    for values, expected in (([1], 1), ([1, 2], second), ([1, 2, 5], third), ([1, 2, 5, 3], fourth)):
        average, _ = stepped(0.3, values)
        assert average.module.weight[0].item() == pytest.approx(expected)
        assert average.module.statistic[0].item() == pytest.approx(-expected)
        assert average.module.n_batches.item() == len(values)


def test_it_takes_the_weights_place_inside_the_block_alone():
    average, weights = stepped(0.0, [1.0])
    weights.put(8.0)
    with average.in_place_of(weights):
        assert weights.seen() == (1.0, -1.0, 1)
    assert weights.seen() == (8.0, -8.0, 2)
    assert average.module.seen() == (1.0, -1.0, 1)


def test_the_network_itself_is_not_touched_by_a_step():
    _, weights = stepped(0.5, [1.0, 4.0])
    assert weights.seen() == (4.0, -4.0, 2)


def test_state_survives():
    average, _ = stepped(0.9, [1.0, 2.0])
    resumed, _ = stepped(0.9, [])
    resumed.load_state_dict(average.state_dict())
    for one in (average, resumed):
        one.update_parameters(stepped(0.9, [7.0])[1])
    assert torch.equal(average.module.weight, resumed.module.weight)
    assert resumed.n_averaged.item() == 3
