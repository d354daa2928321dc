"""The filter of the voice: resonances that move with the tongue, applied in short overlapping frames."""

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft


def resonators(centres_hz: np.ndarray, bandwidths_hz: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """All-pole denominators (frames, 2 K + 1) of K cascaded resonances a frame, whose gain is 1 at 0 Hz."""
    radius = np.exp(-np.pi * bandwidths_hz / sample_rate_hz)
    linear = -2.0 * radius * np.cos(2.0 * np.pi * centres_hz / sample_rate_hz)
    product = np.ones((len(centres_hz), 1))
    for b, c in zip(linear.T[..., None], (radius**2).T[..., None], strict=True):
        longer = np.pad(product, ((0, 0), (0, 2)))
        longer[:, 1:-1] += b * product
        longer[:, 2:] += c * product
        product = longer / (1.0 + b + c)
    return product


def apply(sources: list[np.ndarray], denominators: list[np.ndarray], step: int) -> np.ndarray:
    """The sum (frames × step,) of every source (samples,) through its own filters (frames, order + 1).

    A filter holds for `step` samples, cross-faded: one that stays the same is applied exactly, but for ringing longer
    than 2 steps, which wraps around.
    """
    frames = len(denominators[0])
    n_fft = next_fast_len(4 * step, real=True)
    spectrum = np.zeros((frames, n_fft // 2 + 1), complex)
    for source, denominator in zip(sources, denominators, strict=True):
        blocks = _blocks(source, frames, step, n_fft)
        sounds = np.flatnonzero(blocks[:, : 2 * step].any(1))  # silence costs nothing
        spectrum[sounds] += rfft(blocks[sounds]) / rfft(denominator[sounds], n_fft)
    return _overlap_add(irfft(spectrum, n_fft), step)[step // 2 :][: frames * step]


def _blocks(source: np.ndarray, frames: int, step: int, n_fft: int) -> np.ndarray:
    """Windowed blocks (frames, n_fft) of two steps each, around the middles of the frames, then zeros."""
    window = np.sin(np.pi * (np.arange(2 * step) + 0.5) / (2 * step)) ** 2  # adds up to 1 at half overlap
    padded = np.zeros((frames + 1) * step)
    padded[step // 2 :][: len(source)] = source
    blocks = np.zeros((frames, n_fft))
    np.multiply(np.lib.stride_tricks.sliding_window_view(padded, 2 * step)[::step], window, out=blocks[:, : 2 * step])
    return blocks


def _overlap_add(blocks: np.ndarray, step: int) -> np.ndarray:
    """The sum of blocks (frames, length), each `step` later than the one before."""
    frames, length = blocks.shape
    hops = -(-length // step)
    pieces = np.pad(blocks, ((0, 0), (0, hops * step - length))).reshape(frames, hops, step)
    total = np.zeros((frames + hops, step))
    for hop in range(hops):
        total[hop : hop + frames] += pieces[:, hop]
    return total.ravel()
