"""Changes of a voice by an emotion: prototypes of acted speech, sampled with an intensity and jitter.

Directions and sizes are after Scherer, "Vocal communication of emotion", Speech Communication 40 (2003), table 6, and
Juslin & Laukka, "Communication of emotions in vocal expression", Psychological Bulletin 129 (2003), table 7.
"""

from dataclasses import astuple, dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Delivery:
    """Differences from the neutral voice of the speaker; 0 is none. A new emotion is a new entry in `PROTOTYPES`."""

    pitch_st: float = 0.0  # mean pitch, semitones
    range_octaves: float = 0.0  # width of pitch movements: 1 doubles every accent
    final_st: float = 0.0  # pitch change in the last syllable
    level_db: float = 0.0
    emphasis_db: float = 0.0  # contrast of stressed and unstressed syllables
    fade_db: float = 0.0  # attenuation of the last syllable relative to the first
    tempo_octaves: float = 0.0  # 1 is twice as fast
    pause_s: float = 0.0  # length of the pause between the two phrases
    laxness_octaves: float = 0.0  # of the glottis: above 0 lax, breathy and dull; below 0 pressed and bright
    breath_db: float = 0.0  # noise of the air in the glottis
    roughness: float = 0.0  # cycle-to-cycle irregularity
    tremor_st: float = 0.0
    clarity: float = 0.0  # distance of vowels from the neutral one; below 0 mumbled
    jaw: float = 0.0  # lowering of the jaw raises the first formant by this share
    smile: float = 0.0  # spread lips shorten the vocal tract by this share


# An emotion can be acted in several ways: anger by shouting or hissing, grief by a dull or a weeping voice.
# fmt: off
PROTOTYPES: dict[str, tuple[Delivery, ...]] = {
    "neutral": (Delivery(),),
    "calm": (Delivery(pitch_st=-1.0, range_octaves=-0.4, level_db=-3.0, tempo_octaves=-0.2, pause_s=0.03,
                      laxness_octaves=0.5, breath_db=3.0),),
    "happy": (
        Delivery(pitch_st=6.5, range_octaves=0.9, final_st=1.5, level_db=6.5, emphasis_db=1.0, tempo_octaves=0.2,
                 laxness_octaves=-0.3, jaw=0.07, smile=0.05),
        Delivery(pitch_st=4.5, range_octaves=0.7, final_st=1.0, level_db=2.0, emphasis_db=1.0, tempo_octaves=0.1,
                 laxness_octaves=0.1, breath_db=2.0, smile=0.06),
    ),
    "sad": (
        Delivery(pitch_st=-2.0, range_octaves=-0.9, final_st=-0.5, level_db=-5.0, emphasis_db=-1.5, fade_db=3.0,
                 tempo_octaves=-0.35, pause_s=0.08, laxness_octaves=0.65, breath_db=5.0, roughness=0.2, clarity=-0.2,
                 jaw=-0.05),
        Delivery(pitch_st=2.0, range_octaves=-0.3, final_st=-1.0, level_db=-4.0, fade_db=3.0, tempo_octaves=-0.3,
                 pause_s=0.1, laxness_octaves=0.65, breath_db=6.0, roughness=0.7, tremor_st=0.6, clarity=-0.1),
    ),
    "angry": (
        Delivery(pitch_st=7.0, range_octaves=0.7, final_st=-2.5, level_db=9.0, emphasis_db=4.0, fade_db=-3.0,
                 tempo_octaves=0.1, laxness_octaves=-1.1, breath_db=-2.0, roughness=0.7, clarity=0.05, jaw=0.15),
        Delivery(pitch_st=2.0, range_octaves=0.2, final_st=-3.0, level_db=4.5, emphasis_db=4.0, fade_db=-1.0,
                 tempo_octaves=-0.15, pause_s=0.03, laxness_octaves=-1.0, roughness=0.3, clarity=0.1, jaw=0.06),
    ),
    "fear": (Delivery(pitch_st=6.5, range_octaves=-0.1, final_st=1.5, level_db=1.0, tempo_octaves=0.3,
                      laxness_octaves=0.5, breath_db=6.0, roughness=0.8, tremor_st=0.7, jaw=0.04),),
    "disgust": (Delivery(pitch_st=-2.0, range_octaves=0.2, final_st=-3.0, level_db=1.0, emphasis_db=3.0,
                         tempo_octaves=-0.4, pause_s=0.05, laxness_octaves=-0.5, roughness=1.2, clarity=-0.1,
                         smile=-0.02),),
    "surprise": (Delivery(pitch_st=6.0, range_octaves=1.1, final_st=6.0, level_db=3.0, emphasis_db=2.0,
                          laxness_octaves=0.2, breath_db=3.0, jaw=0.1),),
}
# fmt: on

# Standard deviations of random variation between takes, in the order of the fields.
_JITTER = np.array(astuple(Delivery(0.8, 0.2, 0.7, 1.6, 0.7, 1.0, 0.08, 0.03, 0.17, 1.3, 0.15, 0.1, 0.06, 0.03, 0.012)))
_HABIT = 0.4  # variation between actors, relative to `_JITTER`, constant over the takes of one actor
_EFFORT = {"normal": 1.05, "strong": 1.35}
_EFFORT_BETA = (4.0, 0.4)  # most takes are expressive; a few are so weak that they sound neutral
_LARGEST_BLEND = 0.25  # the intended emotion always dominates
_BLEND_BETA = (1.0, 2.4)


def sample_habits(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return an actor's offsets (15,) for each emotion, in the order of the fields, which are added in all takes."""
    return {emotion: _HABIT * rng.normal(0.0, _JITTER) for emotion in PROTOTYPES}


def sample_delivery(
    emotion: str, intensity: str, expressiveness: float, habit: np.ndarray, rng: np.random.Generator
) -> Delivery:
    """Return one take: effort × prototype + jitter, blended with another emotion. `intensity` is normal or strong."""
    # As in real corpora, weak takes overlap with neutral, and blends overlap with each other.
    intended = _variant(emotion, rng)
    other = _variant(str(rng.choice([name for name in PROTOTYPES if name != emotion])), rng)
    blend = _LARGEST_BLEND * rng.beta(*_BLEND_BETA)
    effort = _EFFORT[intensity] * expressiveness * rng.beta(*_EFFORT_BETA)
    values = effort * ((1.0 - blend) * intended + blend * other) + habit + rng.normal(0.0, _JITTER)
    return Delivery(**dict(zip((field.name for field in fields(Delivery)), values.tolist(), strict=True)))


def _variant(emotion: str, rng: np.random.Generator) -> np.ndarray:
    variants = PROTOTYPES[emotion]
    return np.array(astuple(variants[rng.integers(len(variants))]))
