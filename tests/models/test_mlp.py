"""The perceptron equals its matrix products; its size by hand."""

import torch

from stages.models.mlp import build


def test_equals_its_matrix_products():
    model = build((2, 3), 4, hidden=[5]).eval()
    first, second = (layer for layer in model.layers if isinstance(layer, torch.nn.Linear))
    x = torch.randn(7, 2, 3)
    hidden = (x.reshape(7, 6) @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(model(x), hidden @ second.weight.T + second.bias)


def test_size_by_hand():
    model = build((6, 256), 4, hidden=[256, 32])
    assert sum(value.numel() for value in model.parameters()) == 1536 * 256 + 256 + 256 * 32 + 32 + 32 * 4 + 4
