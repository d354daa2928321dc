"""Synthetic faces: identity × expression × pose × light, recorded by a noisy camera.

There are the seven emotions of FER-2013, and contempt. Classes overlap on purpose (see `expression.py`), so that a
better model scores better and none scores 1.0.
"""

import cv2
import numpy as np

from stages.synthetic.faces import features, head
from stages.synthetic.faces.canvas import Canvas, Pose
from stages.synthetic.faces.expression import Expression, sample_expression
from stages.synthetic.faces.identity import Identity, colorize, sample_identity, unit_luma


def draw_face(emotion: str, rng: np.random.Generator, size_px: int = 48, *, color: bool = False) -> np.ndarray:
    """Return a new person with `emotion`: uint8 (size_px, size_px), or RGB (size_px, size_px, 3) with `color`."""
    expression = sample_expression(emotion, rng)
    person = sample_identity(rng)
    return draw_portrait(colorize(person, rng) if color else person, expression, rng, size_px)


def draw_portrait(person: Identity, expression: Expression, rng: np.random.Generator, size_px: int = 48) -> np.ndarray:
    """Return `person` with `expression` in random pose, light and camera: uint8, in colour if `person` is."""
    in_color = np.ndim(person.skin) == 1
    background = _background(size_px, in_color, rng)
    roll, yaw, pitch, x, y = rng.normal(0.0, (0.08, 0.16, 0.08, 0.015, 0.015))
    canvas = Canvas(background, Pose(roll, yaw, pitch, unit=rng.uniform(0.49, 0.57), x=0.5 + x, y=0.43 + y))
    edge = head.outline(person, expression)
    head.draw_behind(canvas, person)
    head.draw_head(canvas, edge, person)
    features.draw_nose(canvas, person, expression)
    features.draw_mouth(canvas, person, expression)
    features.draw_eyes(canvas, person, expression)
    features.draw_brows(canvas, person, expression)
    head.draw_glasses(canvas, person)
    head.draw_hair(canvas, edge, person)
    light = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-0.55, 0.0), 1.0])  # right, down, towards the camera
    shade = canvas.shade(edge, head.relief(person, expression), light, ambient=rng.uniform(0.2, 0.55))
    scene = canvas.render()
    if not in_color:
        return _photograph(scene * shade, rng)
    warmth = rng.normal(0.0, 0.035)  # colour of the light: above 0 warm, below 0 cold
    return _photograph(scene * shade[..., None] * unit_luma(np.array([1.0 + warmth, 1.0, 1.0 - warmth])), rng)


def _background(size_px: int, in_color: bool, rng: np.random.Generator) -> np.ndarray:
    """Return blurred surroundings (size_px, size_px[, 3]) of a few gray patches, tinted in weak colours."""
    patches = np.clip(rng.normal(rng.uniform(40, 200), 25, (3, 3)), 0, 255)
    gray = cv2.resize(patches.astype(np.uint8), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    if not in_color:
        return gray
    tints = np.clip(rng.normal(1.0, 0.18, (2, 2, 3)), 0.5, 1.6)
    return np.clip(gray[..., None] * cv2.resize(tints, gray.shape), 0, 255).astype(np.uint8)


def _photograph(scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply exposure, contrast, blur of the lens (relative to a picture of 48 px) and noise of the sensor."""
    size_px = scene.shape[0]
    mean = float(scene.mean())
    exposure = np.sqrt(125.0 / mean)  # automatic exposure that corrects half of the deviation
    scene = exposure * ((scene - mean) * rng.uniform(0.85, 1.3) + mean * rng.uniform(0.85, 1.15))
    blurred = cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.2, 0.6) * size_px / 48)
    noise = rng.normal(0.0, rng.uniform(1.0, 6.0), scene.shape)
    return np.clip(np.rint(blurred + noise), 0, 255).astype(np.uint8)
