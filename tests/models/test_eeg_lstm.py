"""The LSTM against PyTorch's own, packed where it uses the length, padded where it does not."""

from itertools import product

import pytest
import torch
from torch import nn

from stages.models.eeg_lstm import build

SHAPE = (25, 6)
LENGTH = torch.tensor([25, 1, 13, 24, 2])
KINDS = list(product((1, 3), (False, True)))  # layers, bidirectional


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"hidden": 5, "dropout": 0.0, **options})


def theirs(model: nn.Module, layers: int, bidirectional: bool) -> nn.LSTM:
    """PyTorch's, with the weights of ours."""
    lstm = nn.LSTM(6, 5, layers, bidirectional=bidirectional, batch_first=True)
    for suffix, ours in (("", model.recurrent.onward), ("_reverse", model.recurrent.back)):
        for i, layer in enumerate(ours):
            for key, value in layer.named_parameters():
                getattr(lstm, key.replace("l0", f"l{i}{suffix}")).data.copy_(value.data)
    return lstm


def last_states(lstm: nn.LSTM, x: torch.Tensor | nn.utils.rnn.PackedSequence) -> torch.Tensor:
    """(B, directions · hidden) of the last layer."""
    states = lstm(x)[1][0]  # (layers · directions, B, hidden)
    return torch.cat(list(states[-2:] if lstm.bidirectional else states[-1:]), dim=1)


@pytest.mark.parametrize(("layers", "bidirectional"), KINDS)
def test_with_length_as_packed_sequences(layers: int, bidirectional: bool):
    model, x = small(layers=layers, bidirectional=bidirectional, use_length=True), torch.randn(5, *SHAPE)
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTH, batch_first=True, enforce_sorted=False)
    expected = model.classifier(last_states(theirs(model, layers, bidirectional), packed))
    torch.testing.assert_close(model(x, LENGTH), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("layers", "bidirectional"), KINDS)
def test_without_length_as_padded_sequences(layers: int, bidirectional: bool):
    model, x = small(layers=layers, bidirectional=bidirectional), torch.randn(5, *SHAPE)
    expected = model.classifier(last_states(theirs(model, layers, bidirectional), x))
    torch.testing.assert_close(model(x, LENGTH), expected, atol=1e-6, rtol=1e-5)


def test_sizes_by_hand():
    gates = 4 * 64 * (310 + 64 + 2)  # input, state, two biases
    assert sum(weight.numel() for weight in build((74, 310), 5).parameters()) == gates + 64 * 5 + 5 == 96_581
    both = sum(weight.numel() for weight in build((74, 310), 5, bidirectional=True).parameters())
    assert both == 2 * gates + 128 * 5 + 5


def test_dropout_between_layers_and_before_the_classifier():
    model = small(layers=3, dropout=0.3)
    assert [part.p for part in model.modules() if isinstance(part, nn.Dropout)] == [0.3, 0.3]
    x, seen = torch.randn(5, *SHAPE), []
    model.recurrent.dropout.register_forward_hook(lambda *_: seen.append(1))
    model(x)
    assert len(seen) == 2
