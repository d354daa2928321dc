"""Prefetch queues keep all items in order, drop the oldest for a camera, and end their threads."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stages.live.prefetch import Prefetch, close


def becomes_true(condition: Callable[[], bool]) -> bool:
    """Return whether the condition is true within five seconds."""
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:
        time.sleep(0.002)
    return condition()


def test_items_keep_their_order_through_several_stages():
    numbers = Prefetch("numbers", range(500), size=3)
    doubled = Prefetch("doubled", (2 * number for number in numbers), size=2)
    assert list(doubled) == [2 * number for number in range(500)]
    assert numbers.dropped == doubled.dropped == 0
    close([numbers, doubled])


def test_thread_waits_while_the_queue_is_full():
    started: list[int] = []
    stage = Prefetch("numbers", (started.append(number) or number for number in range(100)), size=4)
    assert becomes_true(lambda: len(started) == 5)  # four in the queue, and one that waits for room
    time.sleep(0.05)
    assert len(started) == 5
    assert stage.take(1) == [0]
    assert becomes_true(lambda: len(started) == 6)
    close([stage])
    assert "numbers" not in {thread.name for thread in threading.enumerate()}


def test_newest_only_drops_the_oldest_items():
    stage = Prefetch("camera", range(100), size=1, newest_only=True)
    assert becomes_true(lambda: stage.dropped == 99)
    assert list(stage) == [99]


@pytest.mark.parametrize("size", [2, 4, 20])
def test_take_returns_exactly_as_many_items_until_the_end(size: int):
    stage = Prefetch("numbers", range(11), size)
    assert [stage.take(4) for _ in range(5)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10], [], []]


def failing() -> Iterator[int]:
    yield from range(5)
    raise ValueError("unplugged")


def test_an_error_is_raised_after_the_last_incomplete_batch():
    first = Prefetch("failing", failing(), size=8)
    stage = Prefetch("next", (number for number in first), size=8)
    assert [stage.take(3), stage.take(3)] == [[0, 1, 2], [3, 4]]
    with pytest.raises(ValueError, match="unplugged"):
        stage.take(3)


@pytest.mark.parametrize("newest_only", [False, True])
def test_close_ends_all_threads_and_generators(newest_only: bool):
    closed_in: list[str] = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed_in.append(threading.current_thread().name)

    source = Prefetch("source", endless(), size=2, newest_only=newest_only)
    copy = Prefetch("copy", (number for number in source), size=2)
    assert next(iter(copy)) == 1
    close([source, copy])
    assert closed_in == ["source"]  # in the thread that used it
    assert not {"source", "copy"} & {thread.name for thread in threading.enumerate()}
    assert copy.take(1) == []


def test_close_wakes_a_stage_that_waits_for_items():
    may_end = threading.Event()

    def silent() -> Iterator[int]:
        may_end.wait(5)
        yield 1

    source = Prefetch("silent", silent(), size=2)
    copy = Prefetch("copy", (number for number in source), size=2)
    source.close()
    copy.close()
    copy.thread.join(5)
    assert "copy" not in {thread.name for thread in threading.enumerate()}
    may_end.set()
    close([source])
