"""RAVDESS's two statements as phones: how long each lasts, where its resonances are and what makes it sound.

Formants after Peterson & Barney (JASA 24, 1952) and the synthesis targets of Klatt (JASA 67, 1980, tables II and III).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

FRAME_S = 0.008


class Phone(NamedTuple):
    """A target for the vocal tract of an average man; amplitudes relative to a stressed vowel's voice."""

    duration_s: float
    formants_hz: tuple[float, float, float]
    voice: float = 1.0
    breath: float = 0.0  # noise from the glottis, beside what the speaker's own voice has
    hiss: float = 0.0  # noise from a narrow place in the mouth
    hiss_hz: float = 4000.0
    damping: float = 1.0  # of the resonances: wider than a vowel's
    stretch: float = 1.0  # how much of a change of tempo it takes: bursts take little


# A stop is its closure (K-) and its release (K+).
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

# Syllables and their stress, 0 to 1. RAVDESS's codes of the statements.
_END = (("pause", 0.0), ("B- B+ AY IY", 0.35), ("DH AH", 0.0), ("D- D+ AO R", 1.0))
STATEMENTS = {
    1: (("K- K+ IH D- D+ Z", 0.8), ("AA R", 0.2), ("T- T+ AO", 0.9), ("K- K+ IH NG", 0.15), *_END),
    2: (("D- D+ AO G- G+ Z", 0.8), ("AA R", 0.2), ("S IH", 0.9), ("T- T+ IH NG", 0.15), *_END),
}
_VOWELS = frozenset({"IH", "AA", "AO", "AH", "AY"})
_UPPER_HZ = (3400.0, 4500.0, 5500.0, 6500.0, 7500.0)  # resonances that hardly move
_NEUTRAL_VOWEL_HZ = (500.0, 1450.0, 2480.0)


@dataclass(frozen=True)
class Sentence:
    """A timed statement, on frames of `FRAME_S`."""

    formants_hz: np.ndarray  # (frames, 8), of an average man
    bandwidths_hz: np.ndarray  # (frames, 8)
    voice: np.ndarray  # (frames,), like the rest
    breath: np.ndarray
    hiss: np.ndarray
    hiss_hz: np.ndarray
    stress: np.ndarray
    accents: tuple[tuple[float, float], ...]  # (time in s, stress) of each syllable's vowel
    start_s: float
    end_s: float


def lay_out(
    statement: int, tempo: float, pause_s: float, clarity: float, edges_s: tuple[float, float], rng: np.random.Generator
) -> Sentence:
    """Time the phones of `statement` and let each glide into the next. `edges_s`: silence before and after."""
    names, stresses = _spell(statement)
    phones = [PHONES[name] for name in names]
    durations = _durations(phones, names, stresses, tempo, rng)
    durations[0], durations[-1] = edges_s
    durations[names.index("pause")] = np.clip(pause_s, 0.0, 0.2)
    ends = np.cumsum(durations)
    at = (np.arange(int(ends[-1] / FRAME_S)) + 0.5) * FRAME_S
    row = np.minimum(np.searchsorted(ends, at), len(names) - 1)
    return Sentence(
        *_resonances(phones, row, clarity, rng),
        *(_glide(np.array(level), row, 0.006) for level in _levels(phones)),
        hiss_hz=np.array([phone.hiss_hz for phone in phones])[row],
        stress=_glide(stresses, row, 0.03),
        accents=tuple(
            (float(end - 0.5 * duration), float(stress))
            for name, end, duration, stress in zip(names, ends, durations, stresses, strict=True)
            if name in _VOWELS
        ),
        start_s=edges_s[0],
        end_s=float(ends[-2]),
    )


def _spell(statement: int) -> tuple[list[str], np.ndarray]:
    spelled = [(name, stress) for syllable, stress in STATEMENTS[statement] for name in syllable.split()]
    names, stresses = zip(("edge", 0.0), *spelled, ("edge", 0.0), strict=True)
    return list(names), np.array(stresses)


def _durations(
    phones: list[Phone], names: list[str], stresses: np.ndarray, tempo: float, rng: np.random.Generator
) -> np.ndarray:
    """Seconds: stressed vowels and the last syllable are longer, and nobody speaks like a clock."""
    stretch = np.array([phone.stretch for phone in phones])
    longer = np.array([1.0 + 0.45 * stress * (name in _VOWELS) for name, stress in zip(names, stresses, strict=True)])
    last = np.where(np.arange(len(names)) >= len(names) - 3, 1.5, 1.0)
    jitter = np.exp(rng.normal(0.0, 0.08, len(names)))
    return np.array([phone.duration_s for phone in phones]) * longer * last * jitter * tempo**-stretch


def _resonances(
    phones: list[Phone], row: np.ndarray, clarity: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and bandwidths in Hz, (frames, 8) each."""
    targets = np.array([phone.formants_hz for phone in phones], float)
    middle = np.array(_NEUTRAL_VOWEL_HZ)
    targets *= 1.0 + rng.normal(0.0, 0.03, targets.shape)  # no tongue hits the same place twice
    lower = _glide(middle + (targets - middle) * (1.0 + clarity), row, 0.018)
    centres = np.concatenate([lower, np.broadcast_to(_UPPER_HZ, (len(row), len(_UPPER_HZ)))], 1)
    damping = _glide(np.array([phone.damping for phone in phones]), row, 0.01)
    # Losses grow with frequency (Fant 1972).
    return centres, damping[:, None] * (60.0 + 0.04 * centres + 6e-6 * centres**2)


def _levels(phones: list[Phone]) -> list[list[float]]:
    return [[phone.voice for phone in phones], [phone.breath for phone in phones], [phone.hiss for phone in phones]]


def _glide(values: np.ndarray, row: np.ndarray, spread_s: float) -> np.ndarray:
    """One value a phone → one a frame, with transitions of about 4 × `spread_s`."""
    return gaussian_filter1d(values[row], spread_s / FRAME_S, axis=0, mode="nearest")
