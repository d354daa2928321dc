"""The small residual network: sizes by hand, what a block adds, and that its weights can be shipped."""

from pathlib import Path

import pytest
import torch
from torch import nn

from stages.models.compact_resnet import Block, build

PARAMS = Path(__file__).parents[2] / "params.yaml"


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def test_weights_by_hand():
    stem = 1 * 9 * 3 + 2 * 3  # 3 channels of 3x3, and a normalisation
    # 3 → 4: two convolutions and the shortcut's 1x1, three normalisations; then 4 → 4, without a shortcut of its own
    first = 3 * 4 * 9 + 4 * 4 * 9 + 3 * 4 + 3 * 8 + 2 * 4 * 4 * 9 + 2 * 8
    second = 4 * 6 * 9 + 6 * 6 * 9 + 4 * 6 + 3 * 12 + 2 * 6 * 6 * 9 + 2 * 12
    assert weights(build((1, 48, 48), 7, widths=[4, 6], stem=3)) == stem + first + second + 6 * 7 + 7


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_blocks_are_of_two_convolutions(blocks: int):
    model = build((1, 24, 24), 7, widths=[4, 6, 8], blocks=blocks)
    kernels = [layer.kernel_size for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert kernels.count((3, 3)) == 1 + 3 * blocks * 2
    assert kernels.count((1, 1)) == 3


@pytest.mark.parametrize("side", [48, 45, 1])
def test_each_stage_halves_the_side_and_rounds_up(side: int):
    model = build((1, side, side), 7, widths=[4, 6, 8]).eval()
    x = model.stem(torch.rand(2, 1, side, side))
    assert x.shape == (2, 32, side, side)
    for stage, width in zip(model.stages, (4, 6, 8), strict=True):
        side = (side + 1) // 2
        x = stage(x)
        assert x.shape == (2, width, side, side)


def test_a_block_adds_its_input():
    """With the second normalisation at 0, as they all begin, what comes is the shortcut behind a ReLU."""
    model, x = build((1, 8, 8), 7, widths=[4, 6]).eval(), torch.rand(2, 32, 8, 8) - 0.5
    strided, plain = model.stages[0]
    pooled = x.reshape(2, 32, 4, 2, 4, 2).mean((3, 5))
    _, convolution, normalisation = strided.shortcut
    expected = normalisation(torch.einsum("bchw,oc->bohw", pooled, convolution.weight[:, :, 0, 0])).clamp(min=0)
    torch.testing.assert_close(strided(x), expected)
    y = torch.rand(2, 4, 4, 4)
    torch.testing.assert_close(plain(y), y)
    nn.init.ones_(plain.convolutions[-1].weight)
    torch.testing.assert_close(plain(y), (y + plain.convolutions(y)).clamp(min=0))
    assert not torch.allclose(plain(y), y)


def test_no_block_has_weights_to_no_end():
    """A shortcut has weights only where the shape changes."""
    assert isinstance(Block(4, 4, 1).shortcut, nn.Identity)
    assert weights(Block(4, 6, 1).shortcut) == 4 * 6 + 12
    assert weights(Block(4, 4, 2).shortcut) == 4 * 4 + 8


def test_dropout_is_before_the_last_layer():
    model = build((1, 24, 24), 7, widths=[4], dropout=0.4)
    assert [layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)] == [0.4]
    assert isinstance(model.head[0], nn.Dropout)


def test_the_layer_for_pictures_gives_the_last_map():
    model, maps = build((1, 24, 24), 7, widths=[4, 6], views=1).eval(), []
    model.feature_map_layer().register_forward_hook(lambda *found: maps.append(found[-1]))
    x = torch.rand(2, 1, 24, 24)
    logits = model(x)
    assert maps[0].shape == (2, 6, 6, 6)
    torch.testing.assert_close(model.head(maps[0].mean((2, 3))), logits)


@pytest.mark.parametrize("views", [2, 10])
def test_answers_are_the_mean_of_views(views: int):
    plain, several = (build((1, 48, 32), 7, widths=[4, 6], dropout=0.0, views=number) for number in (1, views))
    for layer in plain.modules():  # each block begins as its shortcut: mirror images would hardly differ
        nn.init.ones_(layer.weight) if isinstance(layer, nn.BatchNorm2d) else None
    several.load_state_dict(plain.state_dict())
    x, maps = torch.rand(5, 1, 48, 32), []
    torch.testing.assert_close(several(x), plain(x))  # in training
    plain.eval(), several.eval()
    several.feature_map_layer().register_forward_hook(lambda *found: maps.append(found[-1]))
    corners = (0, 0), (1, 1), (2, 1), (3, 2), (4, 3)  # of 48 and of 32 px, rounded
    middles = [x[:, :, top : 48 - top, left : 32 - left] for top, left in corners[: views // 2]]
    expected = sum(plain(one).softmax(1) for middle in middles for one in (middle, middle.flip(3))) / views
    torch.testing.assert_close(several(x).softmax(1), expected)
    torch.testing.assert_close(several(x), several(x.flip(3)))
    assert not torch.allclose(plain(x), plain(x.flip(3)), atol=1e-4)
    torch.testing.assert_close(maps[views - 1], plain.stages(plain.stem(x)))


def test_the_published_network_is_small_enough_to_ship():
    """At most 3 M weights, and with the normalisations' statistics 6 MB in float16."""
    model = build((1, 48, 48), 7)
    assert weights(model) <= 3_000_000
    assert 2 * sum(value.numel() for value in model.state_dict().values()) < 5_900_000  # and the file's header
