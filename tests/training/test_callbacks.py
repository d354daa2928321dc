"""The moving average of weights, against what is worked out by hand."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from stages.models import compact_resnet
from stages.training.callbacks import WeightAverage


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


def stepped(decay: float, values: list[float]) -> tuple[WeightAverage, Weights, Callable[[str], None]]:
    """The callback after steps that left the weight at each of `values`, and a way to call its other hooks."""
    weights = Weights()
    module = SimpleNamespace(device=torch.device("cpu"), recogniser=SimpleNamespace(architecture=weights))
    average = WeightAverage(decay, weights)
    for value in values:
        weights.put(value)
        average.on_train_batch_end(None, module, None, None, 0)
    return average, weights, lambda hook: getattr(average, hook)(None, module)


def test_the_average_by_hand():
    # begins at the first; then decays 2/11, 3/12 and, no longer 4/13, the 0.3 that is asked for
    second = 1 * 2 / 11 + 2 * 9 / 11
    third = second * 3 / 12 + 5 * 9 / 12
    fourth = third * 0.3 + 3 * 0.7
    for values, expected in (([1], 1), ([1, 2], second), ([1, 2, 5], third), ([1, 2, 5, 3], fourth)):
        average, _, _ = stepped(0.3, values)
        assert average.average.module.weight[0].item() == pytest.approx(expected)
        assert average.average.module.statistic[0].item() == pytest.approx(-expected)
        assert average.average.module.n_batches.item() == len(values)


def test_the_teacher_is_the_average_asked_once():
    """Of a network that answers by ten views; dropout off, no gradient. The network itself keeps its views."""
    torch.manual_seed(0)
    network = compact_resnet.build((1, 16, 16), 3, widths=[4], blocks=1, stem=4, dropout=0.5, views=10)
    average = WeightAverage(0.5, network)
    module = SimpleNamespace(device=torch.device("cpu"), recogniser=SimpleNamespace(architecture=network))
    average.on_fit_start(None, module)
    average.on_train_batch_end(None, module, None, None, 0)
    x = torch.randn(5, 1, 16, 16)
    found = module.teacher(x, None)
    once = compact_resnet.build((1, 16, 16), 3, widths=[4], blocks=1, stem=4, dropout=0.5)
    once.load_state_dict(network.state_dict())
    torch.testing.assert_close(found, once.eval()(x).softmax(1).detach())
    assert not found.requires_grad
    assert (network.views, network.training) == (10, True)


def test_it_takes_the_weights_place_while_they_are_validated():
    _, weights, call = stepped(0.0, [1.0])
    weights.put(8.0)
    call("on_validation_start")
    assert weights.seen() == (1.0, -1.0, 1)
    call("on_validation_end")
    assert weights.seen() == (8.0, -8.0, 2)


def test_it_takes_the_weights_place_when_training_ends():
    average, weights, call = stepped(0.9, [1.0, 2.0])
    expected = average.average.module.weight[0].item()
    call("on_fit_end")
    assert weights.seen() == (expected, pytest.approx(-expected), 2)


def test_the_architecture_itself_is_not_touched_by_a_step():
    _, weights, _ = stepped(0.5, [1.0, 4.0])
    assert weights.seen() == (4.0, -4.0, 2)


def test_state_survives():
    average, *_ = stepped(0.9, [1.0, 2.0])
    resumed, _, _ = stepped(0.9, [])
    resumed.load_state_dict(average.state_dict())
    for one in (average, resumed):
        one.average.update_parameters(stepped(0.9, [7.0])[1])
    assert torch.equal(average.average.module.weight, resumed.average.module.weight)
    assert resumed.average.n_averaged.item() == 3
