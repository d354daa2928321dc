"""Log-mel spectrograms of speech: mono, resampled, trimmed, and padded with silence or cut to a fixed duration.

Mel bands and their norm are Slaney's, librosa's default: `compute` equals librosa within 0.01 dB (tested).
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import numpy as np
import soxr
import torch
from torchaudio.transforms import MelScale, Spectrogram

from stages.core.errors import refuse
from stages.core.records import DamagedSample
from stages.params.options import NonNegativeFloat, PositiveFloat, PositiveInt

Load = Callable[[], tuple[np.ndarray, float]]  # returns a signal and its rate in Hz

LAYOUT = ("time", "mel")
SIZES = {"time": "duration_s", "mel": "n_mels"}  # axis → the setting that gives its length
DTYPE = "float32"
SCALE_FACTOR = 1.0
ADD_OFFSET = 0.0
# Most of the time of a clip is spent in soxr and torch, which release Python's lock; a process would have to import
# torch first.
WORKERS = "threads"
# Clips transformed in one call of torch: with a call for every clip, two threads wait for the lock a third of the time.
CLIPS_PER_CALL = 16
QUIETEST = 1e-4  # -80 dB of full scale: speech is louder, the rounding of 16 bits is 20 dB below
TOP_DB = 80.0  # values further below the maximum of a clip are raised to this floor
TRIM_HOP_S = 0.032  # as in librosa.effects.trim: 512 samples at 16 kHz, with windows four times as long
MIN_SPEECH_S = 0.1  # less than a syllable; a click is shorter
MAX_CREST = 10.0  # of a frame: largest mean power relative to what three of its four hops reach; above: a click
SPEECH_MARGIN_S = 0.5  # a click or knock further away than this from all speech is trimmed with the silence
DC_RATIO = 0.1  # a mean above this share of the RMS is removed; of RAVDESS's clips, none has more than 0.03
LEVEL_DBFS = -26.0  # target of `normalize_level`: the speech level of ITU-T recommendation P.56
DC_HOPS = 31  # one second, over which speech and rumble have a mean of zero
_LOWEST_POWER = 1e-10

warnings.filterwarnings("ignore", "At least one mel filterbank", UserWarning)  # `_transforms` raises an error instead


@dataclass(frozen=True)
class Settings:
    """The options of `compute`, with lengths in samples of the resampled signal."""

    sample_rate_hz: int
    window_ms: float
    hop_ms: float
    n_mels: int
    f_min_hz: float
    f_max_hz: float
    duration_s: float
    trim_db: float | None
    normalize: str
    normalize_level: bool = False

    @property
    def window(self) -> int:
        return round(self.sample_rate_hz * self.window_ms / 1000)

    @property
    def hop(self) -> int:
        return round(self.sample_rate_hz * self.hop_ms / 1000)

    @property
    def samples(self) -> int:
        return round(self.duration_s * self.sample_rate_hz)


def compute(
    signal: np.ndarray,
    rate_hz: float,
    *,
    sample_rate_hz: PositiveInt,
    window_ms: PositiveFloat,
    hop_ms: PositiveFloat,
    n_mels: PositiveInt,
    f_min_hz: NonNegativeFloat,
    f_max_hz: PositiveFloat,
    duration_s: PositiveFloat,
    trim_db: PositiveFloat | None,
    normalize: Literal["none", "mean", "mean_sd"],
    normalize_level: bool = False,
) -> tuple[np.ndarray, int]:
    """Return the spectrogram (time, n_mels) float32 in dB of one clip, and its number of frames before it was cut.

    `signal` is (channels, samples) float32 in [-1, 1] at `rate_hz`. Channels are averaged, or where they cancel each
    other, the loudest is taken; a DC offset is removed. `trim_db`: silence at both ends, more than this below the
    loudest moment of speech, is removed, with clicks in it. `normalize`: each band is brought to mean 0 (and sd 1) over
    the true frames of the clip, which removes effects of the microphone, of distance and partly of the speaker.
    `normalize_level`: clips are brought to the same RMS level, so that distance and recording level have no effect. A
    clip shorter than `duration_s` is padded with its own floor, 80 dB below its peak; a longer one is cut at its end.
    Raises `DamagedSample` for a clip with less than `MIN_SPEECH_S` of sound, `UserError` for impossible settings.
    """
    lengths = window_ms, hop_ms, n_mels, f_min_hz, f_max_hz, duration_s
    settings = Settings(sample_rate_hz, *lengths, trim_db, normalize, normalize_level)
    return spectrograms([waveform(signal, rate_hz, settings)], settings)[0]


def compute_many(loads: Iterable[Load], **options: Any) -> Iterator[tuple[np.ndarray, int] | DamagedSample]:
    """Yield the result of `compute`, or the `DamagedSample` that it raises, for each of `loads`."""
    loads, settings = iter(loads), Settings(**options)
    while clips := [_waveform_or_damage(load, settings) for load in islice(loads, CLIPS_PER_CALL)]:
        results = iter(spectrograms([clip for clip in clips if not isinstance(clip, DamagedSample)], settings))
        yield from (clip if isinstance(clip, DamagedSample) else next(results) for clip in clips)


def _waveform_or_damage(load: Load, settings: Settings) -> np.ndarray | DamagedSample:
    try:
        return waveform(*load(), settings)
    except DamagedSample as damage:
        return damage


def samples_per_chunk(settings: dict) -> int:
    """Return how many clips a worker processes at a time."""
    return 64


def output_rate_hz(settings: dict) -> float:
    """Return the number of frames per second."""
    return settings["sample_rate_hz"] / round(settings["sample_rate_hz"] * settings["hop_ms"] / 1000)


def n_fft(window: int) -> int:
    """Return the length of the Fourier transform for `window` samples: the next power of two, which is fast."""
    return 1 << (window - 1).bit_length()


def waveform(signal: np.ndarray, rate_hz: float, settings: Settings) -> np.ndarray:
    """Return `signal` (channels, samples) as mono (samples,): resampled, trimmed, of any length."""
    mono = _mono(signal)
    bounds = speech_bounds(mono, rate_hz, settings.trim_db)
    if settings.trim_db is not None:  # before resampling, which halves its work: half of RAVDESS is silence
        mono = mono[bounds]
    mono = _without_dc(mono)
    if settings.normalize_level:
        mono = mono * np.float32(10 ** (LEVEL_DBFS / 20) / np.sqrt(np.vecdot(mono, mono) / len(mono)))
    return soxr.resample(mono, rate_hz, settings.sample_rate_hz)


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


def spectrograms(clips: list[np.ndarray], settings: Settings) -> list[tuple[np.ndarray, int]]:
    """Return the spectrogram (time, n_mels) of each clip (samples,), and how many frames the whole clip has."""
    if not clips:  # every clip of the group is damaged
        return []
    signals = torch.zeros(len(clips), settings.samples)
    for signal, clip in zip(signals, clips, strict=True):
        signal[: len(clip)] = torch.from_numpy(clip[: settings.samples])
    spectrum, to_bands = _transforms(settings)
    waves = spectrum(signals)  # (clips, samples) → (clips, frequencies, frames), complex
    power = waves.real.square().addcmul_(waves.imag, waves.imag)
    bands = to_bands(power).mT  # → (clips, n_mels, frames) → (clips, frames, n_mels)
    decibels = 10 * bands.clamp(min=_LOWEST_POWER).log10()
    lengths = [len(clip) // settings.hop + 1 for clip in clips]
    return [(_floored(bands, n, settings.normalize).numpy(), n) for bands, n in zip(decibels, lengths, strict=True)]


def _floored(bands: torch.Tensor, length: int, normalize: str) -> torch.Tensor:
    """Raise values (time, n_mels) in dB to `TOP_DB` below the maximum, fill the padding with that, and normalise."""
    floor = float(bands[:length].max()) - TOP_DB
    bands = bands.clamp(min=floor)
    bands[length:] = floor
    if normalize == "none":
        return bands
    sd, mean = torch.std_mean(bands[:length], dim=0, correction=0)  # (n_mels,)
    return (bands - mean) / sd.clamp(min=1.0) if normalize == "mean_sd" else bands - mean


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


@lru_cache(maxsize=8)
def _transforms(settings: Settings) -> tuple[Spectrogram, MelScale]:
    """Return the steps of a mel spectrogram.

    torchaudio's `MelSpectrogram` takes a tenth longer: it takes the root of each power and squares it again.
    """
    _refuse_impossible(settings)
    size = n_fft(settings.window)
    spectrum = Spectrogram(size, settings.window, settings.hop, power=None, pad_mode="constant")
    bands = settings.n_mels, settings.sample_rate_hz, settings.f_min_hz, settings.f_max_hz
    to_bands = MelScale(*bands, size // 2 + 1, norm="slaney", mel_scale="slaney")
    if empty := int((to_bands.fb.amax(dim=0) <= 0).sum()):  # fb: (frequencies, n_mels)
        allowed = "fewer bands, or a longer window_ms"
        refuse(f"{empty} mel bands hold no frequency", where="feature mel: n_mels", allowed=allowed, received=bands[0])
    return spectrum, to_bands


def _refuse_impossible(settings: Settings) -> None:
    """Raise `UserError` for lengths below one sample, and for frequencies that the sample rate cannot represent."""
    rate_hz, low_hz, high_hz = settings.sample_rate_hz, settings.f_min_hz, settings.f_max_hz
    for name in ("window", "hop"):
        if getattr(settings, name) < 1:
            allowed, received = f"one sample or more at {rate_hz} Hz", getattr(settings, f"{name}_ms")
            refuse("too short", where=f"feature mel: {name}_ms", allowed=allowed, received=received)
    if 2 * high_hz > rate_hz:
        allowed = f"half of sample_rate_hz ({rate_hz}) or less"
        refuse("above the Nyquist frequency", where="feature mel: f_max_hz", allowed=allowed, received=high_hz)
    if low_hz >= high_hz:
        allowed = f"less than f_max_hz ({high_hz:g})"
        refuse("no frequency range", where="feature mel: f_min_hz", allowed=allowed, received=low_hz)
