"""The source of the voice: pulses of air through the vocal folds, and the noise of that air.

One number sets the shape of a pulse, from pressed (0.35) to lax (2.7): Rd of Fant, "The LF-model revisited",
STL-QPSR 36 (1995), equations 2 to 4. The pulse itself is Rosenberg's (JASA 49, 1971, pulse C), whose corner a
one-pole low-pass rounds as LF's return phase does.
"""

import numpy as np
from scipy.signal import lfilter

LAXNESS_RANGE = (0.35, 2.7)  # where Fant's regression holds
# Actors before a microphone are brighter than Fant's model: these two give RAVDESS's long-term spectra.
_PROJECTION = 2.5
_PRESENCE_HZ = 1000.0


def pulse_train(
    pitch_hz: np.ndarray, laxness: float, roughness: float, rng: np.random.Generator, sample_rate_hz: int
) -> tuple[np.ndarray, np.ndarray]:
    """Derivative of the flow, rms 1, and the flow itself, 0 to 1; both like `pitch_hz` (samples,)."""
    phase = np.cumsum(pitch_hz) / sample_rate_hz  # in cycles
    cycles = np.arange(int(phase[-1]) + 2.0)
    onsets = np.interp(cycles + _jitter(len(cycles), roughness, rng), phase, np.arange(len(phase)))
    onsets[0] = 0.0
    cycle = np.searchsorted(onsets[1:-1], np.arange(len(phase)), side="right")
    period = np.maximum(np.diff(onsets), 1.0)
    peak, closure = _times(laxness)
    flow = _flow((np.arange(len(phase)) - onsets[cycle]) / period[cycle], peak, closure)
    strength = 1.0 + rng.normal(0.0, 0.02 + 0.05 * max(roughness, 0.0), len(period))  # shimmer
    # The derivative jumps at the closure and would alias; differences of the flow, which does not, are its means.
    slope = np.diff(flow, prepend=0.0) * (strength * period)[cycle]  # equal closing slopes
    rounded = _round_corner(slope, laxness, float(np.median(pitch_hz)), sample_rate_hz)
    return rounded / np.sqrt(np.mean(rounded**2)), flow


def _jitter(count: int, roughness: float, rng: np.random.Generator) -> np.ndarray:
    """Shifts of the pulses in cycles: 0.4 % in a healthy voice."""
    return rng.normal(0.0, 0.004 + 0.012 * max(roughness, 0.0), count)


def _ratios(laxness: float) -> tuple[float, float, float]:
    """Fant's Ra, Rk and Rg."""
    ra = (-1.0 + 4.8 * laxness) / 100.0
    rk = (22.4 + 11.8 * laxness) / 100.0
    rg = rk / (4.0 * (0.11 * laxness / (0.5 + 1.2 * rk) - ra))
    return ra, rk, rg


def _times(laxness: float) -> tuple[float, float]:
    """When the flow peaks and when the folds close, in cycles from the opening."""
    _, rk, rg = _ratios(laxness)
    peak = 1.0 / (2.0 * rg)
    closure = min(peak * (1.0 + rk), 0.97)
    return closure / (1.0 + rk), closure


def _flow(position: np.ndarray, peak: float, closure: float) -> np.ndarray:
    rises = position < peak
    rise = np.pi / peak * position
    fall = np.pi / 2 / (closure - peak) * (np.minimum(position, closure) - peak)
    cosine = np.cos(np.where(rises, rise, fall))
    return np.where(rises, 0.5 - 0.5 * cosine, cosine)


def _round_corner(slope: np.ndarray, laxness: float, pitch_hz: float, sample_rate_hz: int) -> np.ndarray:
    ra, _, _ = _ratios(laxness)
    corner_hz = _PROJECTION * pitch_hz / (2.0 * np.pi * ra)
    pole, zero = np.exp(-2.0 * np.pi * np.array([corner_hz, _PRESENCE_HZ]) / sample_rate_hz)
    return lfilter([1.0, -zero], [1.0, -pole], slope)
