"""Whose face it is. Lengths in face units: half the head's height is 1, x to the right, y down, eyes near y = 0."""

from dataclasses import dataclass

import numpy as np

from stages.corpora.drawing.canvas import Tone


@dataclass(frozen=True)
class Identity:
    """Everything that stays when the expression changes."""

    skull_width: float  # half-width at the cheekbones
    jaw_squareness: float
    chin_y: float
    skin: Tone
    eye_x: float
    eye_y: float
    eye_width: float
    eye_opening: float
    eye_tilt: float
    iris: Tone
    brow_y: float  # above the eye
    brow_thickness: float
    brow_arch: float
    brow_tone: Tone  # of the skin: 0.2 black, 0.6 fair
    brow_slant: float  # at rest; some people look stern or worried without meaning it
    nose_y: float
    nose_width: float
    mouth_y: float
    mouth_width: float
    mouth_curve: float  # at rest, like `brow_slant`
    lip_thickness: float
    lip_tone: Tone  # of the skin
    hair: Tone
    hairline_y: float
    hair_parting: float
    age: float  # 0 smooth, 1 creased at rest
    style: str
    glasses: bool
    beard: float  # 0 shaven, 1 full


_RANGES = {
    "skull_width": (0.68, 0.82),
    "jaw_squareness": (0.0, 1.0),
    "chin_y": (0.96, 1.06),
    "skin": (105, 215),
    "eye_x": (0.31, 0.37),
    "eye_y": (-0.04, 0.04),
    "eye_width": (0.16, 0.2),
    "eye_opening": (0.12, 0.17),
    "eye_tilt": (-0.02, 0.03),
    "iris": (25, 95),
    "brow_y": (-0.27, -0.21),
    "brow_thickness": (0.045, 0.085),
    "brow_arch": (0.01, 0.06),
    "brow_tone": (0.22, 0.6),
    "brow_slant": (-0.02, 0.02),
    "nose_y": (0.35, 0.42),
    "nose_width": (0.11, 0.17),
    "mouth_y": (0.62, 0.68),
    "mouth_width": (0.24, 0.31),
    "mouth_curve": (-0.01, 0.03),
    "lip_thickness": (0.05, 0.1),
    "lip_tone": (0.6, 0.82),
    "hairline_y": (-0.68, -0.52),
    "hair_parting": (-0.5, 0.5),
    "age": (0.0, 1.0),
}
_STYLES = ("short", "long", "fringe", "bald")
_STYLE_CHANCES = (0.42, 0.34, 0.14, 0.1)


def draw_identity(rng: np.random.Generator) -> Identity:
    """A person, by independent draws of every trait."""
    traits = {name: float(rng.uniform(low, high)) for name, (low, high) in _RANGES.items()}
    style = str(rng.choice(_STYLES, p=_STYLE_CHANCES))
    bearded = style != "long" and rng.random() < 0.18
    # The hair is darker than the skin in most people, never much lighter.
    hair = float(rng.uniform(18, min(180.0, traits["skin"] * 0.8)))
    beard = float(rng.uniform(0.35, 1.0)) if bearded else 0.0
    return Identity(**traits, hair=hair, style=style, glasses=bool(rng.random() < 0.12), beard=beard)
