"""Work that runs ahead of who asks for it, in a thread of its own, by as many items as a queue holds.

frames = Ahead("decode", source.frames(), size=8)
faces = Ahead("faces", locate(frames), size=8)          # takes frames while the decoder decodes the next ones
for face in faces: …
close([frames, faces])                                  # also before the end
"""

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
LEAVING_S = 12.0  # that a thread may take to end: OpenCV waits ten for a camera that says nothing


class Ahead(Generic[T]):
    """Iterates over `items` in the same order; what they raise is raised here, after all that came before it.

    A full queue makes the thread wait. With `newest_only` it drops what has waited longest, and counts it in `dropped`.
    """

    def __init__(self, name: str, items: Iterable[T], size: int, newest_only: bool = False) -> None:
        self.name, self.dropped, self.cpu_s = name, 0, 0.0
        self._items, self._size, self._newest_only = items, size, newest_only
        self._queue: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        while taken := self.take(1):
            yield taken[0]

    def take(self, limit: int, all_of_them: bool = False) -> list[T]:
        """What waits, 1 to `limit` items; with `all_of_them` exactly `limit`, but at the end. [] means the end."""
        least = min(limit, self._size) if all_of_them else 1
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) >= least or self._ended or self._closed)
            taken = [self._queue.popleft() for _ in range(min(limit, len(self._queue)))] if not self._closed else []
            self._changed.notify_all()
            if not taken and self._error and not self._closed:
                raise self._error
        return taken

    def close(self) -> None:
        """From now on there is nothing to take; the thread ends with the item it is at."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()

    def join(self, timeout_s: float = LEAVING_S) -> None:
        """Wait for the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # of whatever kind, it is the taker's
            self._error = error
        finally:
            if hasattr(self._items, "close"):
                self._items.close()  # a generator lets go of its camera or file in the thread that used it
            with self._changed:
                self._ended, self.cpu_s = True, time.thread_time()
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        """False where nobody takes any more."""
        with self._changed:
            if self._newest_only and len(self._queue) >= self._size:
                self._queue.popleft()
                self.dropped += 1
            self._changed.wait_for(lambda: len(self._queue) < self._size or self._closed)
            if not self._closed:
                self._queue.append(item)
                self._changed.notify_all()
            return not self._closed


def close(stages: Iterable[Ahead]) -> None:
    """All of them first, so that none waits for another; then their threads are waited for."""
    stages = list(stages)
    for stage in stages:
        stage.close()
    for stage in stages:
        stage.join()
