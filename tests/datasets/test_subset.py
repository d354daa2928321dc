"""A seeded part of the training part, in which every class keeps its share."""

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.datasets.subset import stratified

INDICES = np.arange(5, 205)  # 200 of 300 samples
LABEL = np.random.default_rng(0).choice(3, 300, p=[0.6, 0.3, 0.1])


def drawn(count, seed=7):
    return stratified(INDICES, LABEL, count, seed, "studies.faces")


def test_every_class_keeps_its_share():
    found = drawn(50)
    assert len(found) == len(set(found)) == 50
    assert set(found) <= set(INDICES)
    assert list(found) == sorted(found)
    expected = np.bincount(LABEL[INDICES]) / 4
    assert np.abs(np.bincount(LABEL[found]) - expected).max() < 1


def test_drawn_by_the_seed():
    assert (drawn(50) == drawn(50)).all()
    assert set(drawn(50)) != set(drawn(50, seed=8))


@pytest.mark.parametrize("count", [None, 200, 1000])
def test_all_of_them(count):
    assert drawn(count) is INDICES


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_classes(count):
    with pytest.raises(UserError) as caught:
        drawn(count)
    assert str(caught.value) == (
        "studies.faces.train_samples: too few; allowed: enough that every class keeps its share, or null for all 200; "
        f"received: {count}"
    )
