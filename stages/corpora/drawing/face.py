"""A drawn face for every emotion of FER-2013, and contempt: identity × expression × pose × light, in a noisy camera.

The classes overlap on purpose (see `expression.py`), so that a better model scores better and none scores 1.0.
"""

import cv2
import numpy as np

from stages.corpora.drawing import features, head
from stages.corpora.drawing.canvas import Canvas, Pose
from stages.corpora.drawing.coloring import colored, colored_background, light_color
from stages.corpora.drawing.expression import Expression, draw_expression
from stages.corpora.drawing.identity import Identity, draw_identity


def draw_face(emotion: str, rng: np.random.Generator, size_px: int = 48, *, color: bool = False) -> np.ndarray:
    """A new person who shows `emotion`: uint8, gray (size_px, size_px) or, with `color`, RGB (size_px, size_px, 3).

    Equal generators draw equal pixels.
    """
    expression = draw_expression(emotion, rng)
    who = draw_identity(rng)
    return draw_portrait(colored(who, rng) if color else who, expression, rng, size_px)


def draw_portrait(who: Identity, expression: Expression, rng: np.random.Generator, size_px: int = 48) -> np.ndarray:
    """`who` with `expression`, in a pose, light and camera of the moment: uint8, in colour if `who` is."""
    in_color = np.ndim(who.skin) == 1
    background = _background(rng, size_px)
    canvas = Canvas(colored_background(background, rng) if in_color else background, _pose(rng))
    edge = head.outline(who, expression)
    head.draw_behind(canvas, who)
    head.draw_head(canvas, edge, who)
    features.draw_nose(canvas, who, expression)
    features.draw_mouth(canvas, who, expression)
    features.draw_eyes(canvas, who, expression)
    features.draw_brows(canvas, who, expression)
    head.draw_glasses(canvas, who)
    head.draw_hair(canvas, edge, who)
    light = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-0.55, 0.0), 1.0])  # to the right, down, to the camera
    shade = canvas.shade(edge, head.relief(who, expression), light, ambient=rng.uniform(0.2, 0.55))
    scene = canvas.finished()
    return _photographed(scene * shade[..., None] * light_color(rng) if in_color else scene * shade, rng)


def _background(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Out-of-focus surroundings: a few gray patches."""
    patches = np.clip(rng.normal(rng.uniform(40, 200), 25, (3, 3)), 0, 255)
    return cv2.resize(patches.astype(np.uint8), (size_px, size_px), interpolation=cv2.INTER_CUBIC)


def _pose(rng: np.random.Generator) -> Pose:
    roll, yaw, pitch, x, y = rng.normal(0.0, (0.08, 0.16, 0.08, 0.015, 0.015))
    return Pose(roll_rad=roll, yaw_rad=yaw, pitch_rad=pitch, unit=rng.uniform(0.49, 0.57), x=0.5 + x, y=0.43 + y)


def _photographed(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Exposure, contrast, blur of the lens (in pixels of the small picture) and noise of the sensor."""
    size_px = scene.shape[0]
    mean = float(scene.mean())
    exposure = np.sqrt(125.0 / mean)  # automatic, half-way
    scene = exposure * ((scene - mean) * rng.uniform(0.85, 1.3) + mean * rng.uniform(0.85, 1.15))
    blurred = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.2, 0.6) * size_px / 48)
    noise = rng.normal(0.0, rng.uniform(1.0, 6.0), scene.shape)
    return np.clip(np.rint(blurred + noise), 0, 255).astype(np.uint8)
