"""Optimisers: single steps computed by hand, with every option."""

import pytest
import torch

from stages.core import lookup

W, G = 2.0, 0.5


def steps(name: str, count: int = 1, gradient: float = G, **options: object) -> float:
    """Return the weight, which starts at 2, after `count` steps with a constant gradient."""
    weight = torch.nn.Parameter(torch.tensor([W], dtype=torch.float64))
    optimizer = lookup.build("training.optimizers", {"name": name, **options}, [weight])
    for _ in range(count):
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    return weight.item()


def test_adam_first_step_is_the_learning_rate():
    # After bias correction m = g and v = g², so the step is lr·g / (|g| + ε).
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
    # m = 0.5·0.5 - 0.5 = -0.25, divided by 1 - 0.25 for the bias: -1/3; v = 1 after its correction.
    assert weight.item() == pytest.approx(W - 0.1 + 0.1 / 3, abs=1e-6)


def test_weight_decay_is_part_of_adams_gradient_and_decoupled_in_adamw():
    # Adam's normalisation cancels a decay that is added to the gradient; a decoupled one scales the weight.
    assert steps("adam", lr=0.1, weight_decay=0.3) == pytest.approx(W - 0.1)
    assert steps("adamw", lr=0.1, weight_decay=0.3) == pytest.approx(W * (1 - 0.1 * 0.3) - 0.1)


def test_sgd_nesterov():
    assert steps("sgd_nesterov", lr=0.1, momentum=0.0) == pytest.approx(W - 0.1 * G)
    # First the buffer is g and the step g + 0.9g; then the buffer is g + 0.9g and the step g + 0.9·1.9g.
    assert steps("sgd_nesterov", lr=0.1) == pytest.approx(W - 0.1 * 1.9 * G)
    assert steps("sgd_nesterov", 2, lr=0.1) == pytest.approx(W - 0.1 * 1.9 * G - 0.1 * (1 + 0.9 * 1.9) * G)
    assert steps("sgd_nesterov", lr=0.1, momentum=0.0, weight_decay=0.2) == pytest.approx(W - 0.1 * (G + 0.2 * W))


def test_rmsprop():
    assert steps("rmsprop", lr=0.1) == pytest.approx(W - 0.1 / (1 - 0.99) ** 0.5, abs=1e-5)
    assert steps("rmsprop", lr=0.1, alpha=0.75) == pytest.approx(W - 0.1 / 0.25**0.5, abs=1e-5)
