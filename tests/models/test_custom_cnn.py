"""The tuned CNN: sizes by hand and the effect of every option."""

import pytest
import torch
from torch import nn

from stages.models.custom_cnn import build

SHAPE = (1, 48, 48)


def kinds(model: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in model.modules() if isinstance(layer, kind)]


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def test_widths_by_hand():
    # Block 1 → 4: 4·9 + 4·4·9 and two normalisations of 8; block 4 → 6: 6·4·9 + 6·6·9 and two of 12.
    blocks = (36 + 144 + 16) + (216 + 324 + 24)
    # 6 channels of 12x12 → 10 (+ bias, normalisation of 20) → 7 (+ bias).
    head = 6 * 12 * 12 * 10 + 10 + 20 + 10 * 7 + 7
    assert weights(build(SHAPE, 7, widths=[4, 6], hidden=10)) == blocks + head


def test_each_block_halves_the_side():
    model = build(SHAPE, 7, widths=[4, 8, 16, 32])
    x = torch.zeros(2, *SHAPE)
    for block, width, side in zip(model.blocks, [4, 8, 16, 32], [24, 12, 6, 3], strict=True):
        x = block(x)
        assert x.shape == (2, width, side, side)


@pytest.mark.parametrize(("activation", "layer"), [("relu", nn.ReLU), ("leaky_relu", nn.LeakyReLU), ("elu", nn.ELU)])
def test_activation(activation: str, layer: type[nn.Module]):
    model = build(SHAPE, 7, widths=[4, 8], activation=activation)
    assert len(kinds(model, layer)) == 2 * 2 + 1
    assert sum(len(kinds(model, other)) for other in (nn.ReLU, nn.LeakyReLU, nn.ELU)) == 5


def test_residual_adds_the_input():
    plain, residual = (build(SHAPE, 7, widths=[4, 8], residual=on).eval() for on in (False, True))
    assert weights(residual) - weights(plain) == 1 * 4 + 4 * 8  # one 1x1 convolution per block
    for block in residual.blocks:
        nn.init.zeros_(block.convolutions[-1].weight)  # only the shortcut remains
    x = torch.rand(2, *SHAPE)
    first = residual.blocks[0]
    expected = nn.functional.max_pool2d(nn.functional.leaky_relu(first.shortcut(x)), 2)
    torch.testing.assert_close(first(x), expected)


def test_too_many_blocks_for_the_image():
    build((1, 48, 48), 7, widths=[2] * 5)
    with pytest.raises(ValueError, match="widths has 6 entries, each halving 48x48 px; allowed: fewer"):
        build((1, 48, 48), 7, widths=[2] * 6)
