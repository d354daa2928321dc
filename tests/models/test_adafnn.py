"""AdaFNN's basis layer against closed forms and the notebook, and the options; `test_every_model` tests masking."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from stages.models.adafnn import AdaptiveBasis, Encoder, build, positions, statistics, thin, with_neighbours

SHAPE = (25, 6)
SMALL = {"basis_hidden": [8, 8], "head_hidden": [8], "ffnn_hidden": [8], "lstm_hidden": 5, "dropout": 0.0}
SMALL |= {"transformer_width": 8, "transformer_heads": 2, "transformer_feedforward": 8, "basis_dropout": 0.0}
USES = ("use_adafnn", "use_ffnn", "use_lstm", "use_transformer")


class KnownBasis(nn.Module):
    """A basis with a known function in place of a micro-network."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function, self.scale = function, nn.Parameter(torch.ones(()))

    def forward(self, times: torch.Tensor) -> torch.Tensor:
        return self.scale * self.function(times)


def sine(k: int) -> nn.Module:
    """√2 sin(kπt), orthonormal on [0, 1]."""
    return KnownBasis(lambda t: math.sqrt(2) * torch.sin(k * math.pi * t))


def layer(*nodes: nn.Module, sparsity: float = 0.0, orthogonality: float = 0.0, sampled: int = 9) -> AdaptiveBasis:
    return AdaptiveBasis(list(nodes), sparsity, orthogonality, sampled, sampled)


def small(**options) -> nn.Module:
    return build(SHAPE, 4, **(SMALL | options))


def batch(count: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, *SHAPE), torch.tensor([25, 1, 13, 24, 2])[:count]


def grid(n: int) -> torch.Tensor:
    return torch.linspace(0, 1, n)


def test_inner_products_of_known_curves():
    t = grid(300)
    curves = torch.stack([torch.sin(math.pi * t), torch.sin(2 * math.pi * t), t, torch.ones(300)], dim=1)
    basis = layer(KnownBasis(lambda t: torch.sin(math.pi * t)), KnownBasis(torch.ones_like))
    scores = basis(curves[None], torch.tensor([300]))
    expected = torch.tensor([[1 / 2, 0, 1 / math.pi, 2 / math.pi], [2 / math.pi, 0, 1 / 2, 1]])
    assert scores.shape == (1, 2, 4)
    torch.testing.assert_close(scores[0], expected, atol=2e-5, rtol=0)


def test_scores_on_any_grid_equal_numpys_integrals():
    times = torch.rand(3, 40).sort(dim=1).values
    valid = torch.arange(40) < torch.tensor([[40], [17], [2]])
    x = torch.randn(3, 40, 2)
    scores = layer(sine(1), sine(3)).scores(x, times, valid, torch.arange(3))
    for clip, k, mel in product(range(3), range(2), range(2)):
        t = times[clip][valid[clip]].double().numpy()
        y = math.sqrt(2) * np.sin((1, 3)[k] * math.pi * t) * x[clip, : len(t), mel].numpy()
        assert scores[clip, k, mel].item() == pytest.approx(np.trapezoid(y, t), abs=1e-5)


def test_scores_do_not_depend_on_the_number_of_frames():
    """Every clip covers [0, 1], whatever its length; a single frame scores 0."""
    x = torch.full((3, 200, 1), 1e3)
    for i, n in enumerate((200, 120, 1)):
        x[i, :n, 0] = torch.sin(math.pi * grid(n)) + 1
    scores = layer(sine(1))(x, torch.tensor([200, 120, 1]))[:, 0, 0]
    expected = math.sqrt(2) * (1 / 2 + 2 / math.pi)
    torch.testing.assert_close(scores, torch.tensor([expected, expected, 0.0]), atol=2e-4, rtol=0)


def notebook_node(node: nn.Sequential, t: torch.Tensor) -> torch.Tensor:
    """Compute FeedForward(1, hidden, activation=F.selu) of the notebook with the weights of `node`."""
    linears = [part for part in node if isinstance(part, nn.Linear)]
    norms = [(part.gain, part.shift) for part in node if hasattr(part, "gain")]
    for linear, (alpha, beta) in zip(linears, norms, strict=False):
        t = t @ linear.weight.T + linear.bias
        average, deviation = t.mean(dim=-1, keepdim=True), t.std(dim=-1, keepdim=True) + 1e-6
        t = t + ((t - average) / deviation * alpha + beta)
        t = nn.functional.selu(t)
    return t @ linears[-1].weight.T + linears[-1].bias


def test_micro_networks_equal_the_notebooks():
    basis = small(n_bases=3, basis_hidden=[8, 6, 5]).parts["basis"]
    values = basis.evaluate(grid(50))
    expected = torch.cat([notebook_node(node, grid(50)[:, None]) for node in basis.nodes], dim=1).T
    torch.testing.assert_close(values, expected, atol=1e-5, rtol=1e-4)
    assert values.std(dim=1).min() > 1e-3  # they vary with time


def test_bases_are_evaluated_without_dropout():
    model = small(n_bases=3, basis_dropout=0.5).train()
    times, values = model.bases(7)
    assert times.tolist() == grid(7).tolist()
    assert values.shape == (7, 3)
    assert not values.requires_grad
    assert torch.equal(values, model.bases(7)[1])
    assert all(part.training for part in model.modules())
    assert small(use_adafnn=False).bases(7) is None


def test_orthogonality_penalty_by_hand():
    assert layer(sine(1), sine(2), sine(3), orthogonality=1).penalty().item() == pytest.approx(0, abs=1e-5)
    same = KnownBasis(lambda t: 5 * torch.sin(math.pi * t)), KnownBasis(lambda t: -torch.sin(math.pi * t))
    assert layer(*same, orthogonality=0.3).penalty().item() == pytest.approx(0.3, abs=1e-4)
    # <1, t> / (‖1‖ ‖t‖) = 1/2 · √3
    linear = KnownBasis(torch.ones_like), KnownBasis(lambda t: t)
    assert layer(*linear, orthogonality=1).penalty().item() == pytest.approx(math.sqrt(3) / 2, abs=1e-4)


def test_sparsity_penalty_by_hand():
    # The integrals of the normalised bases √2 |sin πt| and √3 t are 2√2/π and √3/2.
    first, second = 2 * math.sqrt(2) / math.pi, math.sqrt(3) / 2
    nodes = sine(1), KnownBasis(lambda t: -7 * t)
    assert layer(*nodes, sparsity=1).penalty().item() == pytest.approx((first + second) / 2, abs=1e-3)
    sampled = {round(layer(*nodes, sparsity=1, sampled=1).penalty().item(), 2) for _ in range(30)}
    assert sampled == {round(first, 2), round(second, 2)}


def test_penalties_are_added_and_one_basis_has_no_pairs():
    same = KnownBasis(torch.ones_like), KnownBasis(torch.ones_like)
    assert layer(*same, sparsity=0.5, orthogonality=0.25).penalty().item() == pytest.approx(0.75, abs=1e-4)
    assert layer(sine(1), orthogonality=1).penalty().item() == 0
    # sampled pairs are of two different bases
    sampled = [layer(sine(1), sine(2), orthogonality=1, sampled=1).penalty().item() for _ in range(20)]
    assert sampled == pytest.approx([0] * 20, abs=1e-5)


def test_penalty_depends_on_the_seed_and_has_gradients():
    model = small(sparsity_weight=1.0, orthogonality_weight=1.0, sampled_bases=1, sampled_pairs=1)
    penalties = []
    for seed in (1, 1, 2, 3, 4):
        torch.manual_seed(seed)
        penalties.append(model.penalty().item())
    assert penalties[0] == penalties[1]
    assert len(set(penalties)) > 1
    full = small(sparsity_weight=1.0, orthogonality_weight=1.0, sampled_bases=4, sampled_pairs=6)
    full.penalty().backward()
    assert all(weight.grad.isfinite().all() for weight in full.parts["basis"].parameters())
    assert any(weight.grad.any() for weight in full.parts["basis"].parameters())


def test_the_norm_is_a_constant_in_the_gradient():
    """Otherwise the gradient with respect to the scale of a basis would be 0."""
    node = sine(1)
    layer(node, sparsity=1).penalty().backward()
    assert float(node.scale.grad) == pytest.approx(2 * math.sqrt(2) / math.pi, abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [{"orthogonality_weight": 0.0}, {"use_adafnn": False, "sparsity_weight": 1.0, "orthogonality_weight": 1.0}],
)
def test_penalty_can_be_off(options: dict):
    penalty = small(**options).penalty()
    assert penalty.shape == ()
    assert penalty.item() == 0


def test_statistics_and_thinning_use_valid_steps_only():
    y = torch.tensor([[1.0, 3, 5, 7, 9], [1, 3, 5, 100, 100]])[:, :, None]
    valid = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    expected = torch.tensor([[5, 8**0.5], [3, (8 / 3) ** 0.5]])  # mean, standard deviation over n
    torch.testing.assert_close(statistics(y, valid), expected, atol=1e-4, rtol=0)
    thinned, steps = thin(y, valid, 2)
    assert thinned[:, :, 0].tolist() == [[2, 6, 9], [2, 5, 0]]
    assert steps.tolist() == [[True, True, True], [True, True, False]]


def test_neighbours_by_hand():
    x = torch.tensor([[[1.0], [2], [3]]])
    assert with_neighbours(x, 1).tolist() == [[[0, 1, 2], [1, 2, 3], [2, 3, 0]]]
    assert with_neighbours(x, 0).equal(x)


def test_encoder_equals_itself_on_unpadded_clips():
    encoder, (x, length) = Encoder(6, 8, 2, 2, 16, 0.0), batch()
    together = encoder(x, torch.arange(25) < length[:, None])
    for i, n in enumerate(length.tolist()):
        y = encoder.project(x[i : i + 1, :n]) + positions(n, 8)
        steps = encoder.encoder(y)[0]
        expected = torch.cat((steps.mean(0), (steps.var(0, correction=0) + 1e-5).sqrt()))
        torch.testing.assert_close(together[i], expected, atol=1e-5, rtol=1e-4)


PARTS = dict(zip(USES, ({"basis", "head"}, {"frames"}, {"lstm"}, {"transformer"}), strict=True))


@pytest.mark.parametrize("on", [on for on in product((True, False), repeat=4) if any(on)])
def test_every_component_can_be_off(on: tuple[bool, ...]):
    uses = dict(zip(USES, on, strict=True))
    model = small(**uses)
    expected = {"classifier"}.union(*(PARTS[use] for use in USES if uses[use]))
    if uses["use_lstm"] or uses["use_transformer"]:
        expected |= {"frames"}  # a linear projection without FFNN
    assert set(model.parts) == expected
    if "frames" in expected:
        assert isinstance(model.parts["frames"], nn.Sequential if uses["use_ffnn"] else nn.Linear)
    features = dict(zip(USES, (8, 16, 10, 16), strict=True))  # statistics: twice the width
    assert model.parts["classifier"][1].in_features == sum(features[use] for use in USES if uses[use])
    assert model(*batch()).shape == (5, 4)


def test_default_size():
    assert 100_000 < sum(weight.numel() for weight in build((300, 64), 8).parameters()) < 250_000


def test_options_reach_the_layers():
    model = build((30, 6), 3, n_bases=5, basis_hidden=[7], basis_dropout=0.3, lstm_layers=2, transformer_layers=3)
    basis = model.parts["basis"]
    assert len(basis.nodes) == 5
    assert model.parts["head"][0].in_features == 5 * 6
    assert len(model.parts["lstm"].onward) == len(model.parts["lstm"].back) == 2
    assert len(model.parts["transformer"].encoder.layers) == 3
    one_way = build((30, 6), 3, bidirectional=False)
    assert not one_way.parts["lstm"].back


def test_incompatible_options():
    with pytest.raises(ValueError, match="are all false; allowed: one or more true"):
        small(**dict.fromkeys(USES, False))
    with pytest.raises(ValueError, match="transformer_width is 10; allowed: a multiple of transformer_heads, 4"):
        small(transformer_width=10, transformer_heads=4)


def test_bases_are_evaluated_in_float32_under_autocast():
    model, (x, length) = small().eval(), batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(model.parts["basis"].evaluate(grid(9)), model.bases(9)[1].T)
        mixed = model(x, length)
    torch.testing.assert_close(mixed.float(), model(x, length), atol=0.1, rtol=0.1)
