"""The source of the voice, pulses of air through the vocal folds, and its filter, resonances of the vocal tract.

One number sets the shape of a pulse, from pressed (0.35) to lax (2.7): Rd of Fant, "The LF-model revisited",
STL-QPSR 36 (1995), equations 2 to 4. The pulse is Rosenberg's (JASA 49, 1971, pulse C); a one-pole low-pass filter
rounds its corner, as the return phase of the LF model does.
"""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import lfilter

SAMPLE_RATE_HZ = 16_000
LAXNESS_RANGE = (0.35, 2.7)  # where Fant's regression is valid
# The voices of actors are brighter than Fant's model: these two are fitted to the long-term spectra of RAVDESS.
_PROJECTION = 2.5
_PRESENCE_HZ = 1000.0


def pulse_train(
    pitch_hz: np.ndarray, laxness: float, roughness: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the derivative of the air flow, of rms 1, and the flow, 0 to 1; both (samples,) like `pitch_hz`."""
    phase = np.cumsum(pitch_hz) / SAMPLE_RATE_HZ  # in cycles
    cycles = np.arange(int(phase[-1]) + 2.0)
    jitter = rng.normal(0.0, 0.004 + 0.012 * max(roughness, 0.0), len(cycles))  # in cycles: 0.4 % in a healthy voice
    onsets = np.interp(cycles + jitter, phase, np.arange(len(phase)))
    onsets[0] = 0.0
    cycle = np.searchsorted(onsets[1:-1], np.arange(len(phase)), side="right")
    period = np.maximum(np.diff(onsets), 1.0)
    ra, rk, rg = _ratios(laxness)
    closure = min(1.0 / (2.0 * rg) * (1.0 + rk), 0.97)  # in cycles after the opening
    flow = _flow((np.arange(len(phase)) - onsets[cycle]) / period[cycle], closure / (1.0 + rk), closure)
    strength = 1.0 + rng.normal(0.0, 0.02 + 0.05 * max(roughness, 0.0), len(period))  # shimmer
    # The derivative jumps at the closure and would alias. Differences of the flow, which is continuous, are its means
    # over a sample.
    slope = np.diff(flow, prepend=0.0) * (strength * period)[cycle]  # equal closing slopes
    corner_hz = _PROJECTION * float(np.median(pitch_hz)) / (2.0 * np.pi * ra)
    pole, zero = np.exp(-2.0 * np.pi * np.array([corner_hz, _PRESENCE_HZ]) / SAMPLE_RATE_HZ)
    rounded = lfilter([1.0, -zero], [1.0, -pole], slope)
    return rounded / np.sqrt(np.mean(rounded**2)), flow


def _ratios(laxness: float) -> tuple[float, float, float]:
    """Return Fant's Ra, Rk and Rg."""
    ra = (-1.0 + 4.8 * laxness) / 100.0
    rk = (22.4 + 11.8 * laxness) / 100.0
    rg = rk / (4.0 * (0.11 * laxness / (0.5 + 1.2 * rk) - ra))
    return ra, rk, rg


def _flow(position: np.ndarray, peak: float, closure: float) -> np.ndarray:
    rises = position < peak
    rise = np.pi / peak * position
    fall = np.pi / 2 / (closure - peak) * (np.minimum(position, closure) - peak)
    cosine = np.cos(np.where(rises, rise, fall))
    return np.where(rises, 0.5 - 0.5 * cosine, cosine)


def resonators(centres_hz: np.ndarray, bandwidths_hz: np.ndarray) -> np.ndarray:
    """Return all-pole denominators (frames, 2 K + 1) of K cascaded resonances per frame, with gain 1 at 0 Hz."""
    radius = np.exp(-np.pi * bandwidths_hz / SAMPLE_RATE_HZ)
    linear = -2.0 * radius * np.cos(2.0 * np.pi * centres_hz / SAMPLE_RATE_HZ)
    product = np.ones((len(centres_hz), 1))
    for b, c in zip(linear.T[..., None], (radius**2).T[..., None], strict=True):
        longer = np.pad(product, ((0, 0), (0, 2)))
        longer[:, 1:-1] += b * product
        longer[:, 2:] += c * product
        product = longer / (1.0 + b + c)
    return product


def filter_sources(sources: list[np.ndarray], denominators: list[np.ndarray], step: int) -> np.ndarray:
    """Return the sum (frames × step,) of all sources (samples,), each filtered by its denominators (frames, order + 1).

    Each filter is used for `step` samples and cross-faded with the next. A constant filter is applied exactly, except
    that a response longer than 2 steps wraps around.
    """
    frames = len(denominators[0])
    n_fft = next_fast_len(4 * step, real=True)
    spectrum = np.zeros((frames, n_fft // 2 + 1), complex)
    for source, denominator in zip(sources, denominators, strict=True):
        blocks = _blocks(source, frames, step, n_fft)
        active = np.flatnonzero(blocks[:, : 2 * step].any(1))  # silent blocks are skipped
        spectrum[active] += rfft(blocks[active]) / rfft(denominator[active], n_fft)
    return _overlap_add(irfft(spectrum, n_fft), step)[step // 2 :][: frames * step]


def _blocks(source: np.ndarray, frames: int, step: int, n_fft: int) -> np.ndarray:
    """Return windowed blocks (frames, n_fft) of two steps, centred on the frames and followed by zeros."""
    window = np.sin(np.pi * (np.arange(2 * step) + 0.5) / (2 * step)) ** 2  # adds up to 1 at half overlap
    padded = np.zeros((frames + 1) * step)
    padded[step // 2 :][: len(source)] = source
    blocks = np.zeros((frames, n_fft))
    np.multiply(np.lib.stride_tricks.sliding_window_view(padded, 2 * step)[::step], window, out=blocks[:, : 2 * step])
    return blocks


def _overlap_add(blocks: np.ndarray, step: int) -> np.ndarray:
    """Return the sum of blocks (frames, length), each shifted by `step` relative to the one before."""
    frames, length = blocks.shape
    hops = -(-length // step)
    pieces = np.pad(blocks, ((0, 0), (0, hops * step - length))).reshape(frames, hops, step)
    total = np.zeros((frames + hops, step))
    for hop in range(hops):
        total[hop : hop + frames] += pieces[:, hop]
    return total.ravel()
