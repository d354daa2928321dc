"""Colour for a drawn face: what was a gray level becomes red, green and blue of about that luma, on the same shapes."""

from dataclasses import replace

import cv2
import numpy as np

from stages.corpora.drawing.identity import Identity

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
# Red, green and blue beside each other; only their ratio counts.
_FAIR_SKIN, _DARK_SKIN = np.array([1.13, 0.97, 0.86]), np.array([1.36, 0.92, 0.66])
_FAIREST, _DARKEST = 215.0, 105.0
_LIPS = np.array([1.22, 0.88, 0.92])
_HAIRS = np.array([[1.0, 0.98, 0.97], [1.25, 0.95, 0.72], [1.15, 1.0, 0.72], [1.5, 0.85, 0.55]])  # black … red
_HAIR_CHANCES = (0.35, 0.35, 0.2, 0.1)
_IRISES = np.array([[1.35, 0.92, 0.6], [0.75, 1.0, 1.45], [0.9, 1.08, 0.8]])  # brown, blue, green
_IRIS_CHANCES = (0.55, 0.3, 0.15)


def colored(who: Identity, rng: np.random.Generator) -> Identity:
    """`who` with tones (3,) red, green, blue in place of gray levels."""
    fairness = np.clip((who.skin - _DARKEST) / (_FAIREST - _DARKEST), 0.0, 1.0)
    skin = fairness * _FAIR_SKIN + (1.0 - fairness) * _DARK_SKIN
    hair = _HAIRS[rng.choice(len(_HAIRS), p=_HAIR_CHANCES)]
    return replace(
        who,
        skin=who.skin * _unit_luma(skin * rng.normal(1.0, 0.012, 3)),
        hair=who.hair * _unit_luma(hair),
        iris=who.iris * _unit_luma(_IRISES[rng.choice(len(_IRISES), p=_IRIS_CHANCES)]),
        lip_tone=who.lip_tone * _unit_luma(_LIPS),  # multiplies the skin, as do the brows
        brow_tone=who.brow_tone * _unit_luma(np.sqrt(hair)),
    )


def colored_background(gray: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(size_px, size_px) uint8 → (size_px, size_px, 3): a few patches of weak colour over it."""
    tints = np.clip(rng.normal(1.0, 0.18, (2, 2, 3)), 0.5, 1.6)
    return np.clip(gray[..., None] * cv2.resize(tints, gray.shape[::-1]), 0, 255).astype(np.uint8)


def light_color(rng: np.random.Generator) -> np.ndarray:
    """(3,) red, green, blue of a lamp or the sky, of luma 1: from warm to cool."""
    warmth = rng.normal(0.0, 0.035)
    return _unit_luma(np.array([1.0 + warmth, 1.0, 1.0 - warmth]))


def _unit_luma(color: np.ndarray) -> np.ndarray:
    return color / (color @ _LUMA)
