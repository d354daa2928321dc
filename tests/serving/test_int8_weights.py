"""Weights in 8-bit integers: by hand, what comes back, and what is left as it is."""

import torch

from stages.serving.int8_weights import pack, unpack


def test_rows_have_their_own_scale_by_hand():
    packed = pack({"w": torch.tensor([[1.27, -0.5], [0.0, 254.0]]), "b": torch.tensor([0.1])})
    assert packed["w"].tolist() == [[127, -50], [0, 127]]
    torch.testing.assert_close(packed["w.scale"], torch.tensor([0.01, 2.0]))
    assert packed["b"].dtype == torch.float16
    torch.testing.assert_close(unpack(packed)["w"], torch.tensor([[1.27, -0.5], [0.0, 254.0]]))


def test_rows_of_zeros_and_whole_numbers_stay():
    weights = {"w": torch.zeros(2, 3, 1, 1), "steps": torch.tensor(7)}
    back = unpack(pack(weights))
    assert back.keys() == weights.keys()
    assert torch.equal(back["w"], weights["w"])
    assert back["steps"].dtype == torch.int64


def test_integers_without_a_scale_of_their_rows_are_left_for_the_checks():
    alone = {"w": torch.ones(2, 3, dtype=torch.int8)}
    assert unpack(alone)["w"].dtype == torch.int8
    other = alone | {"w.scale": torch.ones(3)}
    assert unpack(other).keys() == {"w", "w.scale"}
