"""Whose voice it is, and where it is recorded: all that stays the same in every clip of one speaker."""

from dataclasses import dataclass

import numpy as np

from stages.corpora.drawing.delivery import draw_manners


@dataclass(frozen=True)
class Speaker:
    """A person before a microphone. Ratios are to an average man's voice."""

    is_male: bool
    pitch_hz: float  # when speaking neutrally
    formant_ratios: np.ndarray  # (8,): a shorter vocal tract resonates higher, and no two have the same shape
    range_ratio: float  # how lively the pitch is
    tempo: float
    laxness: float  # Rd of `glottis.py` when speaking neutrally
    breath_db: float
    level_db: float  # habit and distance to the microphone together
    expressiveness: float
    manners: dict[str, np.ndarray]  # of acting each emotion
    reverberation_s: float
    room_db: float  # reverberation relative to the direct sound
    noise_dbfs: float


_RANGES = {
    "range_ratio": (0.75, 1.3),
    "tempo": (0.92, 1.1),
    "breath_db": (-3.0, 3.0),
    "level_db": (-8.0, 4.0),
    "expressiveness": (0.75, 1.2),
    "reverberation_s": (0.12, 0.35),
    "room_db": (-22.0, -14.0),
    "noise_dbfs": (-72.0, -58.0),
}
_PITCH_HZ = {True: (95.0, 140.0), False: (170.0, 235.0)}
_FORMANT_RATIO = {True: (0.94, 1.06), False: (1.1, 1.22)}
_TRACT_SHAPE = 0.03  # standard deviation of each resonance
_LAXNESS = {True: (0.85, 1.25), False: (0.95, 1.4)}  # women's voices are a little breathier (Klatt & Klatt 1990)


def draw_speaker(number: int, rng: np.random.Generator) -> Speaker:
    """A person, by independent draws of every trait. As in RAVDESS, odd numbers are men and even ones women."""
    is_male = number % 2 == 1
    traits = {name: float(rng.uniform(low, high)) for name, (low, high) in _RANGES.items()}
    return Speaker(
        **traits,
        is_male=is_male,
        pitch_hz=float(rng.uniform(*_PITCH_HZ[is_male])),
        formant_ratios=rng.uniform(*_FORMANT_RATIO[is_male]) * rng.normal(1.0, _TRACT_SHAPE, 8),
        laxness=float(rng.uniform(*_LAXNESS[is_male])),
        manners=draw_manners(rng),
    )
