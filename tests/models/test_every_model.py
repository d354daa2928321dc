"""What holds for every architecture, and that none of them, nor any feature or reader, goes untested."""

import io
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from stages.core import lookup

TESTS = Path(__file__).parents[1]
# A small build of each: input shape and options. A new model must be named here.
BUILDS = {
    "custom_cnn": ((1, 24, 24), {"widths": [4, 6], "hidden": 8, "residual": True}),
    "keras_cnn": ((1, 16, 16), {}),
}
N_CLASSES = 5


def test_every_model_is_built_here():
    assert set(BUILDS) == set(lookup.names("models"))


@pytest.mark.parametrize(
    ("room", "pattern"),
    [
        ("models", "models/test_{}.py"),
        ("features", "features/test_{}.py"),
        ("corpora", "corpora/test_{}.py"),
        ("datasets.augmentation", "datasets/test_augmentation_{}.py"),
    ],
)
def test_every_choice_has_a_test_file(room: str, pattern: str):
    assert lookup.names(room)
    missing = [name for name in lookup.names(room) if not (TESTS / pattern.format(name)).exists()]
    assert missing == []


@pytest.fixture(params=sorted(BUILDS))
def name(request: pytest.FixtureRequest) -> str:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    return request.param


def built(name: str) -> nn.Module:
    shape, options = BUILDS[name]
    return lookup.load("models", name).build(shape, N_CLASSES, **options)


def batch(name: str, count: int) -> torch.Tensor:
    return torch.rand(count, *BUILDS[name][0], generator=torch.Generator().manual_seed(count))


def exercise(model: nn.Module, name: str) -> None:
    """Statistics of its normalisations away from where they start."""
    model.train()
    for step in range(3):
        model(batch(name, 8 + step))
    model.eval()


def test_logits(name: str):
    model = built(name).eval()
    for count in (1, 4):
        logits = model(batch(name, count))
        assert logits.shape == (count, N_CLASSES)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


def test_every_weight_gets_a_finite_gradient(name: str):
    model = built(name).train()
    nn.functional.cross_entropy(model(batch(name, 6)), torch.arange(6) % N_CLASSES).backward()
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
    assert any(weight.grad.any() for weight in model.parameters())


def test_evaluation_is_deterministic_and_sample_by_sample(name: str):
    model = built(name)
    exercise(model, name)
    x = batch(name, 6)
    together = model(x)
    assert torch.equal(together, model(x))
    alone = torch.cat([model(sample[None]) for sample in x])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_same_seed_same_weights(name: str):
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(built(name).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_onnx_with_any_batch_size(name: str):
    model = built(name)
    exercise(model, name)
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the newer exporter needs onnxscript
        torch.onnx.export(
            model,
            (batch(name, 2),),
            stream,
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": {0: "batch"}, "logits": {0: "batch"}},
            dynamo=False,
        )
    session = onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        (logits,) = session.run(None, {"x": batch(name, count).numpy()})
        np.testing.assert_allclose(logits, model(batch(name, count)).detach().numpy(), atol=1e-4)
