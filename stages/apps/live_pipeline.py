"""Frames through all that is done with them, each step in a thread of its own, joined by short queues.

    decode → faces → classify → draw → write → who asks

A file is never read faster than its frames are taken. A camera is: of what waits for a free step, the newest frame is
kept, and no queue is longer than one, so that what is seen is now.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from stages.apps.following import Locate
from stages.apps.frames import Source
from stages.apps.live_faces import Seen, Steadier, classify, find_faces
from stages.apps.running_ahead import Ahead, close
from stages.apps.serving import ServedRun

AT_ONCE = 8  # frames of a file that are asked together, and that wait in a queue,
HELD_BYTES, HELD = 512 << 20, 7  # but fewer large ones: of all steps together, up to seven times as many are held


class Sink(Protocol):
    """What keeps something of every frame."""

    def add(self, seen: Seen) -> None: ...

    def close(self) -> None: ...


@dataclass
class Pipeline:
    """`draw` changes a frame's image; None where nobody looks at it. `sinks` get every frame, in order, drawn."""

    source: Source
    run: ServedRun
    locate: Locate
    steadier: Steadier
    draw: Callable[[Seen], None] | None
    sinks: list[Sink]
    n_frames: int = 0
    _stages: list[Ahead] = field(default_factory=list)
    _started_s: float = 0.0

    def seen(self) -> Iterator[Seen]:
        """Frame after frame, written already. Raises what a step raises, after the frames before it."""
        self._started_s = time.monotonic()
        frames = self._ahead("decode", self.source.frames(), newest_only=self.source.live)
        found = self._ahead("faces", find_faces(self.run, self.locate, frames))
        seen = self._ahead("classify", classify(self.run, self.steadier, found, self._at_once()))
        if self.draw:
            seen = self._ahead("draw", self._drawn(seen))
        for one in self._ahead("write", self._written(seen)):
            self.n_frames += 1
            yield one

    def close(self) -> None:
        """Ends the threads, also before the last frame; then the sinks, each of them whatever befell another."""
        close(self._stages)
        errors = []
        for sink in self.sinks:
            try:
                sink.close()
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def summary(self) -> str:
        """Frames, their rate, and what each step took of a processor's time for one frame."""
        passed_s = max(time.monotonic() - self._started_s, 1e-9)
        count = max(self.n_frames, 1)
        steps = ", ".join(f"{stage.name} {1e3 * stage.cpu_s / count:.1f}" for stage in self._stages)
        dropped = f", {self._stages[0].dropped:,} dropped" if self.source.live and self._stages else ""
        rate = f"{self.n_frames:,} frames in {passed_s:.1f} s, {self.n_frames / passed_s:.1f} a second"
        return f"{self.source.name}: {rate}{dropped} (ms of a processor each: {steps})"

    def _at_once(self) -> int:
        if self.source.live:
            return 1
        return max(1, min(AT_ONCE, HELD_BYTES // (HELD * max(1, self.source.frame_bytes))))

    def _ahead(self, name: str, items: Iterator, newest_only: bool = False) -> Ahead:
        self._stages.append(Ahead(name, items, self._at_once(), newest_only))
        return self._stages[-1]

    def _drawn(self, seen: Ahead[Seen]) -> Iterator[Seen]:
        for one in seen:
            self.draw(one)
            yield one

    def _written(self, seen: Ahead[Seen]) -> Iterator[Seen]:
        for one in seen:
            for sink in self.sinks:
                sink.add(one)
            yield one
