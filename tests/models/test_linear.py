"""The linear classifier equals a matrix product, and starts with equal probabilities."""

import torch

from stages.models import linear


def test_equals_a_matrix_product():
    model = linear.build((2, 3), 4).eval()
    weight, bias = torch.randn(4, 6), torch.randn(4)
    model.classifier.weight.data, model.classifier.bias.data = weight, bias
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(model(x), torch.stack([weight @ one.flatten() + bias for one in x]))


def test_starts_with_equal_probabilities():
    model = linear.build((4, 256), 7)
    assert torch.equal(model(torch.randn(3, 4, 256)).softmax(1), torch.full((3, 7), 1 / 7))
    assert sum(value.numel() for value in model.parameters()) == 4 * 256 * 7 + 7
