"""A bounded prefetch queue filled by a background thread.

frames = Prefetch("decode", source.frames(), size=8)
faces = Prefetch("faces", locate(frames), size=8)       # locates faces while the next frames are decoded
for face in faces: …
close([frames, faces])                                  # also before the end
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
JOIN_TIMEOUT_S = 12.0  # OpenCV waits up to ten seconds for a silent camera
PUT_TIMEOUT_S = 0.05  # interval of checking `_closed` while the queue is full
_END = object()


class Prefetch(Generic[T]):
    """Iterates over `items` in their order; an error of `items` is raised here, after the items before it.

    When the queue is full, the thread waits. With `newest_only` it drops the oldest item instead, counted in `dropped`.
    `cpu_s` is the thread's processor time, known at the end.
    """

    def __init__(self, name: str, items: Iterable[T], size: int, newest_only: bool = False) -> None:
        self.name, self.dropped, self.cpu_s = name, 0, 0.0
        self._items, self._newest_only = items, newest_only
        self._queue: queue.Queue = queue.Queue(size)
        self._closed, self._ended = threading.Event(), False
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[T]:
        while batch := self.take(1):
            yield batch[0]

    def take(self, count: int) -> list[T]:
        """Return the next `count` items, fewer at the end; [] means the end."""
        batch: list[T] = []
        while len(batch) < count and not self._ended:
            item = self._queue.get()
            if item is _END or self._closed.is_set():
                self._ended = True
            else:
                batch.append(item)
        if not batch and self._error and not self._closed.is_set():
            raise self._error
        return [] if self._closed.is_set() else batch

    def close(self) -> None:
        """End the iteration now; the thread ends after its current item."""
        self._closed.set()
        self._put_dropping_oldest(_END)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # all errors are raised again where the items are taken
            self._error = error
        finally:
            if hasattr(self._items, "close"):
                self._items.close()  # a generator releases its camera or file in the thread that used it
            self.cpu_s = time.thread_time()
            self._put(_END)

    def _put(self, item: object) -> bool:
        """Return False once the queue is closed."""
        if self._newest_only and item is not _END:
            self.dropped += self._put_dropping_oldest(item)
            return not self._closed.is_set()
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=PUT_TIMEOUT_S)
                return True
            except queue.Full:
                continue
        return False

    def _put_dropping_oldest(self, item: object) -> int:
        """Put the item, and return how many items were dropped for it."""
        dropped = 0
        while True:
            try:
                self._queue.put_nowait(item)
                return dropped
            except queue.Full:
                try:
                    self._queue.get_nowait()
                    dropped += 1
                except queue.Empty:
                    continue


def close(stages: list[Prefetch]) -> None:
    """Close all queues first, so that none waits for another, then wait for their threads."""
    for stage in stages:
        stage.close()
    for stage in stages:
        stage.thread.join(JOIN_TIMEOUT_S)
