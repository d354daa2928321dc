"""Conditioning of speech before its features: one channel, trimmed, without DC offset, resampled, of one level."""

import numpy as np
import soxr

from stages.core.records import DamagedSample

QUIETEST = 1e-4  # -80 dB of full scale: speech is louder, the rounding of 16 bits is 20 dB below
TOP_DB = 80.0  # without `trim_db`, what is further below the loudest moment is not speech
TRIM_HOP_S = 0.032  # as in librosa.effects.trim: 512 samples at 16 kHz, with windows four times as long
MIN_SPEECH_S = 0.1  # less than a syllable; a click is shorter
MAX_CREST = 10.0  # of a frame: largest mean power relative to what three of its four hops reach; above: a click
SPEECH_MARGIN_S = 0.5  # a click or knock further away than this from all speech is trimmed with the silence
DC_RATIO = 0.1  # a mean above this share of the RMS is removed; of RAVDESS's clips, none has more than 0.03
LEVEL_DBFS = -30.0  # of clips brought to the same level, as in training the speaker encoder (`core.ge2e`)
DC_HOPS = 31  # one second, over which speech and rumble have a mean of zero


def waveform(
    signal: np.ndarray, rate_hz: float, sample_rate_hz: int, trim_db: float | None, normalize_level: bool
) -> np.ndarray:
    """Return `signal` (channels, samples) as mono (samples,) at `sample_rate_hz`, trimmed, of any length.

    `trim_db`: silence at both ends, more than this below the loudest moment of speech, is removed. `normalize_level`:
    the RMS is brought to `LEVEL_DBFS`. Raises `DamagedSample` for less than `MIN_SPEECH_S` of sound.
    """
    mono = _mono(signal)
    bounds = speech_bounds(mono, rate_hz, trim_db)
    if trim_db is not None:  # before resampling, which halves its work: half of RAVDESS is silence
        mono = mono[bounds]
    mono = _without_dc(mono)
    if normalize_level:
        mono = mono * np.float32(10 ** (LEVEL_DBFS / 20) / np.sqrt(np.vecdot(mono, mono) / len(mono)))
    return soxr.resample(mono, rate_hz, sample_rate_hz)


def _mono(signal: np.ndarray) -> np.ndarray:
    """Return the mean (samples,) of the channels, or the loudest of channels that cancel each other."""
    if len(signal) == 1:
        return signal[0]
    mono = signal.mean(axis=0)
    power = signal.var(axis=1)  # (channels,)
    # Independent channels keep 1 / channels of their mean power, and so does one voice beside silent channels.
    return signal[power.argmax()] if mono.var() < power.mean() / (2 * len(signal)) else mono


def _without_dc(mono: np.ndarray) -> np.ndarray:
    """Subtract the mean, if it is not negligible: clean clips keep their values to the last bit."""
    mean = mono.mean()
    return mono - mean if mean**2 > DC_RATIO**2 * np.vecdot(mono, mono) / len(mono) else mono


def speech_bounds(mono: np.ndarray, rate_hz: float, trim_db: float | None) -> slice:
    """Return where `mono` (samples,) holds speech. Raises `DamagedSample` if less than `MIN_SPEECH_S` of it is sound.

    For clips without clicks and DC offset, the bounds are those of `librosa.effects.trim` with frames of 128 ms every
    32 ms. A frame is four hops. What is loud for less than three of them (a click, the edge of an offset) is no speech:
    it neither sets the reference level, nor extends the bounds by more than `SPEECH_MARGIN_S`.
    """
    hop = round(TRIM_HOP_S * rate_hz)
    lasting, power = _loudness(mono, hop)
    if len(mono) < MIN_SPEECH_S * rate_hz or lasting.max() < QUIETEST**2:
        allowed = f"{MIN_SPEECH_S} s or more above {20 * np.log10(QUIETEST):.0f} dBFS"
        received = f"{len(mono) / rate_hz:.3g} s of silence or clicks"
        raise DamagedSample(f"too little speech; allowed: {allowed}; received: {received}")
    below = 10 ** -((trim_db or TOP_DB) / 10)
    first, last = np.flatnonzero(lasting > below * lasting.max())[[0, -1]]
    reference = min(power[first : last + 1].max(), MAX_CREST * lasting.max())
    margin = round(SPEECH_MARGIN_S / TRIM_HOP_S)
    start = max(0, first - margin)
    loud = start + np.flatnonzero(power[start : last + margin + 1] > below * reference)
    return slice(loud[0] * hop, (loud[-1] + 1) * hop)


def _loudness(mono: np.ndarray, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, per frame of four hops, the power that three of its hops reach, and its mean power, both without DC."""
    hops = len(mono) // hop  # whole hops; a shorter one may follow
    count, total, energy = np.zeros((3, hops + 4))  # with two hops of silence before and after
    for at, part in (
        (slice(2, hops + 2), mono[: hops * hop].reshape(hops, hop)),
        (slice(hops + 2, hops + 3), mono[hops * hop :].reshape(1, -1)),
    ):
        count[at] = part.shape[1]
        total[at] = part @ np.ones(part.shape[1], part.dtype)
        energy[at] = np.vecdot(part, part)
    if not _has_dc(total, energy, hop):
        total[:] = 0
    elif mono.dtype != np.float64:  # a difference of large numbers needs float64
        return _loudness(mono.astype(np.float64), hop)
    lasting = np.sort(_frames(energy - total**2 / np.maximum(count, 1)), axis=0)[1] / hop
    energy, total, count = (_frames(values).sum(axis=0) for values in (energy, total, count))
    return lasting, (energy - total**2 / np.maximum(count, 1)) / (4 * hop)


def _frames(values: np.ndarray) -> np.ndarray:
    """Return the four hops of each frame: (hops + 4,) → (4, hops + 1)."""
    return np.stack([values[start : len(values) - 3 + start] for start in range(4)])


def _has_dc(total: np.ndarray, energy: np.ndarray, hop: int) -> bool:
    """Return whether the mean over some second is not negligible, given sum and energy of each hop (hops,)."""
    means = np.convolve(total, np.full(DC_HOPS, 1 / DC_HOPS), "same") / hop
    return np.abs(means).max() > DC_RATIO * np.sqrt(energy.mean() / hop)
