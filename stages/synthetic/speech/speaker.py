"""Properties of a speaker and of the recording that are the same in all clips of the speaker."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from stages.synthetic.speech.delivery import sample_habits
from stages.synthetic.traits import sample_traits


@dataclass(frozen=True)
class Speaker:
    """A person in front of a microphone. Ratios are relative to the voice of an average man."""

    is_male: bool
    pitch_hz: float  # mean pitch in neutral speech
    formant_ratios: np.ndarray  # (8,): a shorter vocal tract has higher resonances, and its shape varies
    laxness: float  # Rd of `source_filter.py` when speaking neutrally
    habits: dict[str, np.ndarray]  # individual way of acting each emotion, see `sample_habits`
    range_ratio: Annotated[float, 0.75, 1.3]  # width of pitch movements
    tempo: Annotated[float, 0.92, 1.1]
    breath_db: Annotated[float, -3.0, 3.0]
    level_db: Annotated[float, -8.0, 4.0]  # includes the distance to the microphone
    expressiveness: Annotated[float, 0.75, 1.2]
    reverberation_s: Annotated[float, 0.12, 0.35]
    room_db: Annotated[float, -22.0, -14.0]  # reverberation relative to the direct sound
    noise_dbfs: Annotated[float, -72.0, -58.0]


_PITCH_HZ = {True: (95.0, 140.0), False: (170.0, 235.0)}
_FORMANT_RATIO = {True: (0.94, 1.06), False: (1.1, 1.22)}
_TRACT_SHAPE_SD = 0.03  # variation of each resonance
_LAXNESS = {True: (0.85, 1.25), False: (0.95, 1.4)}  # women's voices are a little breathier (Klatt & Klatt 1990)


def sample_speaker(number: int, rng: np.random.Generator) -> Speaker:
    """Return a speaker with independent random traits. As in RAVDESS, odd numbers are men and even ones women."""
    is_male = number % 2 == 1
    return Speaker(
        **sample_traits(Speaker, rng),
        is_male=is_male,
        pitch_hz=float(rng.uniform(*_PITCH_HZ[is_male])),
        formant_ratios=rng.uniform(*_FORMANT_RATIO[is_male]) * rng.normal(1.0, _TRACT_SHAPE_SD, 8),
        laxness=float(rng.uniform(*_LAXNESS[is_male])),
        habits=sample_habits(rng),
    )
