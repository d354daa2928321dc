"""Log-mel spectrograms of speech: mono, resampled, trimmed, padded with silence or cut to one duration.

Mel bands and their norm are Slaney's, as librosa has them by default: `compute` equals librosa within 0.01 dB (tested).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import numpy as np
import soxr
import torch
from torchaudio.transforms import MelScale, Spectrogram

from stages.core.records import DamagedSample
from stages.params.options import NonNegativeFloat, PositiveFloat, PositiveInt

Load = Callable[[], tuple[np.ndarray, float]]

LAYOUT = ("time", "mel")
SIZES = {"time": "duration_s", "mel": "n_mels"}  # which setting tells how long an axis is
DTYPE = "float32"
SCALE_FACTOR = 1.0
ADD_OFFSET = 0.0
# Most of a clip's time is in soxr and torch, which let go of Python's lock; a process would have to import torch.
WORKERS, SAMPLES_PER_CHUNK = "threads", 64
# Clips that one call of torch transforms: of calls for every clip two threads would spend a third waiting for the lock.
CLIPS_TOGETHER = 16
QUIETEST = 1e-4  # -80 dB of full scale
TOP_DB = 80.0  # what lies further below a clip's loudest band is silence
TRIM_HOP_S = 0.032  # 512 samples at 16 kHz, as librosa.effects.trim has them; its windows are four times as long
_LOWEST_POWER = 1e-10


@dataclass(frozen=True)
class Settings:
    """The options of `compute`, and what follows from them in samples of the resampled signal."""

    sample_rate_hz: int
    window_ms: float
    hop_ms: float
    n_mels: int
    f_min_hz: float
    f_max_hz: float
    duration_s: float
    trim_db: float | None
    normalize: str

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
) -> tuple[np.ndarray, int]:
    """(channels, samples) float32 in [-1, 1] at `rate_hz` → (time, n_mels) float32 in dB, and its true frames.

    `trim_db`: silence at both ends, this far below the loudest moment, is cut off. `normalize`: every band of the clip
    to mean 0 (and sd 1) over its true frames, which takes away microphone, distance and some of the speaker. A clip
    shorter than `duration_s` is padded with its own floor, 80 dB below its peak; a longer one loses its end.
    """
    lengths = window_ms, hop_ms, n_mels, f_min_hz, f_max_hz, duration_s
    settings = Settings(sample_rate_hz, *lengths, trim_db, normalize)
    return spectrograms([waveform(signal, rate_hz, settings)], settings)[0]


def compute_many(loads: Iterable[Load], **options: Any) -> Iterator[tuple[np.ndarray, int] | DamagedSample]:
    """What `compute` gives for each of `loads`, which give a signal and its rate; where it raises, what it raises."""
    loads, settings = iter(loads), Settings(**options)
    while group := list(islice(loads, CLIPS_TOGETHER)):
        found = [_tried(load, settings) for load in group]
        whole = iter(spectrograms([mono for mono in found if not isinstance(mono, DamagedSample)], settings))
        yield from (mono if isinstance(mono, DamagedSample) else next(whole) for mono in found)


def _tried(load: Load, settings: Settings) -> np.ndarray | DamagedSample:
    try:
        return waveform(*load(), settings)
    except DamagedSample as damage:
        return damage


def samples_per_chunk(settings: dict) -> int:
    """How many clips a worker takes at a time."""
    return SAMPLES_PER_CHUNK


def output_rate_hz(settings: dict) -> float:
    """Frames per second of the prepared array."""
    return settings["sample_rate_hz"] / round(settings["sample_rate_hz"] * settings["hop_ms"] / 1000)


def n_fft(window: int) -> int:
    """Length of the transform of `window` samples: the next power of two, which is fast."""
    return 1 << (window - 1).bit_length()


def frames(duration_s: float, sample_rate_hz: int, hop: int) -> int:
    """How many frames a signal of `duration_s` has: one at every `hop` samples, the first at its start."""
    return round(duration_s * sample_rate_hz) // hop + 1


def waveform(signal: np.ndarray, rate_hz: float, settings: Settings) -> np.ndarray:
    """(channels, samples) → (samples,): mono, resampled, without silence at its ends, `duration_s` long at most."""
    if not signal.shape[1]:
        raise DamagedSample("a clip without a sample")
    mono = signal[0] if len(signal) == 1 else signal.mean(axis=0)  # (samples,)
    if len(signal) > 1 and np.abs(mono).max() < QUIETEST:
        raise DamagedSample("silence once its channels are mixed to one")
    if settings.trim_db is not None:  # before resampling, which then has half the work: RAVDESS is half silence
        mono = trimmed(mono, rate_hz, settings.trim_db)
    return soxr.resample(mono, rate_hz, settings.sample_rate_hz)[: settings.samples]


def spectrograms(clips: list[np.ndarray], settings: Settings) -> list[tuple[np.ndarray, int]]:
    """(samples,) of each clip → (time, n_mels), all of one length, and its true frames."""
    if not clips:  # all of a group were damaged
        return []
    signals = torch.zeros(len(clips), settings.samples)
    for signal, clip in zip(signals, clips, strict=True):
        signal[: len(clip)] = torch.from_numpy(clip)
    spectrum, to_bands = _transforms(settings)
    waves = spectrum(signals)  # (clips, samples) → (clips, frequencies, frames), complex
    power = waves.real.square().addcmul_(waves.imag, waves.imag)
    bands = to_bands(power).mT  # → (clips, n_mels, frames) → (clips, frames, n_mels)
    decibels = 10 * bands.clamp(min=_LOWEST_POWER).log10()
    lengths = [len(clip) // settings.hop + 1 for clip in clips]
    return [(_finished(bands, n, settings).numpy(), n) for bands, n in zip(decibels, lengths, strict=True)]


def _finished(bands: torch.Tensor, length: int, settings: Settings) -> torch.Tensor:
    """(time, n_mels) in dB: none more than `TOP_DB` below the clip's highest, which its padding is."""
    floor = float(bands[:length].max()) - TOP_DB
    bands = bands.clamp(min=floor)
    bands[length:] = floor
    return _normalized(bands, length, settings.normalize)


def trimmed(mono: np.ndarray, rate_hz: float, trim_db: float) -> np.ndarray:
    """Without the silence at both ends, as `librosa.effects.trim` finds it with frames of 128 ms every 32 ms."""
    hop = round(TRIM_HOP_S * rate_hz)
    whole = len(mono) // hop * hop
    hops = mono[:whole].reshape(-1, hop)  # (hops, hop)
    energy = np.pad(np.vecdot(hops, hops), 2)  # silence before and after
    energy[-2] = np.square(mono[whole:]).sum()
    # a frame is four hops: (hops + 4,) → (frames,)
    power = np.maximum(np.convolve(energy, np.ones(4), "valid") / (4 * hop), _LOWEST_POWER)
    loud = np.flatnonzero(10 * np.log10(power / power.max()) > -trim_db)
    return mono[loud[0] * hop : (loud[-1] + 1) * hop]


@lru_cache(maxsize=8)
def _transforms(settings: Settings) -> tuple[Spectrogram, MelScale]:
    """Not one `MelSpectrogram`: it takes the root of each power and squares it again, a tenth of a clip's time."""
    size = n_fft(settings.window)
    spectrum = Spectrogram(size, settings.window, settings.hop, power=None, pad_mode="constant")
    bands = settings.n_mels, settings.sample_rate_hz, settings.f_min_hz, settings.f_max_hz
    return spectrum, MelScale(*bands, size // 2 + 1, norm="slaney", mel_scale="slaney")


def _normalized(bands: torch.Tensor, length: int, normalize: str) -> torch.Tensor:
    if normalize == "none":
        return bands
    sd, mean = torch.std_mean(bands[:length], dim=0, correction=0)  # (n_mels,)
    return (bands - mean) / sd.clamp(min=1.0) if normalize == "mean_sd" else bands - mean
