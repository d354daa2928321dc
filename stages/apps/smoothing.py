"""What flickers from frame to frame, steadied, one face each. Times are seconds of the clip, so any frame rate will do.

Each `update` takes the next frame's time, never before the last one's.
"""

import math
from collections import deque
from typing import Protocol

import numpy as np

from stages.core.errors import refuse


class Smoother(Protocol):
    """Of one face: probabilities of a frame in, steadier ones out."""

    def update(self, time_s: float, probabilities: np.ndarray) -> np.ndarray:
        """(n_classes,) → (n_classes,)."""


class Unsmoothed:
    """Probabilities as they come."""

    def update(self, time_s: float, probabilities: np.ndarray) -> np.ndarray:
        """(n_classes,) → (n_classes,)."""
        return probabilities


class MovingAverage:
    """Simple moving average: the mean over the frames of the last `window_s` seconds, this one always among them."""

    def __init__(self, window_s: float) -> None:
        _require_duration("window_s", window_s)
        self.window_s = window_s
        self._recent: deque[tuple[float, np.ndarray]] = deque()

    def update(self, time_s: float, probabilities: np.ndarray) -> np.ndarray:
        """(n_classes,) → (n_classes,)."""
        self._recent.append((time_s, probabilities))
        while self._recent[0][0] <= time_s - self.window_s and len(self._recent) > 1:
            self._recent.popleft()
        return np.mean([earlier for _, earlier in self._recent], axis=0)


class Exponential:
    """Exponential average: what lies `time_constant_s` back counts 1/e, however many frames lie between."""

    def __init__(self, time_constant_s: float) -> None:
        _require_duration("time_constant_s", time_constant_s)
        self.time_constant_s = time_constant_s
        self._average: np.ndarray | None = None
        self._time_s = 0.0

    def update(self, time_s: float, probabilities: np.ndarray) -> np.ndarray:
        """(n_classes,) → (n_classes,)."""
        if self._average is None:
            self._average = np.asarray(probabilities, dtype=float)
        elif self.time_constant_s:
            kept = math.exp((self._time_s - time_s) / self.time_constant_s)
            self._average = kept * self._average + (1 - kept) * probabilities
        else:
            self._average = np.asarray(probabilities, dtype=float)
        self._time_s = time_s
        return self._average


class HeldLabel:
    """The label that is shown: it gives way once another has led for `hold_s` seconds without a break."""

    def __init__(self, hold_s: float) -> None:
        _require_duration("hold_s", hold_s)
        self.hold_s = hold_s
        self._shown: int | None = None
        self._rival, self._since_s = -1, 0.0

    def update(self, time_s: float, leading: int) -> int:
        """The label that leads in this frame → the one to show. The first is shown at once."""
        if self._shown is None or leading == self._shown:
            self._shown = self._rival = leading
        elif leading != self._rival:
            self._rival, self._since_s = leading, time_s
        if self._rival != self._shown and time_s - self._since_s >= self.hold_s:
            self._shown = self._rival
        return self._shown


def _require_duration(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        refuse("no duration", where=name, allowed="0 seconds or more", received=value)
