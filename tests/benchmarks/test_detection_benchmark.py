"""Found, missed and false faces are counted as by hand."""

import numpy as np

from benchmarks.detection import compare, haar
from stages.serving.boxes import Box


def test_counts_by_hand():
    """Of the first picture's two faces one is found, twice; the second picture has none, but a box."""
    images = {"a.png": np.zeros((100, 100, 3), np.uint8), "b.png": np.ones((50, 50, 3), np.uint8)}
    points = {"a.png": np.array([[20.0, 20], [80, 80]]), "b.png": np.empty((0, 2))}
    boxes = {100: [Box(10, 10, 20, 20), Box(12, 12, 20, 20)], 50: [Box(0, 0, 9, 9)]}
    figures = compare(lambda image: boxes[len(image)], images, points)
    assert figures.pop("median_ms") >= 0
    assert figures == {"photographs": 2, "faces": 2, "found": 1, "missed": 1, "false": 2}


def test_the_cascade_finds_nothing_in_a_plain_picture():
    assert haar()(np.full((80, 80), 90, np.uint8)) == []
