"""The pipeline of a video: one thread per step, joined by short queues.

    decode → faces → classify → draw → write → display

A file is read no faster than its frames are taken. For a camera every queue holds one frame, and the oldest frame is
dropped when a step is busy, so that the display is current.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from stages.faces.follower import Locate
from stages.faces.frames import Source
from stages.live.prefetch import Prefetch, close
from stages.live.recognition import FaceSmoother, LabeledFrame, classify, prepare_faces
from stages.serving.served_run import ServedRun

BATCH_FRAMES = 8  # frames of a file that are classified together and that a queue holds
MAX_HELD_BYTES, HELD_FRAMES = 512 << 20, 7  # all queues and steps together hold up to seven times BATCH_FRAMES


@dataclass
class Pipeline:
    """`draw` changes the image of a frame; None where it is not shown.

    `sinks` receive every frame in order by `add(labeled)`, and are closed by `close()`.
    """

    source: Source
    run: ServedRun
    locate: Locate
    smoother: FaceSmoother
    draw: Callable[[LabeledFrame], None] | None
    sinks: list[Any]
    n_frames: int = 0
    n_with_faces: int = 0  # number of frames with a face
    n_unlike: int = 0  # frames with a face that is unlike the training data
    _stages: list[Prefetch] = field(default_factory=list)
    _started_s: float = 0.0

    def frames(self) -> Iterator[LabeledFrame]:
        """Yield each frame after the sinks have it. An error of a step is raised after the frames before it."""
        self._started_s = time.monotonic()
        frames = self._stage("decode", self.source.frames(), newest_only=self.source.live)
        prepared = self._stage("faces", prepare_faces(self.run, self.locate, frames))
        labeled = self._stage("classify", classify(self.run, self.smoother, prepared, self._batch_frames()))
        if self.draw:
            labeled = self._stage("draw", _passed_to([self.draw], labeled))
        for one in self._stage("write", _passed_to([sink.add for sink in self.sinks], labeled)):
            self.n_frames += 1
            self.n_with_faces += bool(one.faces)
            self.n_unlike += any(face.unlike for face in one.faces)
            yield one

    def close(self) -> None:
        """End the threads, also before the last frame, then close the sinks, even if one of them fails."""
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
        """Return the number of frames, their rate, and the processor time of each step per frame."""
        passed_s = max(time.monotonic() - self._started_s, 1e-9)
        steps = ", ".join(f"{stage.name} {1e3 * stage.cpu_s / max(self.n_frames, 1):.1f}" for stage in self._stages)
        dropped = f", {self._stages[0].dropped:,} dropped" if self.source.live and self._stages else ""
        rate = f"{self.n_frames:,} frames in {passed_s:.1f} s, {self.n_frames / passed_s:.1f} per second"
        return f"{self.source.name}: {rate}{dropped} (processor ms per frame: {steps})"

    def _batch_frames(self) -> int:
        if self.source.live:
            return 1
        return max(1, min(BATCH_FRAMES, MAX_HELD_BYTES // (HELD_FRAMES * max(1, self.source.frame_bytes))))

    def _stage(self, name: str, items: Iterator, newest_only: bool = False) -> Prefetch:
        self._stages.append(Prefetch(name, items, self._batch_frames(), newest_only))
        return self._stages[-1]


def _passed_to(steps: list[Callable[[LabeledFrame], None]], frames: Prefetch) -> Iterator[LabeledFrame]:
    for frame in frames:
        for step in steps:
            step(frame)
        yield frame
