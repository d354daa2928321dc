"""Test-time augmentation: the views of an image, and the mean of their probabilities."""

import torch

from stages.core import tta


def test_crops_by_hand():
    assert tta.crops(48, 32, 2) == [(slice(0, 48), slice(0, 32))]
    margins = (4, 3), (3, 2), (2, 1), (1, 1), (0, 0)  # px at each edge of a height of 48 and a width of 32, rounded
    assert tta.crops(48, 32, 10) == [(slice(y, 48 - y), slice(x, 32 - x)) for y, x in margins]


def test_each_crop_follows_its_mirror_image_and_the_whole_image_is_last():
    x = torch.arange(2 * 48 * 48.0).view(1, 2, 48, 48)
    views = list(tta.views(x, tta.crops(48, 48, 10)))
    assert len(views) == 10
    assert torch.equal(views[0], x[..., 4:44, 4:44].flip(3))
    assert torch.equal(views[1], x[..., 4:44, 4:44])
    assert torch.equal(views[-2], x.flip(3))
    assert torch.equal(views[-1], x)


def test_probabilities_are_averaged_not_logits():
    logits = [torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 3.0]]).log_softmax(1) + 7]
    expected = (torch.tensor([[0.5, 0.5]]) + torch.tensor([[0.0, 3.0]]).softmax(1)) / 2
    torch.testing.assert_close(tta.log_mean_probability(torch.stack(logits)).exp(), expected)
