"""Brows, eyes, nose and mouth of one identity under one expression. Face units; each part is drawn for the face's left
(x > 0, on the right of the picture) and mirrored. AU: action unit, see `expression.py`."""

from functools import cache

import numpy as np

from stages.corpora.drawing.canvas import Canvas, Tone
from stages.corpora.drawing.expression import Expression
from stages.corpora.drawing.identity import Identity

SIDES = (-1.0, 1.0)
Point = tuple[float, float]
_S = np.linspace(-1.0, 1.0, 15)  # runs along an eye or the mouth
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 20)), np.sin(np.linspace(0, 2 * np.pi, 20))], -1)


@cache
def _bernstein(n: int) -> np.ndarray:
    t = np.linspace(0.0, 1.0, n)
    return np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], -1)


def bend(start: Point, control: Point, end: Point, n: int = 9) -> np.ndarray:
    """Quadratic Bézier curve, (n, 2)."""
    return _bernstein(n) @ np.array((start, control, end))


def disc(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Outline of an ellipse, (20, 2)."""
    return _CIRCLE * (radius_x, radius_y) + (x, y)


def crease(canvas: Canvas, path: np.ndarray, strength: float, skin: Tone, width: float = 0.035) -> None:
    """A fold of the skin, the darker the stronger; none where the skin is nearly smooth."""
    if strength > 0.1:
        strength = min(strength, 1.2)
        canvas.stroke(path, width * (0.6 + 0.4 * strength), skin * (1.0 - 0.4 * strength))


def draw_brows(canvas: Canvas, who: Identity, face: Expression) -> None:
    """Brows, and the creases they push up: forehead (AU1, AU2) and between the brows (AU4)."""
    # AU1 wins over AU4 at the inner end: together they make the slanted brow of grief and fear.
    lowered = face.brow_lowerer * (1.0 - 0.75 * min(face.inner_brow_raiser, 1.0))
    inner_y = 0.015 - 0.13 * face.inner_brow_raiser + 0.12 * lowered + 0.05 * face.nose_wrinkler + who.brow_slant
    middle_y = -0.04 * face.inner_brow_raiser - 0.1 * face.outer_brow_raiser + 0.08 * lowered - who.brow_arch
    outer_y = -0.1 * face.outer_brow_raiser + 0.01 * lowered - who.brow_slant - 0.005
    inner_x = who.eye_x - 0.19 - 0.05 * face.brow_lowerer - 0.02 * face.nose_wrinkler
    y = who.eye_y + who.brow_y
    path = bend(
        (inner_x, y + inner_y),
        (who.eye_x, y + 2 * middle_y - 0.5 * (inner_y + outer_y)),
        (who.eye_x + 0.23, y + outer_y),
    )
    tone = who.skin * who.brow_tone
    for side in SIDES:
        canvas.stroke(path * (side, 1), who.brow_thickness, tone, taper=0.55)
        knit = bend((0.06, y - 0.06 + inner_y), (0.04, y), (0.065, y + 0.1 + inner_y), 5)
        crease(canvas, knit * (side, 1), 0.9 * lowered + 0.3 * face.nose_wrinkler + 0.15 * who.age, who.skin)
    raised = 0.6 * face.inner_brow_raiser + 0.5 * face.outer_brow_raiser + 0.25 * who.age - 0.15
    for line in (0.13, 0.2):
        across = bend((-0.36, y - line), (0.0, y - line - 0.1), (0.36, y - line))
        crease(canvas, across, 0.7 * raised, who.skin, 0.028)


def draw_eyes(canvas: Canvas, who: Identity, face: Expression) -> None:
    """Eyes with lids; lashes are the thick upper line. AU5, 6, 7, 43 move the lids."""
    opening = who.eye_opening * (1.0 + 0.2 * face.inner_brow_raiser)
    upper = opening * (0.62 + 0.5 * face.upper_lid_raiser - 0.2 * face.lid_tightener - 0.45 * face.lid_droop)
    upper -= opening * (0.22 * face.nose_wrinkler + 0.12 * face.brow_lowerer + 0.12 * face.cheek_raiser)
    lower = opening * (0.38 + 0.12 * face.upper_lid_raiser - 0.25 * face.lid_tightener - 0.5 * face.cheek_raiser)
    upper, lower = max(upper, 0.015), max(lower, -0.7 * upper)
    roof = -upper * (1.0 - np.abs(_S) ** 2.4) - who.eye_tilt * _S
    # AU1 pulls the inner half of the lid up with the brow.
    roof -= 0.3 * opening * face.inner_brow_raiser * np.clip(-_S, 0, 1) * (1 - _S**2)
    floor = np.maximum(lower * (1.0 - _S**2) - who.eye_tilt * _S, roof)
    for side in SIDES:
        _draw_eye(canvas, who, face, side, roof, floor)


def _draw_eye(
    canvas: Canvas, who: Identity, face: Expression, side: float, roof: np.ndarray, floor: np.ndarray
) -> None:
    x = who.eye_x + who.eye_width * _S
    sclera_tone = 120 + 0.55 * who.skin
    top, bottom = np.stack([x, who.eye_y + roof], -1), np.stack([x, who.eye_y + floor], -1)
    fold = top[1:-1] - (0, 0.045 * (1 - 0.5 * face.upper_lid_raiser))
    crease(canvas, fold * (side, 1), 0.55 + 0.3 * who.age, who.skin)
    canvas.fill(np.concatenate([top, bottom[::-1]]) * (side, 1), sclera_tone)
    radius = 0.42 * who.eye_width + 0.012
    iris_y = who.eye_y - 0.02 + 0.05 * face.gaze_down
    for size, tone in ((1.0, who.iris), (0.5, 10)):
        ring = disc(who.eye_x, iris_y, size * radius, size * radius)
        ring[:, 1] = np.clip(ring[:, 1], np.interp(ring[:, 0], x, top[:, 1]), np.interp(ring[:, 0], x, bottom[:, 1]))
        canvas.fill(ring * (side, 1), tone)
    canvas.stroke(top * (side, 1), 0.045, 0.3 * who.skin, taper=0.6)
    canvas.stroke(bottom * (side, 1), 0.02, 0.55 * who.skin, taper=0.6)
    glint = disc(side * who.eye_x + 0.025, iris_y - 0.025, 0.018, 0.018)
    if roof.min() < -0.05:
        canvas.fill(glint, 245)
    _draw_eye_creases(canvas, who, face, side, float(floor.max()))


def _draw_eye_creases(canvas: Canvas, who: Identity, face: Expression, side: float, floor: float) -> None:
    x, y, half = who.eye_x, who.eye_y, who.eye_width
    bag = bend((x - 0.8 * half, y + 0.05), (x, y + 0.13 + floor), (x + 0.9 * half, y + 0.05))
    crease(canvas, bag * (side, 1), 0.3 * who.age + 0.5 * face.cheek_raiser + 0.3 * face.lid_tightener, who.skin)
    for rise in (-0.05, 0.02, 0.08):  # crow's feet
        foot = bend(
            (x + half + 0.05, y + 0.3 * rise), (x + half + 0.1, y + 0.6 * rise), (x + half + 0.15, y + 1.4 * rise), 4
        )
        crease(canvas, foot * (side, 1), 0.75 * face.cheek_raiser - 0.15 + 0.1 * who.age, who.skin, 0.025)


def draw_nose(canvas: Canvas, who: Identity, face: Expression) -> None:
    """Wings, nostrils and, with AU9, creases across its root. Its ridge is in the relief."""
    y = who.nose_y - 0.05 * face.nose_wrinkler - 0.02 * face.upper_lip_raiser
    half = who.nose_width * (1.0 + 0.2 * face.nose_wrinkler + 0.1 * face.lip_corner_puller)
    under = bend((-0.8 * half, y), (0.0, y + 0.07), (0.8 * half, y))
    canvas.stroke(under, 0.035, 0.7 * who.skin)
    for side in SIDES:
        wing = bend((0.75 * half, y - 0.1), (1.25 * half, y - 0.02), (0.85 * half, y + 0.01), 6)
        canvas.stroke(wing * (side, 1), 0.03, 0.62 * who.skin)
        canvas.fill(disc(side * 0.48 * half, y + 0.005, 0.3 * half, 0.02), 0.33 * who.skin)
        for height in (0.02, 0.09, 0.16):
            root = bend(
                (0.03, who.eye_y + height - 0.02), (0.08, who.eye_y + height), (0.13, who.eye_y + height + 0.06), 5
            )
            crease(canvas, root * (side, 1), 0.9 * face.nose_wrinkler - 0.05, who.skin, 0.03)


class Mouth:
    """Outline of the lips: curves over s in [-1, 1], from the picture's left corner to its right one."""

    def __init__(self, who: Identity, face: Expression):
        smile = face.lip_corner_puller
        stretch = 0.3 * smile + 0.28 * face.lip_stretcher - 0.3 * min(face.jaw_drop, 1.0) - 0.08 * face.chin_raiser
        self.x = who.mouth_width * (1.0 + stretch) * _S
        lift = 0.17 * smile - 0.11 * face.lip_corner_depressor - 0.03 * face.lip_stretcher
        corner = -lift * (1.0 + np.sign(_S) * face.one_sided) - who.mouth_curve + 0.1 * face.jaw_drop
        middle = 0.02 * smile - 0.05 * face.chin_raiser - 0.05 * face.nose_wrinkler * face.upper_lip_raiser
        # A stretched or bared mouth is a rectangle, a resting one a parabola.
        power = 2.0 + 1.6 * face.lip_stretcher + 1.2 * face.upper_lip_raiser
        shape = np.abs(_S) ** power
        open_by = max(0.0, face.lips_part - 0.12) * 0.13 + max(0.0, face.jaw_drop - 0.08) * 0.3
        raised = middle - 0.06 * face.upper_lip_raiser - 0.015 * smile * face.lips_part
        self.roof = who.mouth_y + raised + (corner - raised) * shape
        self.floor = np.maximum(who.mouth_y + middle + open_by + (corner - middle - open_by) * shape, self.roof)
        thick = who.lip_thickness * (1.0 - 0.75 * min(face.lip_presser, 1.0)) * (1.0 - 0.3 * min(smile, 1.0))
        bow = (1.0 - np.abs(_S) ** 1.6) * (1.0 - 0.25 * np.exp(-((_S / 0.16) ** 2)))
        self.top = self.roof - thick * bow
        self.bottom = self.floor + 1.25 * thick * (1.0 - np.abs(_S) ** 2.2)
        self.gap = float((self.floor - self.roof).max())
        self.corner_y = (float(self.roof[0]), float(self.roof[-1]))

    def between(self, upper: np.ndarray, lower: np.ndarray, inset: int = 0) -> np.ndarray:
        """The polygon between two curves, without `inset` points at each corner."""
        part = slice(inset, len(_S) - inset)
        return np.concatenate([np.stack([self.x, upper], -1)[part], np.stack([self.x, lower], -1)[part][::-1]])


def draw_mouth(canvas: Canvas, who: Identity, face: Expression) -> None:
    """Lips, the opening with its teeth, and the folds beside and below it."""
    mouth = Mouth(who, face)
    _draw_mouth_creases(canvas, who, face, mouth)
    lip = who.lip_tone * who.skin
    canvas.fill(mouth.between(mouth.top, mouth.roof), 0.85 * lip)
    canvas.fill(mouth.between(mouth.floor, mouth.bottom), lip)
    if mouth.gap > 0.02:
        canvas.fill(mouth.between(mouth.roof, mouth.floor), 28)
        bared = min(1.0, face.lip_corner_puller + face.lip_stretcher + face.upper_lip_raiser)
        teeth = np.minimum(mouth.roof + 0.02 + 0.085 * bared, mouth.floor - 0.008)
        canvas.fill(mouth.between(mouth.roof, np.maximum(teeth, mouth.roof), 2), 120 + 0.5 * who.skin)
        lower_row = 0.06 * min(1.0, face.lip_stretcher + face.upper_lip_raiser)
        if mouth.gap > 0.1 and lower_row > 0.02:
            canvas.fill(
                mouth.between(np.maximum(mouth.floor - lower_row, mouth.roof), mouth.floor, 3), 100 + 0.45 * who.skin
            )
    line = np.stack([mouth.x * 1.06, mouth.roof], -1)
    canvas.stroke(line, 0.03 + 0.012 * min(face.lip_presser, 1.0), 0.32 * who.skin, taper=0.5)


def _draw_mouth_creases(canvas: Canvas, who: Identity, face: Expression, mouth: Mouth) -> None:
    fold = (
        0.75 * face.lip_corner_puller + 0.7 * face.upper_lip_raiser + 0.3 * face.nose_wrinkler + 0.35 * who.age - 0.05
    )
    half = float(mouth.x[-1])
    for side, corner_y in zip(SIDES, mouth.corner_y, strict=True):
        outside = half + 0.06 + 0.05 * face.lip_corner_puller
        path = bend(
            (who.nose_width + 0.03, who.nose_y - 0.04), (outside - 0.02, who.nose_y + 0.04), (outside, corner_y + 0.02)
        )
        crease(canvas, path * (side, 1), fold, who.skin, 0.04)
        droop = bend((half + 0.01, corner_y), (half + 0.04, corner_y + 0.03), (half + 0.03, corner_y + 0.09), 5)
        crease(canvas, droop * (side, 1), 0.9 * face.lip_corner_depressor + 0.15 * who.age - 0.1, who.skin)
    below = float(mouth.bottom.max())
    under_lip = bend((-0.13, below + 0.06), (0.0, below + 0.06 - 0.05 * face.chin_raiser), (0.13, below + 0.06))
    crease(canvas, under_lip, 0.3 + 0.5 * face.chin_raiser, who.skin, 0.045)
