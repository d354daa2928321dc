"""The Transformer against a NumPy computation of single unpadded trials, and its options."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from stages.models import adafnn, eeg_transformer
from stages.models.eeg_transformer import build, positions

SHAPE = (25, 6)
LENGTH = torch.tensor([25, 1, 13, 24, 2])


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"width": 8, "heads": 2, "feedforward": 10, "dropout": 0.0, "use_length": True, **options})


def normalised(y: np.ndarray) -> np.ndarray:
    """Return the layer normalisation with its initial gain 1 and shift 0."""
    return (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)


def by_hand(model: nn.Module, trial: np.ndarray) -> np.ndarray:
    """Return the logits of one trial (length, F)."""
    values = {key: value.detach().double().numpy() for key, value in model.named_parameters()}
    y = trial @ values["project.weight"].T + values["project.bias"] + positions(len(trial), 8).double().numpy()
    for i in range(len(model.encoder.layers)):
        layer = {key.split(f"layers.{i}.")[1]: value for key, value in values.items() if f"layers.{i}." in key}
        qkv = normalised(y) @ layer["self_attn.in_proj_weight"].T + layer["self_attn.in_proj_bias"]
        heads = []
        for head in range(2):
            q, k, v = (qkv[:, part * 8 + head * 4 : part * 8 + head * 4 + 4] for part in range(3))
            scores = np.exp(q @ k.T / math.sqrt(4))
            heads.append(scores / scores.sum(1, keepdims=True) @ v)
        y = y + np.hstack(heads) @ layer["self_attn.out_proj.weight"].T + layer["self_attn.out_proj.bias"]
        inner = normalised(y) @ layer["linear1.weight"].T + layer["linear1.bias"]
        y = y + inner / (1 + np.exp(-inner)) @ layer["linear2.weight"].T + layer["linear2.bias"]
    return normalised(y).mean(0) @ values["classifier.1.weight"].T + values["classifier.1.bias"]


@pytest.mark.parametrize("use_length", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_logits_equal_numpys_of_single_trials(layers: int, use_length: bool):
    model, x = small(layers=layers, use_length=use_length), torch.randn(5, *SHAPE)
    lengths = LENGTH.tolist() if use_length else [25] * 5
    expected = np.stack([by_hand(model, x[i, :n].double().numpy()) for i, n in enumerate(lengths)])
    np.testing.assert_allclose(model(x, LENGTH).detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("module", [adafnn, eeg_transformer])  # which have the same function, to be readable alone
def test_positions_by_hand(module):
    table = module.positions(4, 6)
    for step, column in product(range(4), range(6)):
        angle = step / 10_000 ** ((column - column % 2) / 6)
        expected = math.cos(angle) if column % 2 else math.sin(angle)
        assert float(table[step, column]) == pytest.approx(expected, abs=1e-6)


def test_options_reach_the_layers():
    model = build(SHAPE, 4, width=12, heads=3, layers=4, feedforward=20, dropout=0.1)
    assert [layer.self_attn.num_heads for layer in model.encoder.layers] == [3] * 4
    assert [layer.linear1.weight.shape for layer in model.encoder.layers] == [(20, 12)] * 4
    assert {part.p for part in model.modules() if isinstance(part, nn.Dropout)} == {0.1}


def test_default_size():
    projection, attention, dense, norms = 311 * 64, 4 * 65 * 64, 65 * 128 + 129 * 64, 4 * 64
    expected = projection + 2 * (attention + dense + norms) + 128 + 65 * 5
    assert sum(weight.numel() for weight in build((74, 310), 5, layers=2).parameters()) == expected == 87_301


def test_incompatible_options():
    with pytest.raises(ValueError, match="width is 10; allowed: a multiple of heads, 4"):
        build(SHAPE, 4, width=10)
