"""A clip as statistics of the states of a network that was trained to recognise speakers (`core.ge2e`).

They are computed at several playback speeds, which also change the pitch, as of a tape (Ko et al. 2015): more voices to
train on, and a better answer from their mean. They are the standard deviation and the 10 % and 90 % quantiles, over the
clip's frames, of the states of the encoder's second and third layer. How the states vary depends more on the emotion;
their mean depends more on the speaker. The encoder hears all clips at one level; `use_level` adds the level itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
import soxr
import torch
from torchaudio.transforms import MelSpectrogram

from stages.core.ge2e import HOP, N_MELS, SAMPLE_RATE_HZ, WINDOW, SpeakerEncoder
from stages.core.records import DamagedSample
from stages.core.speech_signal import waveform
from stages.params.options import PositiveFloat, Speeds

LAYOUT = ("speed", "statistic", "unit")
SIZES = {"speed": "speeds"}  # the other axes are fixed: 6 statistics of 256 units, and the level
DTYPE = "float32"
SCALE_FACTOR = 1.0
ADD_OFFSET = 0.0
WORKERS = "threads"  # torch releases Python's lock
LOWEST_RATE_HZ = 16_000.0  # the encoder was trained on the whole band up to 8 kHz
MIN_S = 0.4  # of speech; the encoder's own clips are 1.6 s long


def compute(
    signal: np.ndarray,
    rate_hz: float,
    *,
    trim_db: PositiveFloat | None,
    speeds: Speeds = [0.9, 1.0, 1.1],  # noqa: B006 (a literal: options are read off the source)
    use_level: bool = False,
) -> tuple[np.ndarray, int]:
    """Return (speeds, 6, 256) float32 for one clip, and 0 time steps.

    `signal` is (channels, samples) float32 in [-1, 1] at `rate_hz`. `trim_db`: as in feature `mel`. `use_level`: a
    seventh statistic is the RMS of the trimmed clip in dBFS, repeated for every unit, so that it weighs as much as
    another one. Raises `DamagedSample` for a clip with less than `MIN_S` of sound, or of a rate below `LOWEST_RATE_HZ`.
    """
    if rate_hz < LOWEST_RATE_HZ:
        raise DamagedSample(f"sample rate; allowed: {LOWEST_RATE_HZ:g} Hz or more; received: {rate_hz:g} Hz")
    clip = waveform(signal, rate_hz, SAMPLE_RATE_HZ, trim_db, normalize_level=True)
    if len(clip) < MIN_S * SAMPLE_RATE_HZ:
        received = f"{len(clip) / SAMPLE_RATE_HZ:.2g} s"
        raise DamagedSample(f"too little speech; allowed: {MIN_S} s or more; received: {received}")
    played = [clip if speed == 1 else soxr.resample(clip, speed * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ) for speed in speeds]
    values = np.stack([_encoded(samples.astype(np.float32)) for samples in played])
    if use_level:
        as_it_is = waveform(signal, rate_hz, SAMPLE_RATE_HZ, trim_db, normalize_level=False)
        level_dbfs = np.full_like(values[:, :1], 10 * np.log10(np.mean(as_it_is**2)))  # (speeds, 1, 256)
        values = np.concatenate([values, level_dbfs], axis=1)
    return values, 0


def samples_per_chunk(settings: dict) -> int:
    """Return how many clips a worker processes at a time."""
    return 16


def output_rate_hz(settings: dict) -> None:
    """Return None: the values have no time steps."""


def _encoded(clip: np.ndarray) -> np.ndarray:
    """Return (6, 256) statistics of the encoder's states for samples at 16 kHz."""
    spectrum, encoder = _transforms()
    with torch.inference_mode(), _one_thread():
        power = spectrum(torch.from_numpy(clip)).T[None]  # (samples,) → (n_mels, frames) → (1, frames, n_mels)
        statistics = [statistic for states in encoder.states(power)[1:] for statistic in _statistics(states[0])]
    return torch.stack(statistics).numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread: several wait for each other at every step of an LSTM, which on a busy machine takes minutes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _statistics(states: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return standard deviation, 10 % and 90 % quantile (256,) over the frames of states (T, 256)."""
    low, high = states.quantile(torch.tensor([0.1, 0.9]), dim=0)
    return states.std(dim=0, correction=0), low, high


@cache
def _transforms() -> tuple[MelSpectrogram, SpeakerEncoder]:
    bands = {"n_mels": N_MELS, "norm": "slaney", "mel_scale": "slaney", "pad_mode": "constant"}
    spectrum = MelSpectrogram(SAMPLE_RATE_HZ, WINDOW, hop_length=HOP, **bands)
    encoder = SpeakerEncoder().eval()
    encoder.load_pretrained()
    return spectrum, encoder
