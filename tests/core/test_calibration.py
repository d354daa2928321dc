"""Temperatures: against a fit by PyTorch, and their effect on probabilities."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from stages.core.calibration import PRIOR_SD, RANGE, fit_temperature, tempered


def sampled(scale: float, n: int = 4000, n_classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return labels drawn from softmax(z), and the logits scale · z."""
    random = np.random.default_rng(0)
    z = random.normal(0, 1.5, (n, n_classes))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    labels = (p.cumsum(1) > random.random((n, 1))).argmax(1)
    return labels, scale * z


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("n", [40, 4000])
def test_equals_gradient_descent(scale: float, n: int):
    labels, logits = sampled(scale, n)
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=200, tolerance_grad=1e-10)

    def closure():
        optimizer.zero_grad()
        likelihood = F.cross_entropy(torch.from_numpy(logits) / log_t.exp(), torch.from_numpy(labels), reduction="sum")
        prior = torch.distributions.Normal(torch.tensor(0.0, dtype=torch.float64), PRIOR_SD).log_prob(log_t)
        loss = (likelihood - prior) / n
        loss.backward()
        return loss

    optimizer.step(closure)
    found = fit_temperature(labels, logits)
    assert found == pytest.approx(log_t.exp().item(), abs=2e-4)
    if n == 4000:
        assert found == pytest.approx(scale, rel=0.06)  # the labels were drawn at temperature 1 / scale


def test_few_samples_move_it_little():
    """Of calibrated logits, the temperature of 40 samples would vary by a quarter; its error is halved here."""
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        z = random.normal(0, 1.5, (40, 5))
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        found.append(fit_temperature((p.cumsum(1) > random.random((40, 1))).argmax(1), z))
    assert np.sqrt(np.mean(np.log(found) ** 2)) < 0.16


def test_logarithms_of_probabilities_are_logits():
    labels, logits = sampled(2.0)
    p = np.exp(logits - logits.max(1, keepdims=True))
    assert fit_temperature(labels, np.log(p / p.sum(1, keepdims=True))) == fit_temperature(labels, logits)


def test_does_not_converge_with_only_mistakes():
    labels = np.arange(60_000) % 3
    right, wrong = (2.0 * np.eye(3)[(labels + shift) % 3] for shift in (0, 1))
    assert fit_temperature(labels, wrong) is None
    assert 2 < fit_temperature(labels[:30], wrong[:30]) < 2.5  # too few to say so
    assert 0.1 < fit_temperature(labels, right) < 0.3 < fit_temperature(labels[:30], right[:30]) < 1


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.full((5, 3), np.nan), np.full((5, 3), np.inf)])
def test_needs_samples_with_finite_logits(logits: np.ndarray):
    with pytest.raises(ValueError, match=f"logits of {len(logits)} samples"):
        fit_temperature(np.zeros(len(logits), dtype=int), logits)


def test_a_mean_at_chance_has_no_temperature():
    labels, logits = sampled(1.0)
    assert fit_temperature(np.random.default_rng(1).permutation(labels), 40 * logits) is None


@pytest.mark.parametrize("temperature", [RANGE[0], 0.5, 1.0, 2.5])
def test_tempered_equals_softmax_of_divided_logits(temperature: float):
    logits = np.random.default_rng(2).normal(0, 2, (50, 4))
    p = torch.from_numpy(logits).softmax(1).numpy()
    expected = (torch.from_numpy(logits) / temperature).softmax(1).numpy()
    np.testing.assert_allclose(tempered(p, temperature), expected, rtol=1e-9)
    np.testing.assert_allclose(tempered(tempered(p, temperature), 1 / temperature), p, rtol=1e-6, atol=1e-9)
    assert (tempered(p, temperature).argmax(1) == p.argmax(1)).all()


def test_a_probability_of_zero_stays_tiny():
    p = np.array([[1.0, 0.0]], np.float32)
    assert tempered(p, 2.0).dtype == np.float32
    assert np.isfinite(tempered(p, 2.0)).all()
    assert tempered(p, 2.0)[0, 1] < 1e-15
