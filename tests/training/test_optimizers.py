"""Optimisers: each a step worked by hand, and every option where it belongs."""

import pytest
import torch

from stages.core import lookup

W, G = 2.0, 0.5


def steps(name: str, count: int = 1, gradient: float = G, **options: object) -> float:
    """The weight 2 after `count` steps on a constant gradient."""
    weight = torch.nn.Parameter(torch.tensor([W], dtype=torch.float64))
    optimizer = lookup.build("training.optimizers", {"name": name, **options}, [weight])
    for _ in range(count):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    return weight.item()


def test_adam_first_step_is_the_learning_rate():
    # bias-corrected, m = g and v = g²: the step is lr·g / (|g| + ε)
    assert steps("adam", lr=0.1) == pytest.approx(W - 0.1)
    assert steps("adam", lr=0.1, epsilon=0.5) == pytest.approx(W - 0.1 * 0.5 / (0.5 + 0.5))


def test_adam_second_step_after_a_change_of_gradient():
    weight = torch.nn.Parameter(torch.tensor([W], dtype=torch.float64))
    optimizer = lookup.build(
        "training.optimizers", {"name": "adam", "lr": 0.1, "beta_1": 0.5, "beta_2": 0.75}, [weight]
    )
    for gradient in (1.0, -1.0):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    # m = .5·.5 - .5 = -.25, corrected by 1 - .25 → -1/3; v = 1 after correction
    assert weight.item() == pytest.approx(W - 0.1 + 0.1 / 3, abs=1e-6)


def test_weight_decay_inside_adam_and_beside_adamw():
    # added to the gradient, Adam's normalisation swallows it; decoupled, the weight shrinks by lr·decay
    assert steps("adam", lr=0.1, weight_decay=0.3) == pytest.approx(W - 0.1)
    assert steps("adamw", lr=0.1, weight_decay=0.3) == pytest.approx(W * (1 - 0.1 * 0.3) - 0.1)


def test_sgd_nesterov():
    assert steps("sgd_nesterov", lr=0.1, momentum=0.0) == pytest.approx(W - 0.1 * G)
    # look-ahead: buffer g, step g + .9g; then buffer g + .9g, step g + .9·1.9g
    assert steps("sgd_nesterov", lr=0.1) == pytest.approx(W - 0.1 * 1.9 * G)
    assert steps("sgd_nesterov", 2, lr=0.1) == pytest.approx(W - 0.1 * 1.9 * G - 0.1 * (1 + 0.9 * 1.9) * G)
    assert steps("sgd_nesterov", lr=0.1, momentum=0.0, weight_decay=0.2) == pytest.approx(W - 0.1 * (G + 0.2 * W))


def test_rmsprop():
    assert steps("rmsprop", lr=0.1) == pytest.approx(W - 0.1 / (1 - 0.99) ** 0.5, abs=1e-5)
    assert steps("rmsprop", lr=0.1, alpha=0.75) == pytest.approx(W - 0.1 / 0.25**0.5, abs=1e-5)


@pytest.mark.parametrize("name", lookup.names("training.optimizers"))
def test_each_goes_downhill(name: str):
    weight = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = lookup.build("training.optimizers", {"name": name, "lr": 0.05}, [weight])
    for _ in range(60):
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        optimizer.step()
    assert weight.square().sum() < 0.5 * 13
    assert optimizer.param_groups[0]["lr"] == 0.05
