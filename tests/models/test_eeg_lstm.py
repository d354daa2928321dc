"""The LSTM against PyTorch's on packed sequences, and its options."""

from itertools import product

import pytest
import torch
from torch import nn

from stages.models import adafnn, eeg_lstm
from stages.models.eeg_lstm import build

SHAPE = (25, 6)
LENGTH = torch.tensor([25, 1, 13, 24, 2])


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"hidden": 5, "dropout": 0.0, **options})


@pytest.mark.parametrize("module", [adafnn, eeg_lstm])  # which have the same class, to be readable alone
@pytest.mark.parametrize(("layers", "bidirectional"), list(product((1, 3), (False, True))))
def test_states_equal_those_of_pytorchs_lstm_on_packed_sequences(module, layers: int, bidirectional: bool):
    ours, x = module.Recurrent(6, 5, layers, bidirectional, 0.0), torch.randn(5, *SHAPE)
    theirs = nn.LSTM(6, 5, layers, bidirectional=bidirectional, batch_first=True)
    for suffix, direction in (("", ours.onward), ("_reverse", ours.back)):
        for i, layer in enumerate(direction):
            for key, value in layer.named_parameters():
                getattr(theirs, key.replace("l0", f"l{i}{suffix}")).data.copy_(value.data)
    packed = nn.utils.rnn.pack_padded_sequence(x, LENGTH, batch_first=True, enforce_sorted=False)
    last = theirs(packed)[1][0][-2 if bidirectional else -1 :]  # (directions, B, hidden)
    expected = torch.cat(list(last), dim=1)
    torch.testing.assert_close(ours(x, torch.arange(25) < LENGTH[:, None]), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("use_length", [True, False])
def test_logits_are_those_of_the_last_true_or_the_last_window(use_length: bool):
    model, x = small(use_length=use_length), torch.randn(5, *SHAPE)
    length = LENGTH if use_length else torch.full((5,), 25)
    states = model.recurrent(x, torch.arange(25) < length[:, None])
    torch.testing.assert_close(model(x, LENGTH), model.classifier(states), atol=1e-6, rtol=1e-5)


def test_sizes_by_hand():
    gates = 4 * 64 * (310 + 64 + 2)  # inputs, states and two biases
    assert sum(weight.numel() for weight in build((74, 310), 5).parameters()) == gates + 64 * 5 + 5 == 96_581
    both = sum(weight.numel() for weight in build((74, 310), 5, bidirectional=True).parameters())
    assert both == 2 * gates + 128 * 5 + 5
