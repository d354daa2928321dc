"""Synthetic speech for every emotion of RAVDESS: speaker × delivery × statement, in a small room.

A source-filter model: glottal pulses through time-varying resonances (Fant, "Acoustic Theory of Speech Production",
1960). Classes overlap on purpose (see `delivery.py`), so that a better model scores better and none scores 1.0.
"""

import numpy as np
from scipy.signal import fftconvolve, lfilter

from stages.synthetic.speech.delivery import Delivery, sample_delivery
from stages.synthetic.speech.sentence import FRAME_S, Sentence, loudness_contour, pitch_contour, time_statement
from stages.synthetic.speech.source_filter import LAXNESS_RANGE, SAMPLE_RATE_HZ, filter_sources, pulse_train, resonators
from stages.synthetic.speech.speaker import Speaker

_STEP = round(FRAME_S * SAMPLE_RATE_HZ)  # samples of a frame
_LEVEL_DBFS = -27.0  # rms of a neutral voice
_LEVEL_SD_DB = 3.0  # between takes, since speakers move in front of the microphone
_BREATH_DB = -40.0  # noise relative to the glottal pulses
_MIN_HISS = 1e-3  # weaker hiss is set to zero, which saves time
_PITCH_RANGE_HZ = (65.0, 520.0)
_TEMPO_RANGE = (0.75, 1.4)
_FIRST_ECHO_S = 0.015
_HEADROOM = 0.95


def synthesise_clip(
    emotion: str, intensity: str, statement: int, speaker: Speaker, rng: np.random.Generator
) -> np.ndarray:
    """Return a take of statement 1 or 2 by `speaker` acting `emotion`: mono float32 within (-1, 1), 1.2 to 2.7 s."""
    delivery = sample_delivery(emotion, intensity, speaker.expressiveness, speaker.habits[emotion], rng)
    return speak(statement, speaker, delivery, rng)


def speak(statement: int, speaker: Speaker, delivery: Delivery, rng: np.random.Generator) -> np.ndarray:
    """Return `statement` as recorded from `speaker` with this delivery: mono float32 within (-1, 1)."""
    tempo = np.clip(speaker.tempo * 2.0**delivery.tempo_octaves, *_TEMPO_RANGE)
    edges_s = tuple(rng.uniform(0.08, 0.18, 2))
    sentence = time_statement(statement, tempo, delivery.pause_s, delivery.clarity, edges_s, rng)
    sound = _sound_at_lips(sentence, speaker, delivery, rng)
    level_db = speaker.level_db + delivery.level_db + rng.normal(0.0, _LEVEL_SD_DB)
    sound *= 10.0 ** ((_LEVEL_DBFS + level_db) / 20.0) / np.sqrt(np.mean(sound**2))
    sound = _reverberate(sound, speaker, rng)
    # Noise of the microphone falls with frequency, like that of a quiet room.
    noise = lfilter([1.0], [1.0, -0.85], rng.normal(size=len(sound)))
    sound += noise * 10.0 ** (speaker.noise_dbfs / 20.0) * np.sqrt(1.0 - 0.85**2)
    # Loud sounds are scaled down, not clipped.
    return (sound / max(1.0, float(np.abs(sound).max()) / _HEADROOM)).astype(np.float32)


def _sound_at_lips(sentence: Sentence, speaker: Speaker, delivery: Delivery, rng: np.random.Generator) -> np.ndarray:
    """Return the sound (samples,), not yet scaled to a level."""
    loudness = loudness_contour(sentence, delivery)
    voiced = _glottal_source(sentence, loudness, speaker, delivery, rng)
    formants = resonators(*_resonances(sentence, speaker, delivery))
    hiss = np.where(sentence.hiss > _MIN_HISS, sentence.hiss * np.sqrt(loudness), 0.0)
    noise = np.diff(rng.normal(size=len(voiced)), prepend=0.0)
    constriction = resonators(sentence.hiss_hz[:, None], 0.35 * sentence.hiss_hz[:, None])
    return filter_sources([voiced, noise * _to_samples(hiss)], [formants, constriction], _STEP)


def _glottal_source(
    sentence: Sentence, loudness: np.ndarray, speaker: Speaker, delivery: Delivery, rng: np.random.Generator
) -> np.ndarray:
    """Return the excitation (samples,) of the vocal tract by the vocal folds: pulses and breath noise."""
    semitones = delivery.pitch_st + pitch_contour(sentence, delivery, speaker.range_ratio, rng)
    pitch_hz = np.clip(speaker.pitch_hz * 2.0 ** (semitones / 12.0), *_PITCH_RANGE_HZ)
    laxness = float(np.clip(speaker.laxness * 2.0**delivery.laxness_octaves, *LAXNESS_RANGE))
    pulses, flow = pulse_train(_to_samples(pitch_hz), laxness, delivery.roughness, rng)
    breathiness = 10.0 ** ((_BREATH_DB + speaker.breath_db + delivery.breath_db) / 20.0)
    voice = _to_samples(sentence.voice * loudness)
    # Air is noisy while the folds are open, and continuously in phones where they do not close (K+, T+).
    breath = voice * breathiness * (0.3 + flow) + 0.3 * _to_samples(sentence.breath)
    return voice * pulses + breath * rng.normal(size=len(pulses))


def _resonances(sentence: Sentence, speaker: Speaker, delivery: Delivery) -> tuple[np.ndarray, np.ndarray]:
    """Return the speaker's centres and bandwidths in Hz, (frames, K) below the Nyquist frequency."""
    ratios = speaker.formant_ratios * (1.0 + delivery.smile)
    ratios[0] *= 1.0 + delivery.jaw
    centres_hz = sentence.formants_hz * ratios
    kept = centres_hz.max(0) < 0.48 * SAMPLE_RATE_HZ
    return centres_hz[:, kept], sentence.bandwidths_hz[:, kept]


def _to_samples(frames: np.ndarray) -> np.ndarray:
    """Interpolate one value per frame, at its middle, to one per sample."""
    count = len(frames)
    return np.interp((np.arange(count * _STEP) + 0.5) / _STEP - 0.5, np.arange(count), frames)


def _reverberate(dry: np.ndarray, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Add echoes that decay by 60 dB in `reverberation_s`, with a total level of `room_db` relative to `dry`."""
    time_s = np.arange(int(0.7 * speaker.reverberation_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    echoes = rng.normal(size=len(time_s)) * 10.0 ** (-3.0 * time_s / speaker.reverberation_s) * (time_s > _FIRST_ECHO_S)
    # Walls and air absorb high frequencies more.
    echoes = lfilter([0.5], [1.0, -0.5], echoes)
    echoes *= 10.0 ** (speaker.room_db / 20.0) / np.sqrt(np.sum(echoes**2))
    return dry + fftconvolve(dry, echoes)[: len(dry)]
