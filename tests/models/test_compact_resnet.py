"""The small residual network: sizes by hand, residual blocks, and test-time augmentation."""

import pytest
import torch
from torch import nn

from stages.models.compact_resnet import Block, build


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def test_weights_by_hand():
    stem = 1 * 9 * 3 + 2 * 3  # 3 channels of 3x3 and a normalisation
    # 3 → 4: two convolutions, a 1x1 shortcut and three normalisations; then 4 → 4 with an identity shortcut
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
    """Initially the second normalisation is 0, so the output is the ReLU of the shortcut."""
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


def test_a_shortcut_has_weights_only_if_the_shape_changes():
    assert isinstance(Block(4, 4, 1).shortcut, nn.Identity)
    assert weights(Block(4, 6, 1).shortcut) == 4 * 6 + 12
    assert weights(Block(4, 4, 2).shortcut) == 4 * 4 + 8


def test_feature_map_layer_outputs_the_last_map():
    model, maps = build((1, 24, 24), 7, widths=[4, 6], tta_views=1).eval(), []
    model.feature_map_layer().register_forward_hook(lambda *args: maps.append(args[-1]))
    x = torch.rand(2, 1, 24, 24)
    logits = model(x)
    assert maps[0].shape == (2, 6, 6, 6)
    torch.testing.assert_close(model.head(maps[0].mean((2, 3))), logits)


@pytest.mark.parametrize("views", [2, 10])
def test_test_time_augmentation_averages_the_probabilities_of_crops_and_mirror_images(views: int):
    plain, augmented = (build((1, 48, 32), 7, widths=[4, 6], dropout=0.0, tta_views=n) for n in (1, views))
    for layer in plain.modules():  # with the initial zeros, mirror images would have almost equal logits
        nn.init.ones_(layer.weight) if isinstance(layer, nn.BatchNorm2d) else None
    augmented.load_state_dict(plain.state_dict())
    x, maps = torch.rand(5, 1, 48, 32), []
    torch.testing.assert_close(augmented(x), plain(x))  # in training mode there is no augmentation
    plain.eval(), augmented.eval()
    augmented.feature_map_layer().register_forward_hook(lambda *args: maps.append(args[-1]))
    margins = (0, 0), (1, 1), (2, 1), (3, 2), (4, 3)  # px of a height of 48 and a width of 32, rounded
    crops = [x[:, :, top : 48 - top, left : 32 - left] for top, left in margins[: views // 2]]
    expected = sum(plain(view).softmax(1) for crop in crops for view in (crop, crop.flip(3))) / views
    torch.testing.assert_close(augmented(x).softmax(1), expected)
    torch.testing.assert_close(augmented(x), augmented(x.flip(3)))
    assert not torch.allclose(plain(x), plain(x.flip(3)), atol=1e-4)
    torch.testing.assert_close(maps[views - 1], plain.stages(plain.stem(x)))


def test_the_published_network_has_at_most_3_m_weights_and_6_mb_in_float16():
    model = build((1, 48, 48), 7)
    assert weights(model) <= 3_000_000
    assert 2 * sum(value.numel() for value in model.state_dict().values()) < 5_900_000
