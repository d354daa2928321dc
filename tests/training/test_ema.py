"""The exponential moving average of weights, against values computed by hand."""

import pytest
import torch
from torch import nn

from stages.training.ema import Ema


class Weights(nn.Module):
    """One weight, one statistic and one count, as in a normalisation layer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("statistic", torch.zeros(2))
        self.register_buffer("n_batches", torch.tensor(0))

    def step(self, value: float) -> None:
        with torch.no_grad():
            self.weight.fill_(value)
            self.statistic.fill_(-value)
            self.n_batches += 1

    def values(self) -> tuple[float, float, int]:
        return self.weight[0].item(), self.statistic[1].item(), self.n_batches.item()


def averaged(decay: float, values: list[float]) -> tuple[Ema, Weights]:
    """Return the average after steps that set the weight to each of `values`, and the weights."""
    weights = Weights()
    ema = Ema(weights, decay)
    for value in values:
        weights.step(value)
        ema.update_parameters(weights)
    return ema, weights


def test_average_by_hand():
    # It starts with the first value; the decays are 2/11, 3/12 and 0.3, which is below 4/13.
    second = 1 * 2 / 11 + 2 * 9 / 11
    third = second * 3 / 12 + 5 * 9 / 12
    fourth = third * 0.3 + 3 * 0.7
    for values, expected in (([1], 1), ([1, 2], second), ([1, 2, 5], third), ([1, 2, 5, 3], fourth)):
        ema, weights = averaged(0.3, values)
        assert ema.module.values() == pytest.approx((expected, -expected, len(values)))
        assert weights.values() == (values[-1], -values[-1], len(values))


def test_averaged_weights_are_applied_inside_the_block_only():
    ema, weights = averaged(0.0, [1.0])
    weights.step(8.0)
    with ema.applied_to(weights):
        assert weights.values() == (1.0, -1.0, 1)
    assert weights.values() == (8.0, -8.0, 2)
    assert ema.module.values() == (1.0, -1.0, 1)


def test_state_is_restored():
    ema, _ = averaged(0.9, [1.0, 2.0])
    resumed, _ = averaged(0.9, [])
    resumed.load_state_dict(ema.state_dict())
    for one in (ema, resumed):
        one.update_parameters(averaged(0.9, [7.0])[1])
    assert torch.equal(ema.module.weight, resumed.module.weight)
    assert resumed.n_averaged.item() == 3
