"""The Transformer: each trial as if alone and unpadded, order known, attention as its formula has it."""

import io
import math
import warnings
from itertools import product

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from stages.models.eeg_transformer import build, positions

SHAPE = (25, 6)
LENGTH = torch.tensor([25, 1, 13, 24, 2])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **{"width": 8, "heads": 2, "feedforward": 10, "dropout": 0.0, "use_length": True, **options})


def normalised(y: np.ndarray) -> np.ndarray:
    """Layer normalisation, its gain and shift still at 1 and 0."""
    return (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)


def by_hand(model: nn.Module, trial: np.ndarray) -> np.ndarray:
    """Logits of one trial (length, F), step by step."""
    values = {key: value.detach().double().numpy() for key, value in model.named_parameters()}
    y = trial @ values["project.weight"].T + values["project.bias"] + positions(len(trial), 8).double().numpy()
    for i in range(len(model.encoder.layers)):
        at = {key.split(f"layers.{i}.")[1]: value for key, value in values.items() if f"layers.{i}." in key}
        qkv = normalised(y) @ at["self_attn.in_proj_weight"].T + at["self_attn.in_proj_bias"]
        heads = []
        for head in range(2):
            q, k, v = (qkv[:, part * 8 + head * 4 : part * 8 + head * 4 + 4] for part in range(3))
            scores = np.exp(q @ k.T / math.sqrt(4))
            heads.append(scores / scores.sum(1, keepdims=True) @ v)
        y = y + np.hstack(heads) @ at["self_attn.out_proj.weight"].T + at["self_attn.out_proj.bias"]
        inner = normalised(y) @ at["linear1.weight"].T + at["linear1.bias"]
        y = y + inner / (1 + np.exp(-inner)) @ at["linear2.weight"].T + at["linear2.bias"]
    return normalised(y).mean(0) @ values["classifier.1.weight"].T + values["classifier.1.bias"]


@pytest.mark.parametrize("use_length", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_as_numpy_computes_each_trial_alone(layers: int, use_length: bool):
    model, x = small(layers=layers, use_length=use_length), torch.randn(5, *SHAPE)
    read = LENGTH if use_length else torch.full((5,), 25)
    expected = np.stack([by_hand(model, x[i, :n].double().numpy()) for i, n in enumerate(read.tolist())])
    np.testing.assert_allclose(model(x, LENGTH).detach().numpy(), expected, atol=1e-5)


def test_it_knows_the_order():
    model, x = small().eval(), torch.randn(1, *SHAPE)
    assert (model(x) - model(x.flip(1))).abs().max() > 1e-4


def test_positions_by_hand():
    table = positions(4, 6)
    for step, column in product(range(4), range(6)):
        angle = step / 10_000 ** ((column - column % 2) / 6)
        expected = math.cos(angle) if column % 2 else math.sin(angle)
        assert float(table[step, column]) == pytest.approx(expected, abs=1e-6)


def test_evaluation_without_gradients_is_the_same():
    """There PyTorch would take another path."""
    model, x = small().eval(), torch.randn(5, *SHAPE)
    with torch.no_grad():
        fast = model(x, LENGTH)
    torch.testing.assert_close(fast, model(x, LENGTH), atol=1e-5, rtol=1e-4)


def test_options_reach_the_layers():
    model = build(SHAPE, 4, width=12, heads=3, layers=4, feedforward=20, dropout=0.1)
    assert [layer.self_attn.num_heads for layer in model.encoder.layers] == [3] * 4
    assert [layer.linear1.weight.shape for layer in model.encoder.layers] == [(20, 12)] * 4
    assert {part.p for part in model.modules() if isinstance(part, nn.Dropout)} == {0.1}


def test_default_size():
    projection, attention, dense, norms = 311 * 64, 4 * 65 * 64, 65 * 128 + 129 * 64, 4 * 64
    expected = projection + 2 * (attention + dense + norms) + 128 + 65 * 5
    assert sum(weight.numel() for weight in build((74, 310), 5, layers=2).parameters()) == expected == 87_301


def test_options_that_do_not_go_together():
    with pytest.raises(ValueError, match="width is 10; allowed: a multiple of heads, 4"):
        build(SHAPE, 4, width=10)


def test_onnx_without_gradients():
    """Where PyTorch's fast path, which ONNX does not know, would be taken."""
    model, stream = small().eval(), io.BytesIO()
    names, axes = ["x", "length"], {name: {0: "batch"} for name in ("x", "length", "logits")}
    with warnings.catch_warnings(action="ignore"), torch.no_grad():
        inputs = (torch.randn(2, *SHAPE), LENGTH[:2])
        torch.onnx.export(
            model, inputs, stream, input_names=names, output_names=["logits"], dynamic_axes=axes, dynamo=False
        )
    session = onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])
    x = torch.randn(5, *SHAPE)
    (logits,) = session.run(None, {"x": x.numpy(), "length": LENGTH.numpy()})
    np.testing.assert_allclose(logits, model(x, LENGTH).detach().numpy(), atol=1e-4)
