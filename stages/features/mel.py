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
import torch
from torchaudio.transforms import MelScale, Spectrogram

from stages.core.errors import refuse
from stages.core.records import DamagedSample
from stages.core.speech_signal import waveform
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
TOP_DB = 80.0  # values further below the maximum of a clip are raised to this floor
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
    n_fft: int | None = None

    @property
    def fft(self) -> int:
        return self.n_fft or fft_length(self.window)

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
    n_fft: PositiveInt | None = None,
) -> tuple[np.ndarray, int]:
    """Return the spectrogram (time, n_mels) float32 in dB of one clip, and its number of frames before it was cut.

    `signal` is (channels, samples) float32 in [-1, 1] at `rate_hz`. Channels are averaged, or where they cancel each
    other, the loudest is taken; a DC offset is removed. `trim_db`: silence at both ends, more than this below the
    loudest moment of speech, is removed, with clicks in it. `normalize`: each band is brought to mean 0 (and sd 1) over
    the true frames of the clip, which removes effects of the microphone, of distance and partly of the speaker.
    `normalize_level`: clips are brought to the same RMS level, so that distance and recording level have no effect.
    `n_fft`: length of the Fourier transform in samples; None: the next power of two from the window's length. A clip
    shorter than `duration_s` is padded with its own floor, 80 dB below its peak; a longer one is cut at its end.
    Raises `DamagedSample` for a clip with less than `MIN_SPEECH_S` of sound, `UserError` for impossible settings.
    """
    lengths = window_ms, hop_ms, n_mels, f_min_hz, f_max_hz, duration_s
    settings = Settings(sample_rate_hz, *lengths, trim_db, normalize, normalize_level, n_fft)
    return spectrograms([_waveform(signal, rate_hz, settings)], settings)[0]


def compute_many(loads: Iterable[Load], **options: Any) -> Iterator[tuple[np.ndarray, int] | DamagedSample]:
    """Yield the result of `compute`, or the `DamagedSample` that it raises, for each of `loads`."""
    loads, settings = iter(loads), Settings(**options)
    while clips := [_waveform_or_damage(load, settings) for load in islice(loads, CLIPS_PER_CALL)]:
        results = iter(spectrograms([clip for clip in clips if not isinstance(clip, DamagedSample)], settings))
        yield from (clip if isinstance(clip, DamagedSample) else next(results) for clip in clips)


def _waveform_or_damage(load: Load, settings: Settings) -> np.ndarray | DamagedSample:
    try:
        return _waveform(*load(), settings)
    except DamagedSample as damage:
        return damage


def _waveform(signal: np.ndarray, rate_hz: float, settings: Settings) -> np.ndarray:
    return waveform(signal, rate_hz, settings.sample_rate_hz, settings.trim_db, settings.normalize_level)


def samples_per_chunk(settings: dict) -> int:
    """Return how many clips a worker processes at a time."""
    return 64


def output_rate_hz(settings: dict) -> float:
    """Return the number of frames per second."""
    return settings["sample_rate_hz"] / round(settings["sample_rate_hz"] * settings["hop_ms"] / 1000)


def fft_length(window: int) -> int:
    """Return the next power of two for `window` samples, a length at which the Fourier transform is fast."""
    return 1 << (window - 1).bit_length()


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


@lru_cache(maxsize=8)
def _transforms(settings: Settings) -> tuple[Spectrogram, MelScale]:
    """Return the steps of a mel spectrogram.

    torchaudio's `MelSpectrogram` takes a tenth longer: it takes the root of each power and squares it again.
    """
    _refuse_impossible(settings)
    size = settings.fft
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
    if settings.fft < settings.window:
        allowed, received = f"{settings.window} samples (window_ms) or more", settings.n_fft
        refuse("shorter than the window", where="feature mel: n_fft", allowed=allowed, received=received)
    if 2 * high_hz > rate_hz:
        allowed = f"half of sample_rate_hz ({rate_hz}) or less"
        refuse("above the Nyquist frequency", where="feature mel: f_max_hz", allowed=allowed, received=high_hz)
    if low_hz >= high_hz:
        allowed = f"less than f_max_hz ({high_hz:g})"
        refuse("no frequency range", where="feature mel: f_min_hz", allowed=allowed, received=low_hz)
