"""The two statements of RAVDESS as phones, with durations, resonances and sound sources, and contours of the voice.

Formants are after Peterson & Barney (JASA 24, 1952) and the synthesis targets of Klatt (JASA 67, 1980, tables II, III).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from stages.synthetic.speech.delivery import Delivery

FRAME_S = 0.008


class Phone(NamedTuple):
    """A target of the vocal tract of an average man. Amplitudes are relative to the voice of a stressed vowel."""

    duration_s: float
    formants_hz: tuple[float, float, float]
    voice: float = 1.0
    breath: float = 0.0  # noise from the glottis, in addition to that of the speaker's voice
    hiss: float = 0.0  # noise from a constriction in the mouth
    hiss_hz: float = 4000.0
    damping: float = 1.0  # bandwidth of the resonances relative to a vowel
    stretch: float = 1.0  # sensitivity of the duration to tempo, small for bursts


# A stop consists of its closure (K-) and its release (K+).
PHONES = {
    "IH": Phone(0.066, (400, 1950, 2550)),
    "AA": Phone(0.075, (720, 1180, 2440)),
    "AO": Phone(0.101, (640, 1020, 2450)),
    "AH": Phone(0.053, (520, 1300, 2450), voice=0.8),
    "AY": Phone(0.066, (710, 1200, 2450)),
    "IY": Phone(0.053, (380, 2050, 2600)),
    "R": Phone(0.066, (440, 1250, 1650), voice=0.7),
    "NG": Phone(0.062, (270, 2050, 2750), voice=0.35, damping=2.5),
    "DH": Phone(0.043, (290, 1350, 2500), voice=0.3, hiss=0.014, hiss_hz=5500, damping=2.0),
    "S": Phone(0.088, (320, 1650, 2600), voice=0.0, hiss=0.1, hiss_hz=6000, stretch=0.8),
    "Z": Phone(0.066, (290, 1650, 2600), voice=0.2, hiss=0.062, hiss_hz=6000, damping=2.0),
    "K-": Phone(0.048, (300, 1900, 2300), voice=0.0),
    "K+": Phone(0.048, (320, 1900, 2300), voice=0.0, breath=0.25, hiss=0.067, hiss_hz=2200, stretch=0.3),
    "T-": Phone(0.043, (300, 1750, 2650), voice=0.0),
    "T+": Phone(0.043, (330, 1750, 2650), voice=0.0, breath=0.2, hiss=0.077, hiss_hz=4300, stretch=0.3),
    "D-": Phone(0.043, (250, 1750, 2650), voice=0.12, damping=3.0),
    "D+": Phone(0.011, (300, 1750, 2650), voice=0.4, hiss=0.058, hiss_hz=4000, stretch=0.1),
    "G-": Phone(0.043, (250, 1500, 2200), voice=0.12, damping=3.0),
    "G+": Phone(0.017, (300, 1500, 2200), voice=0.4, hiss=0.048, hiss_hz=1900, stretch=0.1),
    "B-": Phone(0.048, (230, 900, 2250), voice=0.12, damping=3.0),
    "B+": Phone(0.009, (300, 1000, 2300), voice=0.5, hiss=0.029, hiss_hz=900, stretch=0.1),
    "pause": Phone(0.0, (500, 1450, 2480), voice=0.0),
    "edge": Phone(0.0, (500, 1450, 2480), voice=0.0),
}

# RAVDESS's code of each statement → syllables and their stress, 0 to 1.
_END = (("pause", 0.0), ("B- B+ AY IY", 0.35), ("DH AH", 0.0), ("D- D+ AO R", 1.0))
STATEMENTS = {
    1: (("K- K+ IH D- D+ Z", 0.8), ("AA R", 0.2), ("T- T+ AO", 0.9), ("K- K+ IH NG", 0.15), *_END),
    2: (("D- D+ AO G- G+ Z", 0.8), ("AA R", 0.2), ("S IH", 0.9), ("T- T+ IH NG", 0.15), *_END),
}
_VOWELS = ("IH", "AA", "AO", "AH", "AY")
_UPPER_HZ = (3400.0, 4500.0, 5500.0, 6500.0, 7500.0)  # resonances that are nearly constant
_NEUTRAL_VOWEL_HZ = (500.0, 1450.0, 2480.0)

_DECLINATION_ST = 4.0  # fall of the pitch over a neutral sentence, in semitones
_ACCENT_ST = 4.5  # rise on stressed syllables
_ACCENT_S = 0.07
_FINAL_ST = -2.0
_TREMOR_HZ = 5.5
_REDUCTION_DB = 5.0  # attenuation of unstressed syllables
_FADE_DB = 5.0


@dataclass(frozen=True)
class Sentence:
    """A statement in time, as frames of `FRAME_S`."""

    formants_hz: np.ndarray  # (frames, 8), for an average man
    bandwidths_hz: np.ndarray  # (frames, 8)
    voice: np.ndarray  # (frames,), like the four below
    breath: np.ndarray
    hiss: np.ndarray
    hiss_hz: np.ndarray
    stress: np.ndarray
    accents: np.ndarray  # (2, syllables): time in s and stress of each vowel
    time_s: np.ndarray
    progress: np.ndarray  # 0 until the first phone, 1 after the last


def time_statement(
    statement: int, tempo: float, pause_s: float, clarity: float, edges_s: tuple[float, float], rng: np.random.Generator
) -> Sentence:
    """Return `statement` with durations of its phones and smooth transitions. `edges_s`: silence before and after."""
    spoken = [(name, stress) for syllable, stress in STATEMENTS[statement] for name in syllable.split()]
    names, stresses = map(np.array, zip(("edge", 0.0), *spoken, ("edge", 0.0), strict=True))
    phones = [PHONES[name] for name in names]
    is_vowel = np.isin(names, _VOWELS)
    durations = _durations(phones, is_vowel * stresses, tempo, rng)
    durations[0], durations[-1] = edges_s
    durations[names == "pause"] = np.clip(pause_s, 0.0, 0.2)
    ends = np.cumsum(durations)
    time_s = (np.arange(int(ends[-1] / FRAME_S)) + 0.5) * FRAME_S
    row = np.minimum(np.searchsorted(ends, time_s), len(names) - 1)
    return Sentence(
        *_resonances(phones, row, clarity, rng),
        *_smooth(np.array([(p.voice, p.breath, p.hiss) for p in phones]), row, 0.006).T,  # (3, frames)
        hiss_hz=np.array([phone.hiss_hz for phone in phones])[row],
        stress=_smooth(stresses, row, 0.03),
        accents=np.stack([ends - 0.5 * durations, stresses])[:, is_vowel],
        time_s=time_s,
        progress=np.clip((time_s - edges_s[0]) / (float(ends[-2]) - edges_s[0]), 0.0, 1.0),
    )


def _durations(phones: list[Phone], vowel_stress: np.ndarray, tempo: float, rng: np.random.Generator) -> np.ndarray:
    """Return seconds: stressed vowels and the last syllable are longer, and all durations vary randomly."""
    durations = np.array([phone.duration_s for phone in phones]) * (1.0 + 0.45 * vowel_stress)
    durations[-3:] *= 1.5
    jitter = np.exp(rng.normal(0.0, 0.08, len(phones)))
    return durations * jitter * tempo ** -np.array([phone.stretch for phone in phones])


def _resonances(
    phones: list[Phone], row: np.ndarray, clarity: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and bandwidths in Hz, (frames, 8) each."""
    targets = np.array([phone.formants_hz for phone in phones], float)
    middle = np.array(_NEUTRAL_VOWEL_HZ)
    targets *= 1.0 + rng.normal(0.0, 0.03, targets.shape)  # articulation varies
    lower = _smooth(middle + (targets - middle) * (1.0 + clarity), row, 0.018)
    centres = np.concatenate([lower, np.broadcast_to(_UPPER_HZ, (len(row), len(_UPPER_HZ)))], 1)
    damping = _smooth(np.array([phone.damping for phone in phones]), row, 0.01)
    # Losses grow with frequency (Fant 1972).
    return centres, damping[:, None] * (60.0 + 0.04 * centres + 6e-6 * centres**2)


def _smooth(values: np.ndarray, row: np.ndarray, spread_s: float) -> np.ndarray:
    """Return one value per frame from one per phone, with transitions of about 4 × `spread_s`."""
    return gaussian_filter1d(values[row], spread_s / FRAME_S, axis=0, mode="nearest")


def pitch_contour(sentence: Sentence, delivery: Delivery, range_ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Return semitones (frames,) relative to the mean: declination, accents, the final fall or rise, and tremor."""
    time_s, progress = sentence.time_s, sentence.progress
    times, stresses = sentence.accents
    heights = _ACCENT_ST * stresses * rng.uniform(0.6, 1.4, len(times))
    # The peak comes late in its syllable (Ladd, "Intonational Phonology", 2008).
    bumps = np.exp(-0.5 * ((time_s[:, None] - times - 0.02) / _ACCENT_S) ** 2) @ heights
    width = range_ratio * 2.0**delivery.range_octaves
    turn = np.clip((progress - 0.8) / 0.2, 0.0, 1.0)
    tremor = max(delivery.tremor_st, 0.0) * np.sin(2 * np.pi * (_TREMOR_HZ * time_s + rng.random()))
    contour = width * (_DECLINATION_ST * (0.5 - progress) + bumps) + tremor
    return contour + (_FINAL_ST + delivery.final_st) * turn**2 * (3.0 - 2.0 * turn)


def loudness_contour(sentence: Sentence, delivery: Delivery) -> np.ndarray:
    """Return the amplitude (frames,): louder on stressed syllables, and falling towards the end."""
    reduced = max(_REDUCTION_DB + delivery.emphasis_db, 0.0) * (sentence.stress - 1.0)
    fade = np.clip((1.0 - sentence.progress) / 0.1, 0.1, 1.0)
    return 10.0 ** ((reduced - (_FADE_DB + delivery.fade_db) * sentence.progress) / 20.0) * fade
