"""Threads joined by queues: nothing is lost or changes places, a camera's frames apart, and nothing is left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from stages.apps.running_ahead import Ahead, close


def waited_for(condition) -> bool:
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    return condition()


def test_everything_in_order_through_several_steps():
    numbers = Ahead("numbers", range(500), size=3)
    doubled = Ahead("doubled", (2 * number for number in numbers), size=2)
    assert list(doubled) == [2 * number for number in range(500)]
    assert numbers.dropped == doubled.dropped == 0
    close([numbers, doubled])


def test_runs_ahead_by_no_more_than_the_queue_holds():
    begun: list[int] = []
    stage = Ahead("begun", (begun.append(number) or number for number in range(100)), size=4)
    assert waited_for(lambda: len(begun) == 5)  # four wait, one is at the door
    time.sleep(0.05)
    assert len(begun) == 5
    assert stage.take(1) == [0]
    assert waited_for(lambda: len(begun) == 6)
    close([stage])
    assert waited_for(lambda: "begun" not in {thread.name for thread in threading.enumerate()})


def test_of_a_camera_the_newest_is_kept():
    stage = Ahead("camera", range(100), size=1, newest_only=True)
    assert waited_for(lambda: stage.dropped == 99)
    assert list(stage) == [99]


def test_takes_as_many_as_are_asked_for_and_at_the_end_the_rest():
    stage = Ahead("numbers", range(11), size=4)
    assert [stage.take(4, all_of_them=True) for _ in range(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], []]
    stage = Ahead("numbers", range(5), size=2)
    assert stage.take(4, all_of_them=True) in ([0, 1], [0, 1, 2])  # no more can ever wait


def broken() -> Iterator[int]:
    yield from range(5)
    raise ValueError("unplugged")


def test_an_error_comes_after_all_that_came_before_it():
    first = Ahead("broken", broken(), size=8)
    second = Ahead("next", (number for number in first), size=8)
    found = []
    with pytest.raises(ValueError, match="unplugged"):
        found.extend(second)
    assert found == list(range(5))
    first = Ahead("broken", broken(), size=8)
    assert [first.take(3, all_of_them=True) for _ in range(2)] == [[0, 1, 2], [3, 4]]


def endless(left: list[str]) -> Iterator[int]:
    try:
        while True:
            yield 1
    finally:
        left.append(threading.current_thread().name)


def test_closing_early_ends_every_thread_and_lets_go_of_what_was_open():
    left: list[str] = []
    source = Ahead("source", endless(left), size=2)
    passed = Ahead("passed", (number for number in source), size=2)
    assert next(iter(passed)) == 1
    close([source, passed])
    assert left == ["source"]
    assert not {"source", "passed"} & {thread.name for thread in threading.enumerate()}
    assert passed.take(1) == []


def test_counts_processor_time_of_its_thread():
    stage = Ahead("sums", (sum(range(200_000)) for _ in range(20)), size=20)
    list(stage)
    close([stage])
    assert stage.cpu_s > 0.005
