"""Traits of a person. Lengths are in face units: half the height of the head is 1, y points down, eyes near y = 0."""

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from stages.synthetic.faces.canvas import Tone
from stages.synthetic.traits import sample_traits

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_FAIREST, _DARKEST = 215.0, 105.0  # gray levels of the skin
# Red, green and blue; only their ratio matters.
_FAIR_SKIN, _DARK_SKIN = np.array([1.13, 0.97, 0.86]), np.array([1.36, 0.92, 0.66])
_LIPS = np.array([1.22, 0.88, 0.92])
_HAIRS = np.array([[1.0, 0.98, 0.97], [1.25, 0.95, 0.72], [1.15, 1.0, 0.72], [1.5, 0.85, 0.55]])  # black … red
_HAIR_CHANCES = (0.35, 0.35, 0.2, 0.1)
_IRISES = np.array([[1.35, 0.92, 0.6], [0.75, 1.0, 1.45], [0.9, 1.08, 0.8]])  # brown, blue, green
_IRIS_CHANCES = (0.55, 0.3, 0.15)
_STYLES = ("short", "long", "fringe", "bald")
_STYLE_CHANCES = (0.42, 0.34, 0.14, 0.1)


@dataclass(frozen=True)
class Identity:
    """Traits that do not depend on the expression."""

    skull_width: Annotated[float, 0.68, 0.82]  # half-width at the cheekbones
    jaw_squareness: Annotated[float, 0.0, 1.0]
    chin_y: Annotated[float, 0.96, 1.06]
    skin: Annotated[Tone, _DARKEST, _FAIREST]
    eye_x: Annotated[float, 0.31, 0.37]
    eye_y: Annotated[float, -0.04, 0.04]
    eye_width: Annotated[float, 0.16, 0.2]
    eye_opening: Annotated[float, 0.12, 0.17]
    eye_tilt: Annotated[float, -0.02, 0.03]
    iris: Annotated[Tone, 25, 95]
    brow_y: Annotated[float, -0.27, -0.21]  # above the eye
    brow_thickness: Annotated[float, 0.045, 0.085]
    brow_arch: Annotated[float, 0.01, 0.06]
    brow_tone: Annotated[Tone, 0.22, 0.6]  # relative to the skin: 0.2 black, 0.6 fair
    brow_slant: Annotated[float, -0.02, 0.02]  # at rest; some people look stern or worried when neutral
    nose_y: Annotated[float, 0.35, 0.42]
    nose_width: Annotated[float, 0.11, 0.17]
    mouth_y: Annotated[float, 0.62, 0.68]
    mouth_width: Annotated[float, 0.24, 0.31]
    mouth_curve: Annotated[float, -0.01, 0.03]  # at rest, like `brow_slant`
    lip_thickness: Annotated[float, 0.05, 0.1]
    lip_tone: Annotated[Tone, 0.6, 0.82]  # relative to the skin
    hairline_y: Annotated[float, -0.68, -0.52]
    hair_parting: Annotated[float, -0.5, 0.5]
    age: Annotated[float, 0.0, 1.0]  # 0 smooth, 1 creased at rest
    hair: Tone
    style: str
    glasses: bool
    beard: float  # 0 shaven, 1 full


def sample_identity(rng: np.random.Generator) -> Identity:
    """Return a person with independent random traits, in gray levels."""
    traits = sample_traits(Identity, rng)
    style = str(rng.choice(_STYLES, p=_STYLE_CHANCES))
    bearded = style != "long" and rng.random() < 0.18
    # In most people hair is darker than skin, and it is never much lighter.
    hair = float(rng.uniform(18, min(180.0, traits["skin"] * 0.8)))
    beard = float(rng.uniform(0.35, 1.0)) if bearded else 0.0
    return Identity(**traits, hair=hair, style=style, glasses=bool(rng.random() < 0.12), beard=beard)


def colorize(person: Identity, rng: np.random.Generator) -> Identity:
    """Return `person` with tones (3,) of red, green and blue of the same luma in place of gray levels."""
    fairness = np.clip((person.skin - _DARKEST) / (_FAIREST - _DARKEST), 0.0, 1.0)
    skin = fairness * _FAIR_SKIN + (1.0 - fairness) * _DARK_SKIN
    hair = _HAIRS[rng.choice(len(_HAIRS), p=_HAIR_CHANCES)]
    return replace(
        person,
        skin=person.skin * unit_luma(skin * rng.normal(1.0, 0.012, 3)),
        hair=person.hair * unit_luma(hair),
        iris=person.iris * unit_luma(_IRISES[rng.choice(len(_IRISES), p=_IRIS_CHANCES)]),
        lip_tone=person.lip_tone * unit_luma(_LIPS),  # multiplied with the skin, like the brows
        brow_tone=person.brow_tone * unit_luma(np.sqrt(hair)),
    )


def unit_luma(color: np.ndarray) -> np.ndarray:
    """Return red, green and blue (3,) scaled to a luma of 1."""
    return color / (color @ _LUMA)
