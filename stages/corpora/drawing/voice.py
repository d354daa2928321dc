"""A drawn voice for every emotion of RAVDESS: speaker × delivery × statement, in a small room.

Glottal pulses through moving resonances (Fant, "Acoustic Theory of Speech Production", 1960). The classes overlap on
purpose (see `delivery.py`), so that a better model scores better and none scores 1.0.
"""

import numpy as np

from stages.corpora.drawing import glottis, prosody, room, tract
from stages.corpora.drawing.delivery import PROTOTYPES, Delivery, draw_delivery
from stages.corpora.drawing.sentence import FRAME_S, STATEMENTS, Sentence, lay_out
from stages.corpora.drawing.speaker import Speaker

INTENSITIES = ("normal", "strong")
SAMPLE_RATE_HZ = 16_000

_LEVEL_DBFS = -27.0  # rms of a neutral voice
_TAKE_LEVEL_DB = 3.0  # nobody sits still before a microphone
_BREATH_DB = -40.0  # beside the pulses
_LEAST_HISS = 1e-3  # below that, silence, which costs no time
_PITCH_RANGE_HZ = (65.0, 520.0)
_TEMPO_RANGE = (0.75, 1.4)


def draw_voice(
    emotion: str,
    intensity: str,
    statement: int,
    who: Speaker,
    rng: np.random.Generator,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
) -> np.ndarray:
    """One take of `who` acting `emotion`: mono float32 within (-1, 1), 1.2 to 2.7 s. Equal generators draw equal bytes.

    `statement` is 1 or 2, `intensity` normal or strong; neutral has no strong one, as in RAVDESS.
    """
    _check(emotion, intensity, statement)
    take = draw_delivery(emotion, intensity, who.expressiveness, who.manners[emotion], rng)
    return speak(statement, who, take, rng, sample_rate_hz)


def _check(emotion: str, intensity: str, statement: int) -> None:
    if emotion not in PROTOTYPES:
        raise ValueError(f"emotion: no prototype; allowed: {', '.join(PROTOTYPES)}; received: {emotion!r}")
    allowed = INTENSITIES[:1] if emotion == "neutral" else INTENSITIES
    if intensity not in allowed:
        raise ValueError(f"intensity of {emotion}: allowed: {', '.join(allowed)}; received: {intensity!r}")
    if statement not in STATEMENTS:
        raise ValueError(f"statement: allowed: 1, 2; received: {statement!r}")


def speak(
    statement: int, who: Speaker, take: Delivery, rng: np.random.Generator, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> np.ndarray:
    """`who` says `statement` in this way, in a room and at a level of the moment: mono float32 within (-1, 1)."""
    tempo = np.clip(who.tempo * 2.0**take.tempo_octaves, *_TEMPO_RANGE)
    edges_s = tuple(rng.uniform(0.08, 0.18, 2))
    sentence = lay_out(statement, tempo, take.pause_s, take.clarity, edges_s, rng)
    sound = _utter(sentence, who, take, rng, sample_rate_hz)
    level_db = who.level_db + take.level_db + rng.normal(0.0, _TAKE_LEVEL_DB)
    sound *= 10.0 ** ((_LEVEL_DBFS + level_db) / 20.0) / np.sqrt(np.mean(sound**2))
    sound = room.reverberate(sound, who.reverberation_s, who.room_db, rng, sample_rate_hz)
    return room.leave_headroom(sound + room.microphone_noise(len(sound), who.noise_dbfs, rng))


def _utter(
    sentence: Sentence, who: Speaker, take: Delivery, rng: np.random.Generator, sample_rate_hz: int
) -> np.ndarray:
    """The sound at the lips, (samples,), at any level."""
    step = round(FRAME_S * sample_rate_hz)
    loud = prosody.loudness(sentence, take)
    voiced = _glottis(sentence, loud, who, take, rng, sample_rate_hz)
    tongue = tract.resonators(*_resonances(sentence, who, take, sample_rate_hz), sample_rate_hz)
    hiss = np.where(sentence.hiss > _LEAST_HISS, sentence.hiss * np.sqrt(loud), 0.0)
    noise = np.diff(rng.normal(size=len(voiced)), prepend=0.0)
    teeth = tract.resonators(sentence.hiss_hz[:, None], 0.35 * sentence.hiss_hz[:, None], sample_rate_hz)
    return tract.apply([voiced, noise * _to_samples(hiss, step)], [tongue, teeth], step)


def _glottis(
    sentence: Sentence, loud: np.ndarray, who: Speaker, take: Delivery, rng: np.random.Generator, sample_rate_hz: int
) -> np.ndarray:
    """What the vocal folds send into the tract, (samples,): pulses and breath."""
    step = round(FRAME_S * sample_rate_hz)
    semitones = take.pitch_st + prosody.melody(sentence, take, who.range_ratio, rng)
    pitch_hz = np.clip(who.pitch_hz * 2.0 ** (semitones / 12.0), *_PITCH_RANGE_HZ)
    laxness = float(np.clip(who.laxness * 2.0**take.laxness_octaves, *glottis.LAXNESS_RANGE))
    pulses, flow = glottis.pulse_train(_to_samples(pitch_hz, step), laxness, take.roughness, rng, sample_rate_hz)
    own_breath = 10.0 ** ((_BREATH_DB + who.breath_db + take.breath_db) / 20.0)
    voice = _to_samples(sentence.voice * loud, step)
    # Air is noisy while the folds are open, and always where they never close (K+, T+).
    breath = voice * own_breath * (0.3 + flow) + 0.3 * _to_samples(sentence.breath, step)
    return voice * pulses + breath * rng.normal(size=len(pulses))


def _resonances(sentence: Sentence, who: Speaker, take: Delivery, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """This speaker's centres and bandwidths in Hz, (frames, K): as many as the sample rate holds."""
    ratios = who.formant_ratios * (1.0 + take.smile)
    ratios[0] *= 1.0 + take.jaw
    centres_hz = sentence.formants_hz * ratios
    held = centres_hz.max(0) < 0.48 * sample_rate_hz
    return centres_hz[:, held], sentence.bandwidths_hz[:, held]


def _to_samples(frames: np.ndarray, step: int) -> np.ndarray:
    """One value a frame (at its middle) → one a sample."""
    count = len(frames)
    return np.interp((np.arange(count * step) + 0.5) / step - 0.5, np.arange(count), frames)
