"""The contract of every architecture, and the completeness of the tests of models, features and readers."""

import io
import math
import re
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from stages.core import lookup
from stages.params.options import options_of

TESTS = Path(__file__).parents[1]
# {name: (input shape, options)} of a small build of every model; two axes are time and features. A name may have an
# addition after a comma, for a second build of the same model.
BUILDS = {
    "adafnn": ((11, 6), {"basis_hidden": [8], "ffnn_hidden": [8], "lstm_hidden": 4, "transformer_width": 8}),
    "compact_resnet": ((1, 21, 18), {"widths": [4, 6], "stem": 4}),
    "custom_cnn": ((1, 24, 24), {"widths": [4, 6], "hidden": 8, "residual": True}),
    "dual_attention": ((3, 40, 33), {"backbone": "resnet18", "total_stride": 16, "lstm_hidden": 4}),
    "eeg_cnn": ((11, 20), {"widths": [4, 6], "hidden": 8}),
    "eeg_cnn_lstm": ((11, 20), {"widths": [4, 6], "hidden": 8}),
    "eeg_cnn_lstm, use_length": ((11, 20), {"widths": [4, 6], "hidden": 8, "layers": 2, "use_length": True}),
    "eeg_dnn": ((11, 20), {"hidden": [8]}),
    "eeg_lstm": ((11, 20), {"hidden": 8}),
    "eeg_lstm, use_length": ((11, 20), {"hidden": 4, "layers": 2, "bidirectional": True, "use_length": True}),
    "eeg_transformer": ((11, 20), {"width": 8, "feedforward": 8}),
    "eeg_transformer, use_length": ((11, 20), {"width": 8, "feedforward": 8, "use_length": True}),
    "face_mobilenet": ((1, 24, 24), {"size_px": 32, "blocks": 3}),
    "ge2e": ((11, 40), {"tuned_layers": 3}),
    "keras_cnn": ((1, 16, 16), {}),
    "mlp": ((3, 2, 6), {"hidden": [8]}),
}
N_CLASSES = 5
TIMED = [name for name in sorted(BUILDS) if lookup.constants("models", name.split(",")[0])["LAYOUT"][0] == "time"]
# Models that read padding like true windows, as published; those with `use_length` mask it if that is true.
UNMASKED = ("eeg_cnn", "eeg_cnn_lstm", "eeg_dnn", "eeg_lstm", "eeg_transformer")
MASKED = [name for name in TIMED if name not in UNMASKED]
# Builds of models that mask, with further options.
USES = ("use_adafnn", "use_ffnn", "use_lstm", "use_transformer")
MASKED_BUILDS = [
    *((name, {}) for name in MASKED),
    *(("adafnn", {"stride_frames": stride}) for stride in (1, 7, 40)),
    *(("adafnn", {use: use == only for use in USES}) for only in USES),
    *(("eeg_cnn_lstm, use_length", {"layers": layers}) for layers in (1, 2)),
    *(("eeg_lstm, use_length", {"layers": n, "bidirectional": both}) for n, both in product((1, 3), (False, True))),
    ("eeg_transformer, use_length", {"layers": 1}),
]
WITH_USE_LENGTH = [name for name in sorted(lookup.names("models")) if "use_length" in options_of("models", name)]


def test_every_model_has_a_build():
    assert {name.split(",")[0] for name in BUILDS} == set(lookup.names("models"))
    assert {f"{name}, use_length" for name in WITH_USE_LENGTH} == {name for name in BUILDS if ", use_length" in name}


@pytest.mark.parametrize(
    ("package", "pattern"),
    [
        ("models", r"stages\.models\.{}\b"),
        ("features", r"stages\.features import .*\b{}\b"),
        ("corpora", r"\b{}\b"),
        ("datasets.augmentation", r"stages\.datasets\.augmentation(\.| import .*\b){}\b"),
    ],
)
def test_every_choice_is_named_in_a_test_of_its_package(package: str, pattern: str):
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (TESTS / package.split(".")[0]).glob("test_*.py"))
    assert lookup.names(package)
    assert [name for name in lookup.names(package) if not re.search(pattern.format(name), tests)] == []


@pytest.fixture(params=sorted(BUILDS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def build(name: str, shape: tuple[int, ...] | None = None, **more: object) -> nn.Module:
    own_shape, options = BUILDS[name]
    return lookup.load("models", name.split(",")[0]).build(shape or own_shape, N_CLASSES, **options | more)


def shape_of(lengths: dict[str, int]) -> tuple[int, ...]:
    """Return the shape of samples with these {axis: length}; an EEG electrode has 5 features."""
    features = {"feature": 5 * lengths["electrode"]} if "electrode" in lengths else {}
    return tuple((lengths | features)[axis] for axis in lengths if axis != "electrode")


def batch(name: str, count: int) -> torch.Tensor:
    return torch.rand(count, *BUILDS[name][0], generator=torch.Generator().manual_seed(count))


def lengths(name: str, count: int) -> torch.Tensor:
    """Return lengths from 1 to the full length."""
    n_steps = BUILDS[name][0][0]
    return torch.tensor([1, n_steps, n_steps // 2, n_steps - 1])[torch.arange(count) % 4]


def exercised(name: str, **more: object) -> nn.Module:
    """Return the model in evaluation mode, after batches that have changed the statistics of its normalisations."""
    model = build(name, **more).train()
    for step in range(3):
        model(batch(name, 8 + step))
    return model.eval()


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("adafnn", {"n_bases": 1, "basis_dropout": 0.1, "dropout": 0.2}, [0.1, *[0.2] * 7]),
        ("compact_resnet", {"dropout": 0.4}, [0.4]),
        ("custom_cnn", {"dropout": 0.1, "hidden_dropout": 0.7}, [0.1, 0.1, 0.7]),
        ("dual_attention", {"dropout": 0.3}, [0.3]),
        ("eeg_cnn", {"dropout": 0.1}, [0.1] * 2),
        ("eeg_cnn_lstm", {"dropout": 0.1}, [0.1] * 2),
        ("eeg_dnn", {"dropout": 0.1, "hidden": [7, 3]}, [0.1] * 2),
        ("eeg_lstm", {"dropout": 0.1}, [0.1] * 2),
        ("face_mobilenet", {"dropout": 0.4}, [0.4]),
        ("keras_cnn", {"dropout": 0.6}, [0.6] * 2),
    ],
)
def test_dropouts_are_those_of_the_options(name: str, options: dict, expected: list[float]):
    kinds = nn.Dropout | nn.Dropout2d
    assert [layer.p for layer in build(name, **options).modules() if isinstance(layer, kinds)] == expected


def test_logits_are_finite_float32(name: str):
    model = build(name).eval()
    for count in (1, 4):
        logits = model(batch(name, count))
        assert logits.shape == (count, N_CLASSES)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


def test_every_weight_gets_a_finite_gradient(name: str):
    model = build(name).train()
    nn.functional.cross_entropy(model(batch(name, 6)), torch.arange(6) % N_CLASSES).backward()
    for key, weight in model.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
    assert any(weight.grad.any() for weight in model.parameters())


def minimum_lengths(name: str) -> dict[str, int]:
    """Return {axis: minimum length} according to the model's HALVINGS."""
    module, options = lookup.load("models", name), BUILDS[name][1]
    halvings = getattr(module, "HALVINGS", {}).items()
    return {axis: 2 ** (count if isinstance(count, int) else len(options[count])) for axis, count in halvings}


@pytest.mark.parametrize("name", [name for name in lookup.names("models") if minimum_lengths(name)])
def test_halvings_give_the_minimum_lengths(name: str):
    minimum = minimum_lengths(name)
    lengths = dict(zip(lookup.constants("models", name)["LAYOUT"], BUILDS[name][0], strict=True)) | minimum
    build(name, shape_of(lengths)).eval()(torch.rand(2, *shape_of(lengths)))
    for axis, length in minimum.items():
        with pytest.raises(ValueError, match=r"too small|allowed: fewer"):
            build(name, shape_of(lengths | {axis: length - 1}))


def test_evaluation_is_deterministic_and_independent_of_the_batch_and_of_gradients(name: str):
    model, x = exercised(name), batch(name, 6)
    logits = model(x)
    assert torch.equal(logits, model(x))
    single = torch.cat([model(sample[None]) for sample in x])
    torch.testing.assert_close(logits, single, atol=1e-5, rtol=1e-4)
    with torch.no_grad():  # PyTorch has other kernels for a Transformer without gradients
        torch.testing.assert_close(logits, model(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", WITH_USE_LENGTH)
def test_use_length_does_not_change_the_initial_weights(name: str):
    states = []
    for use_length in (False, True):
        torch.manual_seed(3)
        states.append(build(name, use_length=use_length).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "more"), MASKED_BUILDS)
def test_padding_never_changes_logits_or_gradients(name: str, more: dict, training: bool):
    model = exercised(name, **more).train(training)
    x, length = batch(name, 6), lengths(name, 6)
    padding = torch.arange(x.shape[1])[None, :, None] >= length[:, None, None]
    results = []
    for value in (0.0, -1.0, 1e30, math.inf, math.nan):
        torch.manual_seed(1)  # the same dropout each time
        model.zero_grad()
        logits = model(x.masked_fill(padding, value), length)
        logits.square().sum().backward()
        results.append([logits.detach(), *(weight.grad.clone() for weight in model.parameters())])
    assert all(value.isfinite().all() for value in results[0])
    for result in results[1:]:
        assert all(torch.equal(ours, first) for ours, first in zip(result, results[0], strict=True))


@pytest.mark.parametrize("name", UNMASKED)
def test_unmasked_models_ignore_the_length_and_read_the_padding(name: str):
    model = exercised(name)
    x, length = batch(name, 4), lengths(name, 4)
    assert torch.equal(model(x, length), model(x))
    padding = torch.arange(x.shape[1])[None, :, None] >= length[:, None, None]
    changed = (model(x.masked_fill(padding, 9.0), length) != model(x, length)).any(dim=1)
    assert changed.tolist() == (length < x.shape[1]).tolist()


@pytest.mark.parametrize(("name", "more"), MASKED_BUILDS)
def test_a_padded_batch_equals_its_unpadded_samples(name: str, more: dict):
    model = exercised(name, **more)
    x, length = batch(name, 4), lengths(name, 4)
    logits = model(x, length)
    for i, n in enumerate(length.tolist()):
        torch.testing.assert_close(model(x[i : i + 1, :n]), logits[i : i + 1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(x), model(x, torch.full((4,), x.shape[1])))


def exported(model: nn.Module, inputs: dict[str, torch.Tensor]) -> onnxruntime.InferenceSession:
    """Return an ONNX session of the model that accepts any batch size."""
    stream, names = io.BytesIO(), {"input_names": list(inputs), "output_names": ["logits"]}
    axes = {key: {0: "batch"} for key in (*inputs, "logits")}
    with warnings.catch_warnings(action="ignore"):  # the newer exporter needs onnxscript
        torch.onnx.export(model, tuple(inputs.values()), stream, dynamic_axes=axes, dynamo=False, **names)
    return onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])


def test_onnx_with_any_batch_size(name: str):
    model = exercised(name)
    session = exported(model, {"x": batch(name, 2)})
    for count in (1, 5):
        (logits,) = session.run(None, {"x": batch(name, count).numpy()})
        np.testing.assert_allclose(logits, model(batch(name, count)).detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("gradients", [True, False])  # PyTorch has other kernels for a Transformer without gradients
@pytest.mark.parametrize("name", TIMED)
def test_onnx_with_lengths(name: str, gradients: bool):
    model = exercised(name)
    with torch.set_grad_enabled(gradients):
        session = exported(model, {"x": batch(name, 2), "length": lengths(name, 2)})
    names = [one.name for one in session.get_inputs()]
    assert names == (["x", "length"] if name in MASKED else ["x"])  # ONNX drops unused inputs
    for count in (1, 5):
        x, length = batch(name, count), lengths(name, count)
        inputs = {"x": x.numpy(), "length": length.numpy()}
        (logits,) = session.run(None, {key: inputs[key] for key in names})
        np.testing.assert_allclose(logits, model(x, length).detach().numpy(), atol=1e-4)
