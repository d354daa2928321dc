"""AdaFNN's layer against closed forms and the notebook, the masking of every component, and the options."""

import io
import math
import warnings
from itertools import product

import numpy as np
import onnxruntime
import pytest
import scipy.integrate
import torch
from torch import nn

from stages.models.adafnn import (
    AdaptiveBasis,
    Encoder,
    Recurrent,
    build,
    positions,
    statistics,
    thin,
    trapezoid_weights,
    with_neighbours,
)

SHAPE = (25, 6)
SMALL = {"basis_hidden": [8, 8], "head_hidden": [8], "ffnn_hidden": [8], "lstm_hidden": 5, "dropout": 0.0}
SMALL |= {"transformer_width": 8, "transformer_heads": 2, "transformer_feedforward": 8, "basis_dropout": 0.0}
USES = ("use_adafnn", "use_ffnn", "use_lstm", "use_transformer")


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


class Known(nn.Module):
    """A basis of our own in the place of a micro-network."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.scale = function, nn.Parameter(torch.ones(()))

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        return self.scale * self.function(times)


def sine(k: int) -> nn.Module:
    """√2 sin(kπt), orthonormal on [0, 1]."""
    return Known(lambda t: math.sqrt(2) * torch.sin(k * math.pi * t))


def layer(*nodes: nn.Module, sparsity: float = 0.0, orthogonality: float = 0.0, drawn: int = 9) -> AdaptiveBasis:
    return AdaptiveBasis(list(nodes), sparsity, orthogonality, drawn, drawn)


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **(SMALL | options))


def batch(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, *SHAPE), torch.tensor([25, 1, 13, 24, 2])[:count]


def only(use: str, **options) -> nn.Module:
    return small(**{name: name == use for name in USES}, **options)


def grid(n: int) -> torch.Tensor:
    return torch.linspace(0, 1, n)


# ---- the basis layer -------------------------------------------------------------------------------------------------


def test_inner_products_of_known_curves():
    t = grid(300)
    curves = torch.stack([torch.sin(math.pi * t), torch.sin(2 * math.pi * t), t, torch.ones(300)], dim=1)
    basis = layer(Known(lambda t: torch.sin(math.pi * t)), Known(torch.ones_like))
    scores = basis(curves[None], torch.tensor([300]))
    expected = torch.tensor([[1 / 2, 0, 1 / math.pi, 2 / math.pi], [2 / math.pi, 0, 1 / 2, 1]])
    assert scores.shape == (1, 2, 4)
    torch.testing.assert_close(scores[0], expected, atol=2e-5, rtol=0)


def test_error_falls_with_the_square_of_the_step():
    basis, errors = layer(Known(lambda t: torch.exp(t))).double(), []
    for n in (11, 21, 41):
        t = torch.linspace(0, 1, n, dtype=torch.float64)[None]
        ours = basis.scores(torch.ones(1, n, 1).double(), t, t >= 0, torch.tensor([0]))
        errors.append(ours.item() - (math.e - 1))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.01)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.01)


def test_any_grid_as_numpy_and_scipy_integrate():
    times = torch.rand(3, 40).sort(dim=1).values
    valid = torch.arange(40) < torch.tensor([[40], [17], [2]])
    x = torch.randn(3, 40, 2)
    scores = layer(sine(1), sine(3)).scores(x, times, valid, torch.arange(3))
    for clip, k, mel in product(range(3), range(2), range(2)):
        t = times[clip][valid[clip]].double().numpy()
        y = math.sqrt(2) * np.sin((1, 3)[k] * math.pi * t) * x[clip, : len(t), mel].numpy()
        assert scores[clip, k, mel].item() == pytest.approx(np.trapezoid(y, t), abs=1e-5)
        assert scores[clip, k, mel].item() == pytest.approx(scipy.integrate.trapezoid(y, t), abs=1e-5)


def test_trapezoid_weights_by_hand():
    weights = trapezoid_weights(torch.tensor([[0, 0.1, 0.4, 1.0]]), torch.tensor([[True, True, True, False]]))
    torch.testing.assert_close(weights, torch.tensor([[0.05, 0.2, 0.15, 0.0]]))


def test_each_clip_is_stretched_over_its_own_grid():
    """The same curve over [0, 1], seen in few or many frames, scores the same; one frame spans no time."""
    x = torch.full((3, 200, 1), 1e3)
    for i, n in enumerate((200, 120, 1)):
        x[i, :n, 0] = torch.sin(math.pi * grid(n)) + 1
    scores = layer(sine(1))(x, torch.tensor([200, 120, 1]))[:, 0, 0]
    expected = math.sqrt(2) * (1 / 2 + 2 / math.pi)
    torch.testing.assert_close(scores, torch.tensor([expected, expected, 0.0]), atol=2e-4, rtol=0)


def notebook_node(node: nn.Sequential, t: torch.Tensor) -> torch.Tensor:
    """FeedForward(1, hidden, activation=F.selu) of the notebook, line by line, on the weights of ours."""
    linears = [part for part in node if isinstance(part, nn.Linear)]
    norms = [(part.gain, part.shift) for part in node if hasattr(part, "gain")]
    for linear, (alpha, beta) in zip(linears, norms, strict=False):
        t = t @ linear.weight.T + linear.bias
        average, deviation = t.mean(dim=-1, keepdim=True), t.std(dim=-1, keepdim=True) + 1e-6
        t = t + ((t - average) / deviation * alpha + beta)
        t = nn.functional.selu(t)
    return t @ linears[-1].weight.T + linears[-1].bias


def test_micro_networks_are_the_notebooks():
    basis = small(n_bases=3, basis_hidden=[8, 6, 5]).parts["basis"]
    values = basis.evaluate(grid(50))
    expected = torch.cat([notebook_node(node, grid(50)[:, None]) for node in basis.nodes], dim=1).T
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=1e-4)
    assert values.std(dim=1).min() > 1e-3  # they do vary with time


def test_bases_for_drawing():
    model = small(n_bases=3, basis_dropout=0.5).train()
    times, values = model.bases(7)
    assert times.tolist() == grid(7).tolist()
    assert values.shape == (7, 3)
    assert not values.requires_grad
    assert torch.equal(values, model.bases(7)[1])
    assert all(part.training for part in model.modules())
    assert small(use_adafnn=False).bases(7) is None


# ---- regularisers ----------------------------------------------------------------------------------------------------


def test_orthogonality_by_hand():
    assert layer(sine(1), sine(2), sine(3), orthogonality=1).penalty().item() == pytest.approx(0, abs=1e-5)
    same = Known(lambda t: 5 * torch.sin(math.pi * t)), Known(lambda t: -torch.sin(math.pi * t))
    assert layer(*same, orthogonality=0.3).penalty().item() == pytest.approx(0.3, abs=1e-4)
    # <1, t> / (‖1‖ ‖t‖) = 1/2 · √3
    assert layer(Known(torch.ones_like), Known(lambda t: t), orthogonality=1).penalty().item() == pytest.approx(
        math.sqrt(3) / 2, abs=1e-4
    )


def test_sparsity_by_hand():
    # of √2 |sin πt| the integral is 2√2/π; of √3 t it is √3/2: scale does not count
    first, second = 2 * math.sqrt(2) / math.pi, math.sqrt(3) / 2
    nodes = sine(1), Known(lambda t: -7 * t)
    assert layer(*nodes, sparsity=1).penalty().item() == pytest.approx((first + second) / 2, abs=1e-3)
    drawn = {round(layer(*nodes, sparsity=1, drawn=1).penalty().item(), 2) for _ in range(30)}
    assert drawn == {round(first, 2), round(second, 2)}


def test_weights_add_up_and_one_basis_has_no_pairs():
    same = Known(torch.ones_like), Known(torch.ones_like)
    assert layer(*same, sparsity=0.5, orthogonality=0.25).penalty().item() == pytest.approx(0.75, abs=1e-4)
    assert layer(sine(1), orthogonality=1).penalty().item() == 0


def test_pairs_are_of_two_different_bases():
    nodes = sine(1), sine(2)
    for _ in range(20):
        assert layer(*nodes, orthogonality=1, drawn=1).penalty().item() == pytest.approx(0, abs=1e-5)


def test_penalty_follows_the_generator_and_reaches_the_bases():
    model = small(sparsity_weight=1.0, orthogonality_weight=1.0, sampled_bases=1, sampled_pairs=1)
    draws = []
    for seed in (1, 1, 2, 3, 4):
        torch.manual_seed(seed)
        draws.append(model.penalty().item())
    assert draws[0] == draws[1]
    assert len(set(draws)) > 1
    full = small(sparsity_weight=1.0, orthogonality_weight=1.0, sampled_bases=4, sampled_pairs=6)
    full.penalty().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in full.parts["basis"].parameters())
    assert any(weight.grad.any() for weight in full.parts["basis"].parameters())


def test_the_norm_is_a_constant_to_the_gradient():
    """Else no gradient of a normalised basis would point along its own scale."""
    node = sine(1)
    layer(node, sparsity=1).penalty().backward()
    assert float(node.scale.grad) == pytest.approx(2 * math.sqrt(2) / math.pi, abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [{"orthogonality_weight": 0.0}, {"use_adafnn": False, "sparsity_weight": 1.0, "orthogonality_weight": 1.0}],
)
def test_no_penalty(options: dict):
    penalty = small(**options).penalty()
    assert penalty.shape == ()
    assert float(penalty) == 0


# ---- masking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 2, 7, 40])
@pytest.mark.parametrize("use", [None, *USES])
def test_padding_never_changes_logits_or_gradients(use: str | None, stride: int):
    model = (small(stride_frames=stride) if use is None else only(use, stride_frames=stride)).train()
    x, length = batch()
    padding = torch.arange(25)[None, :, None] >= length[:, None, None]
    found = []
    for value in (0.0, 1e30, math.inf, math.nan):
        model.zero_grad()
        logits = model(x.masked_fill(padding, value), length)
        logits.square().sum().backward()
        found.append((logits.detach(), [weight.grad.clone() for weight in model.parameters()]))
    for logits, gradients in found[1:]:
        assert torch.equal(logits, found[0][0])
        assert all(torch.equal(ours, first) for ours, first in zip(gradients, found[0][1], strict=True))


@pytest.mark.parametrize("stride", [1, 2, 7])
@pytest.mark.parametrize("use", [None, *USES])
def test_each_clip_as_if_alone_and_cut(use: str | None, stride: int):
    model = (small(stride_frames=stride) if use is None else only(use, stride_frames=stride)).eval()
    x, length = batch()
    together = model(x, length)
    for i, n in enumerate(length.tolist()):
        torch.testing.assert_close(model(x[i : i + 1, :n]), together[i : i + 1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model(x), model(x, torch.full((5,), 25)))


def test_evaluation_without_gradients_is_the_same():
    """There PyTorch would take another path through the Transformer."""
    model, (x, length) = small().eval(), batch()
    with torch.no_grad():
        fast = model(x, length)
    torch.testing.assert_close(fast, model(x, length), atol=1e-5, rtol=1e-4)


def test_thin_by_hand():
    y = torch.tensor([[1.0, 3, 5, 7, 9], [1, 3, 5, 100, 100]])[:, :, None]
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    thinned, steps = thin(y, valid, 2)
    assert thinned[:, :, 0].tolist() == [[2, 6, 9], [2, 5, 0]]
    assert steps.tolist() == [[True, True, True], [True, True, False]]


def test_statistics_over_valid_steps_by_hand():
    y = torch.tensor([[1.0, 3, 5, 7, 9], [1, 3, 5, 100, 100]])[:, :, None]
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    expected = torch.tensor([[5, 8**0.5], [3, (8 / 3) ** 0.5]])  # mean, deviation over n
    torch.testing.assert_close(statistics(y, valid), expected, atol=1e-4, rtol=0)


def test_neighbours_by_hand():
    x = torch.tensor([[[1.0], [2], [3]]])
    assert with_neighbours(x, 1).tolist() == [[[0, 1, 2], [1, 2, 3], [2, 3, 0]]]
    assert with_neighbours(x, 0).equal(x)


# ---- LSTM and Transformer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "bidirectional"), [(1, True), (3, True), (2, False)])
def test_lstm_as_packed_sequences(layers: int, bidirectional: bool):
    ours = Recurrent(6, 5, layers, bidirectional, 0.0)
    theirs = nn.LSTM(6, 5, layers, bidirectional=bidirectional, batch_first=True)
    for (suffix, group), i in product((("", ours.onward), ("_reverse", ours.back)), range(layers)):
        for key, value in group[i].named_parameters() if len(group) else ():
            getattr(theirs, key.replace("l0", f"l{i}{suffix}")).data.copy_(value.data)
    x, length = batch()
    packed = nn.utils.rnn.pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
    last = theirs(packed)[1][0][-2:] if bidirectional else theirs(packed)[1][0][-1:]
    expected = torch.cat(list(last), dim=1)
    torch.testing.assert_close(ours(x, torch.arange(25) < length[:, None]), expected, atol=1e-6, rtol=1e-5)


def test_encoder_as_unpadded_clips():
    encoder, (x, length) = Encoder(6, 8, 2, 2, 16, 0.0), batch()
    together = encoder(x, torch.arange(25) < length[:, None])
    for i, n in enumerate(length.tolist()):
        y = encoder.project(x[i : i + 1, :n]) + positions(n, 8)
        steps = encoder.encoder(y)[0]
        expected = torch.cat((steps.mean(0), (steps.var(0, correction=0) + 1e-5).sqrt()))
        torch.testing.assert_close(together[i], expected, atol=1e-5, rtol=1e-4)


def test_encoder_knows_the_order():
    encoder, valid = Encoder(6, 8, 2, 1, 16, 0.0), torch.ones(1, 25, dtype=torch.bool)
    x = torch.randn(1, 25, 6)
    assert (encoder(x, valid) - encoder(x.flip(1), valid)).abs().max() > 1e-4


def test_positions_by_hand():
    table = positions(4, 6)
    for step, column in product(range(4), range(6)):
        angle = step / 10_000 ** ((column - column % 2) / 6)
        expected = math.cos(angle) if column % 2 else math.sin(angle)
        assert float(table[step, column]) == pytest.approx(expected, abs=1e-6)


# ---- options ---------------------------------------------------------------------------------------------------------


PARTS = {
    "use_adafnn": {"basis", "head"},
    "use_ffnn": {"frames"},
    "use_lstm": {"lstm"},
    "use_transformer": {"transformer"},
}


@pytest.mark.parametrize("on", [on for on in product((True, False), repeat=4) if any(on)])
def test_components_switch_off(on: tuple[bool, ...]):
    uses = dict(zip(USES, on, strict=True))
    model = small(**uses)
    expected = {"classifier"}.union(*(PARTS[use] for use in USES if uses[use]))
    if uses["use_lstm"] or uses["use_transformer"]:
        expected |= {"frames"}  # a projection without FFNN
    assert set(model.parts) == expected
    if "frames" in expected:
        assert isinstance(model.parts["frames"], nn.Sequential if uses["use_ffnn"] else nn.Linear)
    features = dict(zip(USES, (8, 16, 10, 16), strict=True))  # statistics: twice the width
    assert model.parts["classifier"][1].in_features == sum(features[use] for use in USES if uses[use])
    assert model(*batch()).shape == (5, 4)


def test_adafnn_sees_every_frame_whatever_the_stride():
    models = []
    for stride in (1, 5):
        torch.manual_seed(1)
        models.append(only("use_adafnn", stride_frames=stride).eval())
    x, length = batch()
    assert torch.equal(models[0](x, length), models[1](x, length))


def test_default_size():
    assert 100_000 < sum(weight.numel() for weight in build((300, 64), 8).parameters()) < 250_000


def test_options_reach_the_layers():
    model = build((30, 6), 3, n_bases=5, basis_hidden=[7], basis_dropout=0.3, lstm_layers=2, transformer_layers=3)
    basis = model.parts["basis"]
    assert len(basis.nodes) == 5
    assert [part.p for part in basis.modules() if isinstance(part, nn.Dropout)] == [0.3] * 5
    assert model.parts["head"][0].in_features == 5 * 6
    assert len(model.parts["lstm"].onward) == len(model.parts["lstm"].back) == 2
    assert len(model.parts["transformer"].encoder.layers) == 3
    one_way = build((30, 6), 3, bidirectional=False)
    assert not one_way.parts["lstm"].back


def test_options_that_do_not_go_together():
    with pytest.raises(ValueError, match="are all false; allowed: one or more true"):
        small(**dict.fromkeys(USES, False))
    with pytest.raises(ValueError, match="transformer_width is 10; allowed: a multiple of transformer_heads, 4"):
        small(transformer_width=10, transformer_heads=4)
    with pytest.raises(ValueError, match=r"input has 3 axes, \(1, 48, 48\); allowed: 2, \(time, mel\)"):
        build((1, 48, 48), 7)


def test_narrow_networks():
    tiny = {"n_bases": 1, "basis_hidden": [1], "head_hidden": [1], "ffnn_hidden": [1], "lstm_hidden": 1}
    logits = small(**tiny, transformer_width=1, transformer_heads=1, orthogonality_weight=1.0)(*batch())
    assert logits.isfinite().all()


def test_mixed_precision_keeps_the_grid():
    model, (x, length) = small().eval(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.parts["basis"].evaluate(grid(9)), model.bases(9)[1].T)
        mixed = model(x, length)
    torch.testing.assert_close(mixed.float(), model(x, length), atol=0.1, rtol=0.1)


# ---- ONNX ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("gradients", [True, False])
def test_onnx_with_lengths(stride: int, gradients: bool):
    model, stream = small(stride_frames=stride, lstm_layers=2).eval(), io.BytesIO()
    names, axes = ["x", "length"], {name: {0: "batch"} for name in ("x", "length", "logits")}
    with warnings.catch_warnings(action="ignore"), torch.set_grad_enabled(gradients):
        torch.onnx.export(
            model, batch(2), stream, input_names=names, output_names=["logits"], dynamic_axes=axes, dynamo=False
        )
    session = onnxruntime.InferenceSession(stream.getvalue(), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        x, length = batch(count)
        (logits,) = session.run(None, {"x": x.numpy(), "length": length.numpy()})
        np.testing.assert_allclose(logits, model(x, length).detach().numpy(), atol=1e-4)
