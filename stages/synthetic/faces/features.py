"""Brows, eyes, nose and mouth of a person with an expression, in face units.

Each part is defined for the left of the face (x > 0, the right of the picture) and mirrored. `au`: action units, see
`expression.py`.
"""

from functools import cache

import numpy as np

from stages.synthetic.faces.canvas import Canvas, Tone
from stages.synthetic.faces.expression import Expression
from stages.synthetic.faces.identity import Identity

SIDES = (-1.0, 1.0)
Point = tuple[float, float]
_S = np.linspace(-1.0, 1.0, 15)  # coordinate along an eye or the mouth
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 20)), np.sin(np.linspace(0, 2 * np.pi, 20))], -1)


@cache
def _bernstein(n: int) -> np.ndarray:
    t = np.linspace(0.0, 1.0, n)
    return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], -1)


def bend(start: Point, control: Point, end: Point, n: int = 9) -> np.ndarray:
    """Return a quadratic Bézier curve (n, 2)."""
    return _bernstein(n) @ np.array((start, control, end))


def disc(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Return the outline (20, 2) of an ellipse."""
    return _CIRCLE * (radius_x, radius_y) + (x, y)


def crease(canvas: Canvas, path: np.ndarray, strength: float, skin: Tone, width: float = 0.035) -> None:
    """Draw a fold of the skin, darker if stronger, and none below a strength of 0.1."""
    if strength > 0.1:
        strength = min(strength, 1.2)
        canvas.stroke(path, width * (0.6 + 0.4 * strength), skin * (1.0 - 0.4 * strength))


def draw_brows(canvas: Canvas, person: Identity, au: Expression) -> None:
    """Draw brows and their creases: on the forehead (AU1, AU2) and between the brows (AU4)."""
    # AU1 outweighs AU4 at the inner end: together they form the slanted brow of grief and fear.
    lowered = au.brow_lowerer * (1.0 - 0.75 * min(au.inner_brow_raiser, 1.0))
    inner_y = 0.015 - 0.13 * au.inner_brow_raiser + 0.12 * lowered + 0.05 * au.nose_wrinkler + person.brow_slant
    middle_y = -0.04 * au.inner_brow_raiser - 0.1 * au.outer_brow_raiser + 0.08 * lowered - person.brow_arch
    outer_y = -0.1 * au.outer_brow_raiser + 0.01 * lowered - person.brow_slant - 0.005
    inner_x = person.eye_x - 0.19 - 0.05 * au.brow_lowerer - 0.02 * au.nose_wrinkler
    y = person.eye_y + person.brow_y
    middle = (person.eye_x, y + 2 * middle_y - 0.5 * (inner_y + outer_y))
    path = bend((inner_x, y + inner_y), middle, (person.eye_x + 0.23, y + outer_y))
    tone = person.skin * person.brow_tone
    for side in SIDES:
        canvas.stroke(path * (side, 1), person.brow_thickness, tone, taper=0.55)
        knit = bend((0.06, y - 0.06 + inner_y), (0.04, y), (0.065, y + 0.1 + inner_y), 5)
        crease(canvas, knit * (side, 1), 0.9 * lowered + 0.3 * au.nose_wrinkler + 0.15 * person.age, person.skin)
    raised = 0.6 * au.inner_brow_raiser + 0.5 * au.outer_brow_raiser + 0.25 * person.age - 0.15
    for line in (0.13, 0.2):
        across = bend((-0.36, y - line), (0.0, y - line - 0.1), (0.36, y - line))
        crease(canvas, across, 0.7 * raised, person.skin, 0.028)


def draw_eyes(canvas: Canvas, person: Identity, au: Expression) -> None:
    """Draw eyes with lids, which AU5, 6, 7 and 43 move; a thick upper line represents the lashes."""
    opening = person.eye_opening * (1.0 + 0.2 * au.inner_brow_raiser)
    upper = opening * (0.62 + 0.5 * au.upper_lid_raiser - 0.2 * au.lid_tightener - 0.45 * au.lid_droop)
    upper -= opening * (0.22 * au.nose_wrinkler + 0.12 * au.brow_lowerer + 0.12 * au.cheek_raiser)
    lower = opening * (0.38 + 0.12 * au.upper_lid_raiser - 0.25 * au.lid_tightener - 0.5 * au.cheek_raiser)
    upper, lower = max(upper, 0.015), max(lower, -0.7 * upper)
    roof = -upper * (1.0 - np.abs(_S) ** 2.4) - person.eye_tilt * _S
    # AU1 pulls the inner half of the lid up with the brow.
    roof -= 0.3 * opening * au.inner_brow_raiser * np.clip(-_S, 0, 1) * (1 - _S**2)
    floor = np.maximum(lower * (1.0 - _S**2) - person.eye_tilt * _S, roof)
    for side in SIDES:
        _draw_eye(canvas, person, au, side, roof, floor)


def _draw_eye(canvas: Canvas, person: Identity, au: Expression, side: float, roof: np.ndarray, floor: np.ndarray):
    x = person.eye_x + person.eye_width * _S
    sclera_tone = 120 + 0.55 * person.skin
    top, bottom = np.stack([x, person.eye_y + roof], -1), np.stack([x, person.eye_y + floor], -1)
    fold = top[1:-1] - (0, 0.045 * (1 - 0.5 * au.upper_lid_raiser))
    crease(canvas, fold * (side, 1), 0.55 + 0.3 * person.age, person.skin)
    canvas.fill(np.concatenate([top, bottom[::-1]]) * (side, 1), sclera_tone)
    radius = 0.42 * person.eye_width + 0.012
    iris_y = person.eye_y - 0.02 + 0.05 * au.gaze_down
    for size, tone in ((1.0, person.iris), (0.5, 10)):
        ring = disc(person.eye_x, iris_y, size * radius, size * radius)
        ring[:, 1] = np.clip(ring[:, 1], np.interp(ring[:, 0], x, top[:, 1]), np.interp(ring[:, 0], x, bottom[:, 1]))
        canvas.fill(ring * (side, 1), tone)
    canvas.stroke(top * (side, 1), 0.045, 0.3 * person.skin, taper=0.6)
    canvas.stroke(bottom * (side, 1), 0.02, 0.55 * person.skin, taper=0.6)
    glint = disc(side * person.eye_x + 0.025, iris_y - 0.025, 0.018, 0.018)
    if roof.min() < -0.05:
        canvas.fill(glint, 245)
    _draw_eye_creases(canvas, person, au, side, float(floor.max()))


def _draw_eye_creases(canvas: Canvas, person: Identity, au: Expression, side: float, floor: float) -> None:
    x, y, half = person.eye_x, person.eye_y, person.eye_width
    bag = bend((x - 0.8 * half, y + 0.05), (x, y + 0.13 + floor), (x + 0.9 * half, y + 0.05))
    crease(canvas, bag * (side, 1), 0.3 * person.age + 0.5 * au.cheek_raiser + 0.3 * au.lid_tightener, person.skin)
    for rise in (-0.05, 0.02, 0.08):  # crow's feet
        foot = bend(
            (x + half + 0.05, y + 0.3 * rise), (x + half + 0.1, y + 0.6 * rise), (x + half + 0.15, y + 1.4 * rise), 4
        )
        crease(canvas, foot * (side, 1), 0.75 * au.cheek_raiser - 0.15 + 0.1 * person.age, person.skin, 0.025)


def draw_nose(canvas: Canvas, person: Identity, au: Expression) -> None:
    """Draw wings, nostrils and, with AU9, creases at the root of the nose. The ridge is part of the relief."""
    y = person.nose_y - 0.05 * au.nose_wrinkler - 0.02 * au.upper_lip_raiser
    half = person.nose_width * (1.0 + 0.2 * au.nose_wrinkler + 0.1 * au.lip_corner_puller)
    under = bend((-0.8 * half, y), (0.0, y + 0.07), (0.8 * half, y))
    canvas.stroke(under, 0.035, 0.7 * person.skin)
    for side in SIDES:
        wing = bend((0.75 * half, y - 0.1), (1.25 * half, y - 0.02), (0.85 * half, y + 0.01), 6)
        canvas.stroke(wing * (side, 1), 0.03, 0.62 * person.skin)
        canvas.fill(disc(side * 0.48 * half, y + 0.005, 0.3 * half, 0.02), 0.33 * person.skin)
        for height in (0.02, 0.09, 0.16):
            root_y = person.eye_y + height
            root = bend((0.03, root_y - 0.02), (0.08, root_y), (0.13, root_y + 0.06), 5)
            crease(canvas, root * (side, 1), 0.9 * au.nose_wrinkler - 0.05, person.skin, 0.03)


class Mouth:
    """Outlines of the lips: curves over s in [-1, 1], from left to right in the picture."""

    def __init__(self, person: Identity, au: Expression):
        smile = au.lip_corner_puller
        stretch = 0.3 * smile + 0.28 * au.lip_stretcher - 0.3 * min(au.jaw_drop, 1.0) - 0.08 * au.chin_raiser
        self.x = person.mouth_width * (1.0 + stretch) * _S
        lift = 0.17 * smile - 0.11 * au.lip_corner_depressor - 0.03 * au.lip_stretcher
        corner = -lift * (1.0 + np.sign(_S) * au.one_sided) - person.mouth_curve + 0.1 * au.jaw_drop
        middle = 0.02 * smile - 0.05 * au.chin_raiser - 0.05 * au.nose_wrinkler * au.upper_lip_raiser
        # The outline is a parabola at rest, and nearly a rectangle when stretched or with bared teeth.
        power = 2.0 + 1.6 * au.lip_stretcher + 1.2 * au.upper_lip_raiser
        shape = np.abs(_S) ** power
        open_by = max(0.0, au.lips_part - 0.12) * 0.13 + max(0.0, au.jaw_drop - 0.08) * 0.3
        raised = middle - 0.06 * au.upper_lip_raiser - 0.015 * smile * au.lips_part
        self.roof = person.mouth_y + raised + (corner - raised) * shape
        self.floor = np.maximum(person.mouth_y + middle + open_by + (corner - middle - open_by) * shape, self.roof)
        thick = person.lip_thickness * (1.0 - 0.75 * min(au.lip_presser, 1.0)) * (1.0 - 0.3 * min(smile, 1.0))
        bow = (1.0 - np.abs(_S) ** 1.6) * (1.0 - 0.25 * np.exp(-((_S / 0.16) ** 2)))
        self.top = self.roof - thick * bow
        self.bottom = self.floor + 1.25 * thick * (1.0 - np.abs(_S) ** 2.2)
        self.gap = float((self.floor - self.roof).max())
        self.corner_y = (float(self.roof[0]), float(self.roof[-1]))

    def between(self, upper: np.ndarray, lower: np.ndarray, inset: int = 0) -> np.ndarray:
        """Return the polygon between two curves, without `inset` points at each corner."""
        part = slice(inset, len(_S) - inset)
        return np.concatenate([np.stack([self.x, upper], -1)[part], np.stack([self.x, lower], -1)[part][::-1]])


def draw_mouth(canvas: Canvas, person: Identity, au: Expression) -> None:
    """Draw lips, the opening with teeth, and the folds beside and below."""
    mouth = Mouth(person, au)
    _draw_mouth_creases(canvas, person, au, mouth)
    lip = person.lip_tone * person.skin
    canvas.fill(mouth.between(mouth.top, mouth.roof), 0.85 * lip)
    canvas.fill(mouth.between(mouth.floor, mouth.bottom), lip)
    if mouth.gap > 0.02:
        canvas.fill(mouth.between(mouth.roof, mouth.floor), 28)
        bared = min(1.0, au.lip_corner_puller + au.lip_stretcher + au.upper_lip_raiser)
        teeth = np.minimum(mouth.roof + 0.02 + 0.085 * bared, mouth.floor - 0.008)
        canvas.fill(mouth.between(mouth.roof, np.maximum(teeth, mouth.roof), 2), 120 + 0.5 * person.skin)
        lower_row = 0.06 * min(1.0, au.lip_stretcher + au.upper_lip_raiser)
        if mouth.gap > 0.1 and lower_row > 0.02:
            row = mouth.between(np.maximum(mouth.floor - lower_row, mouth.roof), mouth.floor, 3)
            canvas.fill(row, 100 + 0.45 * person.skin)
    line = np.stack([mouth.x * 1.06, mouth.roof], -1)
    canvas.stroke(line, 0.03 + 0.012 * min(au.lip_presser, 1.0), 0.32 * person.skin, taper=0.5)


def _draw_mouth_creases(canvas: Canvas, person: Identity, au: Expression, mouth: Mouth) -> None:
    fold = 0.75 * au.lip_corner_puller + 0.7 * au.upper_lip_raiser + 0.3 * au.nose_wrinkler + 0.35 * person.age - 0.05
    half = float(mouth.x[-1])
    for side, corner_y in zip(SIDES, mouth.corner_y, strict=True):
        outside = half + 0.06 + 0.05 * au.lip_corner_puller
        beside_nose = (person.nose_width + 0.03, person.nose_y - 0.04)
        path = bend(beside_nose, (outside - 0.02, person.nose_y + 0.04), (outside, corner_y + 0.02))
        crease(canvas, path * (side, 1), fold, person.skin, 0.04)
        droop = bend((half + 0.01, corner_y), (half + 0.04, corner_y + 0.03), (half + 0.03, corner_y + 0.09), 5)
        crease(canvas, droop * (side, 1), 0.9 * au.lip_corner_depressor + 0.15 * person.age - 0.1, person.skin)
    below = float(mouth.bottom.max())
    under_lip = bend((-0.13, below + 0.06), (0.0, below + 0.06 - 0.05 * au.chin_raiser), (0.13, below + 0.06))
    crease(canvas, under_lip, 0.3 + 0.5 * au.chin_raiser, person.skin, 0.045)
