"""Which box is which face, through gaps and past each other."""

import numpy as np
import pytest

from stages.apps.tracking import Tracker, follow, overlaps

NONE = np.zeros((0, 4))


def boxes(*found: tuple[float, ...]) -> np.ndarray:
    return np.array(found, dtype=float)


def test_overlaps_by_hand():
    found = overlaps(boxes((0, 0, 2, 2), (0, 0, 4, 4)), boxes((0, 0, 2, 2), (1, 1, 2, 2), (2, 0, 2, 2), (9, 9, 1, 1)))
    # shared over together: 1 of 7 where two squares of 4 share a corner; inside the large one 4 of 16
    assert found == pytest.approx(np.array([[1, 1 / 7, 0, 0], [1 / 4, 1 / 4, 1 / 4, 0]]))


def test_overlaps_of_nothing():
    assert overlaps(NONE, boxes((0, 0, 1, 1))).shape == (0, 1)
    assert overlaps(boxes((3, 3, 0, 0)), boxes((3, 3, 0, 0))) == 0


def test_numbers_follow_the_faces_not_the_order():
    tracker = Tracker()
    assert tracker.update(0.0, boxes((0, 0, 10, 10), (50, 0, 10, 10))) == [0, 1]
    assert tracker.update(0.1, boxes((48, 0, 10, 10), (2, 0, 10, 10))) == [1, 0]
    assert tracker.update(0.2, boxes((46, 0, 10, 10), (200, 0, 10, 10), (4, 0, 10, 10))) == [1, 2, 0]


def test_best_pairs_altogether():
    """Taking the largest overlap first would leave the other face without its box."""
    tracker = Tracker(min_iou=0.1)
    tracker.update(0.0, boxes((0, 0, 10, 10), (6, 0, 10, 10)))
    # the first box overlaps face 0 by 7/13 and face 1 by 7/13; the second overlaps face 1 alone
    assert tracker.update(0.1, boxes((3, 0, 10, 10), (9, 0, 10, 10))) == [0, 1]


def test_small_overlap_is_another_face():
    tracker = Tracker(min_iou=0.3)
    tracker.update(0.0, boxes((0, 0, 10, 10)))
    assert tracker.update(0.1, boxes((6, 0, 10, 10))) == [1]  # 4 of 16


@pytest.mark.parametrize(("back_s", "number"), [(0.5, 0), (0.6, 1)])
def test_number_is_kept_through_a_short_gap(back_s: float, number: int):
    tracker = Tracker(max_gap_s=0.5)
    assert tracker.update(0.0, boxes((0, 0, 10, 10))) == [0]
    assert tracker.update(0.1, NONE) == []  # unseen, not forgotten
    assert tracker.known == {0}
    assert tracker.update(back_s, boxes((1, 1, 10, 10))) == [number]
    assert tracker.known == {number}


def test_the_forgotten_take_no_memory():
    tracker = Tracker(max_gap_s=0.5)
    for number in range(1_000):
        assert tracker.update(number, boxes((0, 0, 10, 10))) == [number]
        tracker.update(number + 0.1, NONE)
    assert tracker.known == {999}


def test_no_frame_no_gap():
    """Pictures taken seconds apart, as a clip."""
    tracker = Tracker(max_gap_s=0.5)
    assert [tracker.update(time_s, boxes((time_s, 0, 10, 10))) for time_s in (0.0, 1.0, 3.5)] == [[0], [0], [0]]


def test_follow_moves_boxes_with_their_content():
    noise = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.float32)
    scene = np.kron(noise, np.ones((4, 4))).astype(np.uint8)  # (120, 160), patches of 4 px
    before, now = scene[:100, :140], scene[2:102, 3:143]  # everything moves by (-3, -2)
    found = follow(before, now, boxes((20, 20, 40, 40), (70, 30, 30, 50)))
    assert found == pytest.approx(boxes((17, 18, 40, 40), (67, 28, 30, 50)), abs=0.3)
    assert follow(before, before, boxes((20, 20, 40, 40))) == pytest.approx(boxes((20, 20, 40, 40)), abs=0.05)


def test_follow_without_boxes_or_out_of_sight():
    gray = np.zeros((60, 80), dtype=np.uint8)
    assert follow(gray, gray, NONE).shape == (0, 4)
    assert np.isfinite(follow(gray, gray, boxes((500, 500, 20, 20)))).all()
