"""Recordings in mixed units: groups (subjects) whose level is decades from that of the others.

The features are logarithms of amplitudes, in nats, so that a unit that is wrong by a factor of 1000 adds 6.9. Subjects
differ by up to a factor of 5 or so (1.6 nats), sessions by less.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from stages.core.errors import UserError, warn
from stages.datasets.decoding import Chunk

MAX_FACTOR, WARN_FACTOR = 100.0, 10.0
NAMED = 6  # number of groups that a message names


class Levels:
    """The median level of every sample in nats, by group and session; `kind` None: nothing is noted or required."""

    def __init__(self, kind: Literal["refuse", "warn"] | None) -> None:
        self._kind = kind
        self._levels: dict[str, list[float]] = defaultdict(list)

    def watch(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Yield the chunks unchanged and note their levels."""
        for chunk in chunks:
            for index, record in enumerate(chunk.records if self._kind else ()):
                session = record.extra.get("session")
                name = f"{record.group or ''} session {session}" if session else record.group or ""
                self._levels[name].append(float(np.median(chunk.x[index, : chunk.length[index]])))
            yield chunk

    def require_one_unit(self, where: str) -> None:
        """Raise `UserError` (or warn, by kind) if some groups are a factor of 100 from the others; warn from 10."""
        levels = {name: float(np.median(values)) for name, values in self._levels.items()}
        names = sorted(levels, key=lambda name: levels[name])
        gaps = np.diff([levels[name] for name in names])
        if not len(gaps) or gaps.max() < math.log(WARN_FACTOR):
            return
        low, high = names[: gaps.argmax() + 1], names[gaps.argmax() + 1 :]
        apart = math.exp(np.median([levels[name] for name in high]) - np.median([levels[name] for name in low]))
        message = (
            f"{where}: amplitudes of subjects differ by a factor of {apart:,.0f}: mixed units?; allowed: one unit, "
            f"factors below {MAX_FACTOR:g}; received: low amplitudes of {_some(low)}; high ones of {_some(high)}"
        )
        if self._kind == "refuse" and gaps.max() >= math.log(MAX_FACTOR):
            raise UserError(message)
        warn(message)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(names)} ({', '.join(sorted(names)[:NAMED])}{more})"
