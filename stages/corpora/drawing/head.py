"""The head without its moving parts: outline, ears, hair, beard, glasses, and the relief that the light shades."""

import numpy as np

from stages.corpora.drawing.canvas import Canvas
from stages.corpora.drawing.expression import Expression
from stages.corpora.drawing.features import SIDES, bend, disc
from stages.corpora.drawing.identity import Identity

_ANGLE = np.linspace(0.0, 2.0 * np.pi, 48)


def outline(who: Identity, face: Expression) -> np.ndarray:
    """The edge of skull and jaw, (48, 2); the jaw drops with AU26."""
    cos, sin = np.cos(_ANGLE), np.sin(_ANGLE)
    chin_y = who.chin_y + 0.15 * face.jaw_drop
    squareness = np.where(sin > 0, 0.95 - 0.25 * who.jaw_squareness, 1.0)
    x = who.skull_width * np.sign(cos) * np.abs(cos) ** squareness
    narrowing = 1.0 - (0.3 - 0.14 * who.jaw_squareness) * np.clip(sin, 0.0, 1.0) ** 1.5
    return np.stack([x * narrowing, np.where(sin > 0, chin_y, 1.0) * sin], -1)


def draw_behind(canvas: Canvas, who: Identity) -> None:
    """Hair behind the head, neck, shoulders and ears."""
    if who.style == "long":
        canvas.fill(disc(0.0, 0.25, who.skull_width + 0.2, 1.35), 0.85 * who.hair, turns=False)
    neck = 0.72 * who.skull_width
    canvas.fill(np.array([(-neck, 0.4), (neck, 0.4), (neck, 2.0), (-neck, 2.0)]), 0.55 * who.skin, turns=False)
    if who.style != "long":
        for side in SIDES:
            canvas.fill(disc(side * (who.skull_width + 0.02), 0.1, 0.09, 0.2), 0.75 * who.skin, turns=False)


def draw_head(canvas: Canvas, edge: np.ndarray, who: Identity) -> None:
    """Skin, and a shadow of beard."""
    canvas.fill(edge, who.skin, turns=False)
    if who.beard:
        jaw = edge[edge[:, 1] > 0.15]
        under_nose = (0.0, who.nose_y + 0.08)
        upper = np.concatenate(
            [bend(tuple(jaw[-1]), (-0.42, 0.66), under_nose), bend(under_nose, (0.42, 0.66), tuple(jaw[0]))]
        )
        cover = 0.5 * who.beard  # light enough for the creases of the mouth to stay darker
        tone = (1 - cover) * who.skin + cover * np.minimum(who.hair, who.skin)
        canvas.fill(np.concatenate([jaw, upper]), tone, turns=False)


def draw_hair(canvas: Canvas, edge: np.ndarray, who: Identity) -> None:
    """Hair on the forehead and temples, with a few strands; long hair also falls beside the cheeks."""
    if who.style == "bald":
        return
    crown = edge[edge[:, 1] < 0.0] * (1.1, 1.16)  # from the left ear over the top to the right one
    lowest = who.hairline_y + (0.16 if who.style == "fringe" else 0.0)
    parting = (who.hair_parting * who.skull_width, lowest - 0.08)
    temple = 0.98 * who.skull_width
    right = bend(tuple(crown[-1]), (temple, lowest + 0.04), parting)
    left = bend(parting, (-temple, lowest + 0.04), tuple(crown[0]))
    line = np.concatenate([right, left])
    line[1:-1:2] *= (0.97, 1.05)  # locks, not the rim of a cap
    canvas.fill(np.concatenate([crown, line]), who.hair, turns=False)
    _draw_strands(canvas, who, parting[0], lowest)
    if who.style == "long":
        for side in SIDES:
            curtain = bend((side * 1.03 * temple, -0.45), (side * 1.1 * temple, 0.4), (side * 0.94 * temple, 1.3))
            canvas.stroke(curtain, 0.17, who.hair, taper=0.6, turns=False)


def _draw_strands(canvas: Canvas, who: Identity, parting_x: float, lowest: float) -> None:
    for across in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75):
        end = (across * who.skull_width, lowest - 0.06)
        strand = bend((0.5 * parting_x + 0.2 * across, -1.02), (0.8 * end[0], -0.9), end)
        canvas.stroke(strand, 0.035, 1.12 * who.hair + 4, turns=False)


def draw_glasses(canvas: Canvas, who: Identity) -> None:
    """A thin dark frame."""
    if not who.glasses:
        return
    for side in SIDES:
        rim = disc(side * who.eye_x, who.eye_y + 0.03, 0.25, 0.19)
        canvas.stroke(rim, 0.03, 30, taper=0.0)
    canvas.stroke(bend((-0.1, who.eye_y), (0.0, who.eye_y - 0.05), (0.1, who.eye_y)), 0.03, 30, taper=0.0)


def relief(who: Identity, face: Expression) -> np.ndarray:
    """Bumps on the ellipsoid of the head: rows of (x, y, height, radius x, radius y)."""
    nose, mouth = who.nose_y, who.mouth_y
    rows = [
        (0.0, 0.55 * nose, 0.07, 0.07, 0.2),  # ridge
        (0.0, nose - 0.06, 0.1, 0.1, 0.07),  # tip
        (0.0, mouth + 0.02, 0.05, 0.2, 0.1),  # lips
        (0.0, mouth + 0.14, -0.03, 0.14, 0.04),  # under the lower lip
        (0.0, who.chin_y - 0.12, 0.06 + 0.03 * face.chin_raiser, 0.13, 0.1),
    ]
    plump = 0.04 + 0.06 * face.cheek_raiser + 0.03 * face.lip_corner_puller
    for side in SIDES:
        rows.append((side * who.eye_x, who.eye_y - 0.02, -0.06, 0.17, 0.1))  # socket
        rows.append((side * who.eye_x, who.eye_y + who.brow_y - 0.02, 0.025, 0.2, 0.06))  # brow ridge
        rows.append((side * 0.42, 0.36 - 0.06 * face.cheek_raiser, plump, 0.14, 0.12))
    return np.array(rows)
