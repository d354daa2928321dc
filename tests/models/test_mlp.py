"""The perceptron equals its matrix products; its size by hand; one speed in training, the mean over all afterwards."""

import torch

from stages.models.mlp import build


def test_equals_its_matrix_products_averaged_over_the_speeds():
    model = build((2, 2, 3), 4, hidden=[5]).eval()
    first, second = (layer for layer in model.layers if isinstance(layer, torch.nn.Linear))
    x = torch.randn(7, 2, 2, 3)
    expected = 0
    for speed in range(2):
        hidden = (x[:, speed].reshape(7, 6) @ first.weight.T + first.bias).clamp(min=0)
        expected = expected + (hidden @ second.weight.T + second.bias) / 2
    torch.testing.assert_close(model(x), expected)


def test_trains_on_one_speed_at_a_time():
    model = build((3, 2, 3), 4, hidden=[5], input_dropout=0.0, dropout=0.0)
    x = torch.randn(200, 3, 2, 3)
    each = torch.stack([model.layers(x[:, speed]) for speed in range(3)], dim=1)  # (B, V, C)
    torch.manual_seed(0)
    found = model.train()(x)
    equal = (each - found[:, None]).abs().amax(2) < 1e-6  # (B, V)
    assert (equal.sum(1) == 1).all()
    assert equal.sum(0).min() > 40  # all speeds are drawn


def test_size_by_hand():
    model = build((3, 6, 256), 4, hidden=[256, 32])
    assert sum(value.numel() for value in model.parameters()) == 1536 * 256 + 256 + 256 * 32 + 32 + 32 * 4 + 4
