"""Facial expressions of emotions: prototypes in FACS action units, sampled with an intensity and jitter.

Action units (AU) are after Ekman & Friesen, "Facial Action Coding System" (1978); the units of each emotion are after
Du, Tao & Martinez, "Compound facial expressions of emotion", PNAS 111 (2014), table 1.
"""

from dataclasses import astuple, dataclass

import numpy as np


@dataclass(frozen=True)
class Expression:
    """Contraction of each action unit: 0 at rest, 1 strong. A new emotion is a new entry in `PROTOTYPES`."""

    inner_brow_raiser: float = 0.0  # AU1
    outer_brow_raiser: float = 0.0  # AU2
    brow_lowerer: float = 0.0  # AU4, also draws the brows together
    upper_lid_raiser: float = 0.0  # AU5
    cheek_raiser: float = 0.0  # AU6
    lid_tightener: float = 0.0  # AU7
    nose_wrinkler: float = 0.0  # AU9
    upper_lip_raiser: float = 0.0  # AU10
    lip_corner_puller: float = 0.0  # AU12
    lip_corner_depressor: float = 0.0  # AU15
    chin_raiser: float = 0.0  # AU17
    lip_stretcher: float = 0.0  # AU20
    lip_presser: float = 0.0  # AU24
    lips_part: float = 0.0  # AU25
    jaw_drop: float = 0.0  # AU26 and, near 1, AU27
    lid_droop: float = 0.0  # AU43, partial
    gaze_down: float = 0.0  # AU64
    one_sided: float = 0.0  # extra pull on the left corner of the mouth; except in contempt, only jitter


# An emotion can be shown in several ways: a smile with closed or open lips, anger with pressed lips or bared teeth.
# fmt: off
PROTOTYPES: dict[str, tuple[Expression, ...]] = {
    "angry": (
        Expression(brow_lowerer=1.0, upper_lid_raiser=0.35, lid_tightener=0.5, chin_raiser=0.4, lip_presser=0.9),
        Expression(brow_lowerer=1.0, lid_tightener=0.4, upper_lip_raiser=0.35, lip_stretcher=0.2, lips_part=0.7,
                   jaw_drop=0.2),
    ),
    "disgust": (
        Expression(brow_lowerer=0.5, lid_tightener=0.6, cheek_raiser=0.4, nose_wrinkler=1.0, upper_lip_raiser=0.9,
                   lip_corner_depressor=0.3, chin_raiser=0.4),
        Expression(brow_lowerer=0.4, lid_tightener=0.7, cheek_raiser=0.4, nose_wrinkler=1.0, upper_lip_raiser=1.0,
                   lip_corner_depressor=0.4, lips_part=0.4),
    ),
    "fear": (Expression(inner_brow_raiser=1.0, outer_brow_raiser=0.35, brow_lowerer=0.6, upper_lid_raiser=0.9,
                        lip_stretcher=0.9, lips_part=0.5, jaw_drop=0.15),),
    "happy": (
        Expression(cheek_raiser=0.7, lip_corner_puller=1.0, lips_part=0.5),
        Expression(cheek_raiser=0.9, lip_corner_puller=1.1, lips_part=0.7, jaw_drop=0.3),
        Expression(cheek_raiser=0.5, lip_corner_puller=0.9),
    ),
    "sad": (Expression(inner_brow_raiser=1.0, brow_lowerer=0.4, lip_corner_depressor=0.9, chin_raiser=0.6,
                       lid_droop=0.4, gaze_down=0.5),),
    "surprise": (Expression(inner_brow_raiser=1.0, outer_brow_raiser=1.0, upper_lid_raiser=0.8, lips_part=0.3,
                            jaw_drop=0.9),),
    "neutral": (Expression(),),
    # A smirk: one corner of the mouth, on either side, tightens and rises (AU12 and AU14, Matsumoto & Ekman 2004).
    "contempt": (
        Expression(lip_corner_puller=0.75, one_sided=1.0, lip_presser=0.6, lid_tightener=0.3, lid_droop=0.35),
        Expression(lip_corner_puller=0.75, one_sided=-1.0, lip_presser=0.6, lid_tightener=0.3, lid_droop=0.35),
    ),
}
# fmt: on
# Emotions that are blended into others; contempt is too weak for that.
_BLENDED = tuple(name for name in PROTOTYPES if name != "contempt")

_JITTER_SD = 0.1  # of every action unit: expressions vary between people and moments
_STRONGEST = 1.15
_INTENSITY_BETA = (2.2, 0.9)  # most are clear, a few so weak that they look neutral
_LARGEST_BLEND = 0.4  # the intended emotion always dominates
_BLEND_BETA = (1.0, 2.4)


def sample_expression(emotion: str, rng: np.random.Generator) -> Expression:
    """Return a random expression of `emotion`: intensity × prototype + jitter, blended with another emotion."""
    # As in real corpora, weak expressions overlap with neutral, and blends ("compound expressions") with each other.
    intended = _variant(emotion, rng)
    other = _variant(str(rng.choice([name for name in _BLENDED if name != emotion])), rng)
    blend = _LARGEST_BLEND * rng.beta(*_BLEND_BETA)
    intensity = _STRONGEST * rng.beta(*_INTENSITY_BETA)
    jitter = rng.normal(0.0, _JITTER_SD, len(intended))
    # Negative values are not clipped: that would add a trace of all emotions to every neutral face.
    return Expression(*(intensity * ((1.0 - blend) * intended + blend * other) + jitter).tolist())


def _variant(emotion: str, rng: np.random.Generator) -> np.ndarray:
    variants = PROTOTYPES[emotion]
    return np.array(astuple(variants[rng.integers(len(variants))]))
