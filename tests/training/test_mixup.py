"""Blends of two samples, and what of either's label a network is judged by."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from stages.training.mixup import mix

SEEDS = range(400)


def mixed(seed: int, alpha: float = 0.2) -> tuple:
    torch.manual_seed(seed)
    x = torch.arange(6.0).reshape(6, 1, 1).expand(6, 2, 3)  # a sample is its number, everywhere
    return mix(x, torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([10, 11, 12, 13, 14, 15]), alpha)


@pytest.mark.parametrize("seed", range(5))
def test_a_blend_has_as_much_of_either_as_its_labels_say(seed: int):
    x, length, [(label, share), (other, rest)] = mixed(seed)
    assert label.tolist() == [10, 11, 12, 13, 14, 15]
    assert sorted(other.tolist()) == label.tolist()
    assert share + rest == 1
    of_both = share * (label - 10) + rest * (other - 10)
    np.testing.assert_allclose(x, of_both.reshape(6, 1, 1).expand(6, 2, 3), atol=1e-6)
    assert length.tolist() == [max(a, b) - 9 for a, b in zip(label.tolist(), other.tolist(), strict=True)]


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_shares_are_drawn_as_scipys_beta_draws(alpha: float):
    shares = [mixed(seed, alpha)[2][0][1] for seed in SEEDS]
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.01, 100.0])
def test_at_the_bounds_blends_are_numbers(alpha: float):
    for seed in SEEDS:
        x, _, [(_, share), _] = mixed(seed, alpha)
        assert torch.isfinite(x).all()
        assert 0 <= share <= 1


def test_the_same_seed_blends_alike():
    assert all(torch.equal(a, b) for a, b in zip(mixed(3)[:2], mixed(3)[:2], strict=True))
