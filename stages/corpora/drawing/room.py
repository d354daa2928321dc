"""From the lips to the file: the room, the microphone's noise and its recordist."""

import numpy as np
from scipy.signal import fftconvolve, lfilter

_LATE_S = 0.015  # the first echo comes after this
_HEADROOM = 0.95


def reverberate(
    dry: np.ndarray, reverberation_s: float, room_db: float, rng: np.random.Generator, sample_rate_hz: int
) -> np.ndarray:
    """Add echoes that fall by 60 dB in `reverberation_s`, together `room_db` beside the direct sound."""
    at = np.arange(int(0.7 * reverberation_s * sample_rate_hz)) / sample_rate_hz
    echoes = rng.normal(size=len(at)) * 10.0 ** (-3.0 * at / reverberation_s) * (at > _LATE_S)
    # Walls and air take the high frequencies first.
    echoes = lfilter([0.5], [1.0, -0.5], echoes)
    echoes *= 10.0 ** (room_db / 20.0) / np.sqrt(np.sum(echoes**2))
    return dry + fftconvolve(dry, echoes)[: len(dry)]


def microphone_noise(count: int, level_dbfs: float, rng: np.random.Generator) -> np.ndarray:
    """Noise (count,) that falls with frequency, as a quiet room's does."""
    noise = lfilter([1.0], [1.0, -0.85], rng.normal(size=count))
    return noise * 10.0 ** (level_dbfs / 20.0) * np.sqrt(1.0 - 0.85**2)


def leave_headroom(sound: np.ndarray) -> np.ndarray:
    """float32 within (-1, 1): who shouts is recorded at a lower gain, not clipped."""
    return (sound / max(1.0, float(np.abs(sound).max()) / _HEADROOM)).astype(np.float32)
