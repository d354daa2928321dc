"""Melody and loudness of a sentence: what the listener hears first of an emotion."""

import numpy as np

from stages.corpora.drawing.delivery import Delivery
from stages.corpora.drawing.sentence import FRAME_S, Sentence

_DECLINATION_ST = 4.0  # fall over a neutral sentence
_ACCENT_ST = 4.5  # rise on its stressed syllables
_ACCENT_S = 0.07
_FINAL_ST = -2.0
_TREMOR_HZ = 5.5
_REDUCTION_DB = 5.0  # an unstressed syllable is this much weaker
_FADE_DB = 5.0


def melody(sentence: Sentence, take: Delivery, liveliness: float, rng: np.random.Generator) -> np.ndarray:
    """Semitones (frames,) from the take's mean pitch: declination, accents, the final fall or rise, tremor."""
    at = (np.arange(len(sentence.voice)) + 0.5) * FRAME_S
    through = np.clip((at - sentence.start_s) / (sentence.end_s - sentence.start_s), 0.0, 1.0)
    times, stresses = np.array(sentence.accents).T
    heights = _ACCENT_ST * stresses * rng.uniform(0.6, 1.4, len(times))
    # The peak comes late in its syllable (Ladd, "Intonational Phonology", 2008).
    bumps = np.exp(-0.5 * ((at[:, None] - times - 0.02) / _ACCENT_S) ** 2) @ heights
    wide = liveliness * 2.0**take.range_octaves
    turn = np.clip((through - 0.8) / 0.2, 0.0, 1.0)
    wobble = max(take.tremor_st, 0.0) * np.sin(2 * np.pi * (_TREMOR_HZ * at + rng.random()))
    contour = wide * (_DECLINATION_ST * (0.5 - through) + bumps) + wobble
    return contour + (_FINAL_ST + take.final_st) * turn**2 * (3.0 - 2.0 * turn)


def loudness(sentence: Sentence, take: Delivery) -> np.ndarray:
    """Amplitude (frames,): stressed syllables stand out, and the breath runs out towards the end."""
    at = (np.arange(len(sentence.voice)) + 0.5) * FRAME_S
    through = np.clip((at - sentence.start_s) / (sentence.end_s - sentence.start_s), 0.0, 1.0)
    reduced = max(_REDUCTION_DB + take.emphasis_db, 0.0) * (sentence.stress - 1.0)
    fade = np.clip((1.0 - through) / 0.1, 0.1, 1.0)
    return 10.0 ** ((reduced - (_FADE_DB + take.fade_db) * through) / 20.0) * fade
