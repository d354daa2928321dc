"""Mixed samples and the weights of their two labels."""

import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from stages.training.mixup import mix

SEEDS = range(400)


def mixed(seed: int, alpha: float = 0.2) -> tuple:
    torch.manual_seed(seed)
    x = torch.arange(6.0).reshape(6, 1, 1).expand(6, 2, 3)  # every value of a sample is its number
    return mix(x, torch.tensor([1, 2, 3, 4, 5, 6]), torch.tensor([10, 11, 12, 13, 14, 15]), alpha)


@pytest.mark.parametrize("seed", range(5))
def test_samples_and_labels_have_the_same_shares(seed: int):
    x, length, [(label, share), (other, rest)] = mixed(seed)
    assert label.tolist() == [10, 11, 12, 13, 14, 15]
    assert sorted(other.tolist()) == label.tolist()
    assert share + rest == 1
    expected = share * (label - 10) + rest * (other - 10)
    np.testing.assert_allclose(x, expected.reshape(6, 1, 1).expand(6, 2, 3), atol=1e-6)
    assert length.tolist() == [max(a, b) - 9 for a, b in zip(label.tolist(), other.tolist(), strict=True)]


def test_shares_of_classes_are_mixed_like_labels():
    torch.manual_seed(3)
    shares = torch.rand(6, 4).softmax(1)
    x, _, [(first, share), (other, rest)] = mix(shares.clone(), torch.ones(6), shares, 0.4)
    assert torch.equal(first, shares)
    np.testing.assert_allclose(x, share * first + rest * other, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_shares_follow_the_beta_distribution(alpha: float):
    shares = [mixed(seed, alpha)[2][0][1] for seed in SEEDS]
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 0.01
