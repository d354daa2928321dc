"""What holds for every architecture, and that none of them, nor any feature or reader, goes untested."""

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
# A small build of each: input shape and options. A new model must be named here. Two axes are time and features.
# Behind a comma, the options that make another model of it.
BUILDS = {
    "adafnn": (
        (11, 6),
        {"basis_hidden": [8], "head_hidden": [8], "ffnn_hidden": [8], "lstm_hidden": 4, "transformer_width": 8},
    ),
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
    "keras_cnn": ((1, 16, 16), {}),
}
N_CLASSES = 5
TIMED = [name for name, (shape, _) in sorted(BUILDS.items()) if len(shape) == 2]
# Those that read padding as if it were signal, which is what their runs are there to show, and how each does.
UNMASKED = {
    "eeg_cnn": "convolves and averages over it",
    "eeg_cnn_lstm": "the state after the last, padded step, unless use_length",
    "eeg_dnn": "has weights for it",
    "eeg_lstm": "the state after the last, padded step, unless use_length",
    "eeg_transformer": "attends to it and averages over it, unless use_length",
}
MASKED = [name for name in TIMED if name not in UNMASKED]
# Of those that mask, further options under which padding must not count.
DEPTHS = [
    *((name, {}) for name in MASKED),
    *(("eeg_cnn_lstm, use_length", {"layers": layers}) for layers in (1, 2)),
    *(("eeg_lstm, use_length", {"layers": n, "bidirectional": both}) for n, both in product((1, 3), (False, True))),
    ("eeg_transformer, use_length", {"layers": 1}),
]
SWITCHED = [name for name in sorted(lookup.names("models")) if "use_length" in options_of("models", name)]


def test_every_model_is_built_here():
    assert {name.split(",")[0] for name in BUILDS} == set(lookup.names("models"))
    assert set(UNMASKED) < set(TIMED)
    assert {f"{name}, use_length" for name in SWITCHED} == set(MASKED) & {f"{name}, use_length" for name in UNMASKED}


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


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(params=sorted(BUILDS))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=TIMED)
def timed(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=MASKED)
def masked(request: pytest.FixtureRequest) -> str:
    return request.param


def built(name: str, **more: object) -> nn.Module:
    shape, options = BUILDS[name]
    return lookup.load("models", name.split(",")[0]).build(shape, N_CLASSES, **options | more)


def built_on(name: str, shape: tuple[int, ...]) -> nn.Module:
    """The small build, on samples of another shape."""
    return lookup.load("models", name).build(shape, N_CLASSES, **BUILDS[name][1])


def shape_of(lengths: dict[str, int]) -> tuple[int, ...]:
    """Of samples with these {axis: length}; of an EEG electrode there are 5 features."""
    features = {"feature": 5 * lengths["electrode"]} if "electrode" in lengths else {}
    return tuple((lengths | features)[axis] for axis in lengths if axis != "electrode")


def batch(name: str, count: int) -> torch.Tensor:
    return torch.rand(count, *BUILDS[name][0], generator=torch.Generator().manual_seed(count))


def lengths(name: str, count: int) -> torch.Tensor:
    """1, all and what lies between, in turn."""
    n_steps = BUILDS[name][0][0]
    return torch.tensor([1, n_steps, n_steps // 2, n_steps - 1])[torch.arange(count) % 4]


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


@pytest.mark.parametrize("name", lookup.names("models"))
def test_samples_of_other_axes_are_refused(name: str):
    """As many axes as LAYOUT says, by which `make check` refuses a model for another feature."""
    layout, shape = lookup.constants("models", name)["LAYOUT"], BUILDS[name][0]
    assert len(layout) == len(shape)
    other = (1, 48, 48) if len(shape) == 2 else (48, 48)
    said = re.escape(f"({', '.join(map(str, other))}); allowed: ") + rf".*\({', '.join(layout)}\)"
    with pytest.raises(ValueError, match=rf"input (has {len(other)} axes, |is ){said}"):
        built_on(name, other)


def least(name: str) -> dict[str, int]:
    """{axis: the least length that its HALVINGS leave something of}."""
    module, options = lookup.load("models", name), BUILDS[name][1]
    halvings = getattr(module, "HALVINGS", {}).items()
    return {axis: 2 ** (often if isinstance(often, int) else len(options[often])) for axis, often in halvings}


@pytest.mark.parametrize("name", [name for name in lookup.names("models") if least(name)])
def test_halvings_are_those_the_model_does(name: str):
    """Of no axis may less be left; as little as they leave is enough."""
    lengths = dict(zip(lookup.constants("models", name)["LAYOUT"], BUILDS[name][0], strict=True)) | least(name)
    built_on(name, shape_of(lengths)).eval()(torch.rand(2, *shape_of(lengths)))
    for axis, length in least(name).items():
        with pytest.raises(ValueError, match=r"too small|allows? fewer|allowed: fewer"):
            built_on(name, shape_of(lengths | {axis: length - 1}))


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


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("masked", "more"), DEPTHS)
def test_padding_never_changes_logits_or_gradients(masked: str, more: dict, training: bool):
    model = built(masked, **more)
    exercise(model, masked)
    model.train(training)
    x, length = batch(masked, 6), lengths(masked, 6)
    padding = torch.arange(x.shape[1])[None, :, None] >= length[:, None, None]
    found = []
    for value in (0.0, -1.0, 1e30, math.inf, math.nan):
        torch.manual_seed(1)  # the same units dropped each time
        model.zero_grad()
        logits = model(x.masked_fill(padding, value), length)
        logits.square().sum().backward()
        found.append([logits.detach(), *(weight.grad.clone() for weight in model.parameters())])
    assert all(value.isfinite().all() for value in found[0])
    for others in found[1:]:
        assert all(torch.equal(ours, first) for ours, first in zip(others, found[0], strict=True))


@pytest.mark.parametrize("name", SWITCHED)
def test_use_length_changes_no_weight(name: str):
    """So that two runs differ by their answer to padding alone."""
    states = []
    for use_length in (False, True):
        torch.manual_seed(3)
        states.append(built(name, use_length=use_length).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", sorted(UNMASKED))
def test_unmasked_ignore_the_length_and_read_the_padding(name: str):
    model = built(name)
    exercise(model, name)
    x, length = batch(name, 4), lengths(name, 4)
    assert torch.equal(model(x, length), model(x))
    padding = torch.arange(x.shape[1])[None, :, None] >= length[:, None, None]
    changed = (model(x.masked_fill(padding, 9.0), length) != model(x, length)).any(dim=1)
    assert changed.tolist() == (length < x.shape[1]).tolist()


def test_padded_is_as_unpadded(masked: str):
    model = built(masked)
    exercise(model, masked)
    x, length = batch(masked, 4), lengths(masked, 4)
    together = model(x, length)
    for i, n in enumerate(length.tolist()):
        torch.testing.assert_close(model(x[i : i + 1, :n]), together[i : i + 1], atol=1e-5, rtol=1e-4)


def test_no_length_is_all_of_it(timed: str):
    model = built(timed).eval()
    x = batch(timed, 3)
    torch.testing.assert_close(model(x), model(x, torch.full((3,), x.shape[1])))


def exported(model: nn.Module, inputs: dict[str, torch.Tensor]) -> onnxruntime.InferenceSession:
    """In ONNX, any number of samples allowed."""
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the newer exporter needs onnxscript
        torch.onnx.export(
            model,
            tuple(inputs.values()),
            stream,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_axes={key: {0: "batch"} for key in (*inputs, "logits")},
            dynamo=False,
        )
    return onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])


def test_onnx_with_any_batch_size(name: str):
    model = built(name)
    exercise(model, name)
    session = exported(model, {"x": batch(name, 2)})
    for count in (1, 5):
        (logits,) = session.run(None, {"x": batch(name, count).numpy()})
        np.testing.assert_allclose(logits, model(batch(name, count)).detach().numpy(), atol=1e-4)


def test_onnx_with_lengths(timed: str):
    model = built(timed)
    exercise(model, timed)
    session = exported(model, {"x": batch(timed, 2), "length": lengths(timed, 2)})
    taken = [given.name for given in session.get_inputs()]
    assert taken == (["x", "length"] if timed in MASKED else ["x"])  # ONNX leaves out what is not read
    for count in (1, 5):
        x, length = batch(timed, count), lengths(timed, count)
        inputs = {"x": x.numpy(), "length": length.numpy()}
        (logits,) = session.run(None, {key: inputs[key] for key in taken})
        np.testing.assert_allclose(logits, model(x, length).detach().numpy(), atol=1e-4)
