"""Tracking by IoU and optical flow: faces keep their numbers from frame to frame and through short gaps."""

import numpy as np
import pytest

from stages.faces.geometry import intersection_over_union
from stages.faces.tracking import Tracker, move_with_flow

NO_BOXES = np.zeros((0, 4))


def boxes(*rects: tuple[float, ...]) -> np.ndarray:
    return np.array(rects, dtype=float)


def test_intersection_over_union_by_hand():
    iou = intersection_over_union(
        boxes((0, 0, 2, 2), (0, 0, 4, 4)), boxes((0, 0, 2, 2), (1, 1, 2, 2), (2, 0, 2, 2), (9, 9, 1, 1))
    )
    # two squares of area 4 that share a corner of area 1; a square of area 4 inside one of area 16
    assert iou == pytest.approx(np.array([[1, 1 / 7, 0, 0], [1 / 4, 1 / 4, 1 / 4, 0]]))


def test_numbers_do_not_depend_on_the_order_of_boxes():
    tracker = Tracker()
    assert tracker.update(0.0, boxes((0, 0, 10, 10), (50, 0, 10, 10))) == [0, 1]
    assert tracker.update(0.1, boxes((48, 0, 10, 10), (2, 0, 10, 10))) == [1, 0]
    assert tracker.update(0.2, boxes((46, 0, 10, 10), (200, 0, 10, 10), (4, 0, 10, 10))) == [1, 2, 0]


def test_matching_maximises_the_sum_of_ious():
    """The first box overlaps both faces equally, the second one only face 1."""
    tracker = Tracker(min_iou=0.1)
    tracker.update(0.0, boxes((0, 0, 10, 10), (6, 0, 10, 10)))
    assert tracker.update(0.1, boxes((3, 0, 10, 10), (9, 0, 10, 10))) == [0, 1]


@pytest.mark.parametrize(("return_s", "number"), [(0.5, 0), (0.6, 1)])
def test_number_is_kept_through_a_short_gap(return_s: float, number: int):
    tracker = Tracker(max_gap_s=0.5)
    assert tracker.update(0.0, boxes((0, 0, 10, 10))) == [0]
    assert tracker.update(0.1, NO_BOXES) == []
    assert tracker.update(return_s, boxes((1, 1, 10, 10))) == [number]


def test_forgotten_faces_take_no_memory():
    tracker = Tracker(max_gap_s=0.5)
    for number in range(1_000):
        assert tracker.update(number, boxes((0, 0, 10, 10))) == [number]
        tracker.update(number + 0.1, NO_BOXES)
    assert len(tracker._tracks) == 1


def test_consecutive_frames_may_be_seconds_apart():
    tracker = Tracker(max_gap_s=0.5)
    assert [tracker.update(time_s, boxes((time_s, 0, 10, 10))) for time_s in (0.0, 1.0, 3.5)] == [[0], [0], [0]]


def test_boxes_move_with_their_content():
    noise = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(np.float32)
    scene = np.kron(noise, np.ones((4, 4))).astype(np.uint8)  # (120, 160), patches of 4 px
    before, now = scene[:100, :140], scene[2:102, 3:143]  # everything moves by (-3, -2)
    moved = move_with_flow(before, now, boxes((20, 20, 40, 40), (70, 30, 30, 50)))
    assert moved == pytest.approx(boxes((17, 18, 40, 40), (67, 28, 30, 50)), abs=0.3)
    still = boxes((20, 20, 40, 40))
    assert move_with_flow(before, before, still) == pytest.approx(still, abs=0.05)


def test_flow_without_boxes_and_outside_the_frame():
    gray = np.zeros((60, 80), dtype=np.uint8)
    assert move_with_flow(gray, gray, NO_BOXES).shape == (0, 4)
    assert np.isfinite(move_with_flow(gray, gray, boxes((500, 500, 20, 20)))).all()
