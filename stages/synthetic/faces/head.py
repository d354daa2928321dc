"""The head without moving parts: outline, ears, hair, beard, glasses, and the relief for the shading."""

import numpy as np

from stages.synthetic.faces.canvas import Canvas
from stages.synthetic.faces.expression import Expression
from stages.synthetic.faces.features import SIDES, bend, disc
from stages.synthetic.faces.identity import Identity

_ANGLE = np.linspace(0.0, 2.0 * np.pi, 48)


def outline(person: Identity, au: Expression) -> np.ndarray:
    """Return the outline (48, 2) of skull and jaw; the jaw drops with AU26."""
    cos, sin = np.cos(_ANGLE), np.sin(_ANGLE)
    chin_y = person.chin_y + 0.15 * au.jaw_drop
    squareness = np.where(sin > 0, 0.95 - 0.25 * person.jaw_squareness, 1.0)
    x = person.skull_width * np.sign(cos) * np.abs(cos) ** squareness
    narrowing = 1.0 - (0.3 - 0.14 * person.jaw_squareness) * np.clip(sin, 0.0, 1.0) ** 1.5
    return np.stack([x * narrowing, np.where(sin > 0, chin_y, 1.0) * sin], -1)


def draw_behind(canvas: Canvas, person: Identity) -> None:
    """Draw hair behind the head, neck and ears."""
    if person.style == "long":
        canvas.fill(disc(0.0, 0.25, person.skull_width + 0.2, 1.35), 0.85 * person.hair, rotates=False)
    neck = 0.72 * person.skull_width
    canvas.fill(np.array([(-neck, 0.4), (neck, 0.4), (neck, 2.0), (-neck, 2.0)]), 0.55 * person.skin, rotates=False)
    if person.style != "long":
        for side in SIDES:
            canvas.fill(disc(side * (person.skull_width + 0.02), 0.1, 0.09, 0.2), 0.75 * person.skin, rotates=False)


def draw_head(canvas: Canvas, edge: np.ndarray, person: Identity) -> None:
    """Draw the skin and the beard."""
    canvas.fill(edge, person.skin, rotates=False)
    if person.beard:
        jaw = edge[edge[:, 1] > 0.15]
        under_nose = (0.0, person.nose_y + 0.08)
        right, left = bend(tuple(jaw[-1]), (-0.42, 0.66), under_nose), bend(under_nose, (0.42, 0.66), tuple(jaw[0]))
        cover = 0.5 * person.beard  # light enough that the creases of the mouth remain darker
        tone = (1 - cover) * person.skin + cover * np.minimum(person.hair, person.skin)
        canvas.fill(np.concatenate([jaw, right, left]), tone, rotates=False)


def draw_hair(canvas: Canvas, edge: np.ndarray, person: Identity) -> None:
    """Draw hair on forehead and temples, with a few strands, and for long hair also beside the cheeks."""
    if person.style == "bald":
        return
    crown = edge[edge[:, 1] < 0.0] * (1.1, 1.16)  # from the left ear over the top to the right one
    lowest = person.hairline_y + (0.16 if person.style == "fringe" else 0.0)
    parting = (person.hair_parting * person.skull_width, lowest - 0.08)
    temple = 0.98 * person.skull_width
    right = bend(tuple(crown[-1]), (temple, lowest + 0.04), parting)
    left = bend(parting, (-temple, lowest + 0.04), tuple(crown[0]))
    line = np.concatenate([right, left])
    line[1:-1:2] *= (0.97, 1.05)  # an uneven hairline
    canvas.fill(np.concatenate([crown, line]), person.hair, rotates=False)
    for across in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75):  # strands
        end = (across * person.skull_width, lowest - 0.06)
        strand = bend((0.5 * parting[0] + 0.2 * across, -1.02), (0.8 * end[0], -0.9), end)
        canvas.stroke(strand, 0.035, 1.12 * person.hair + 4, rotates=False)
    if person.style == "long":
        for side in SIDES:
            curtain = bend((side * 1.03 * temple, -0.45), (side * 1.1 * temple, 0.4), (side * 0.94 * temple, 1.3))
            canvas.stroke(curtain, 0.17, person.hair, taper=0.6, rotates=False)


def draw_glasses(canvas: Canvas, person: Identity) -> None:
    """Draw a thin dark frame, if the person wears glasses."""
    if not person.glasses:
        return
    for side in SIDES:
        canvas.stroke(disc(side * person.eye_x, person.eye_y + 0.03, 0.25, 0.19), 0.03, 30, taper=0.0)
    canvas.stroke(bend((-0.1, person.eye_y), (0.0, person.eye_y - 0.05), (0.1, person.eye_y)), 0.03, 30, taper=0.0)


def relief(person: Identity, au: Expression) -> np.ndarray:
    """Return bumps on the ellipsoid of the head: rows of (x, y, height, radius x, radius y)."""
    nose, mouth = person.nose_y, person.mouth_y
    rows = [
        (0.0, 0.55 * nose, 0.07, 0.07, 0.2),  # ridge
        (0.0, nose - 0.06, 0.1, 0.1, 0.07),  # tip
        (0.0, mouth + 0.02, 0.05, 0.2, 0.1),  # lips
        (0.0, mouth + 0.14, -0.03, 0.14, 0.04),  # under the lower lip
        (0.0, person.chin_y - 0.12, 0.06 + 0.03 * au.chin_raiser, 0.13, 0.1),
    ]
    plump = 0.04 + 0.06 * au.cheek_raiser + 0.03 * au.lip_corner_puller
    for side in SIDES:
        rows.append((side * person.eye_x, person.eye_y - 0.02, -0.06, 0.17, 0.1))  # socket
        rows.append((side * person.eye_x, person.eye_y + person.brow_y - 0.02, 0.025, 0.2, 0.06))  # brow ridge
        rows.append((side * 0.42, 0.36 - 0.06 * au.cheek_raiser, plump, 0.14, 0.12))
    return np.array(rows)
