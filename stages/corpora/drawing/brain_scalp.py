"""Patterns over 62 electrodes × 5 bands: what electrodes near each other see is much the same."""

from functools import cache

import numpy as np

CHANNELS, BANDS = 62, 5  # delta, theta, alpha, beta, gamma
_ROWS = (3, 2, 9, 9, 9, 9, 9, 7, 5)  # electrodes of SEED's cap from the forehead (FP1) to the neck (CB2), left to right
_NEAR = 0.45  # head radii over which patterns change
_BANDS_NEAR = 1.2
_JITTER = 1e-3  # keeps the covariances positive definite

Spot = tuple[float, float, tuple[float, ...]]  # left to right and back to front -1 … 1, weight of each band


@cache
def positions() -> np.ndarray:
    """(62, 2) head radii to the right and to the front of the crown, each row as wide as the head is there."""
    rows = []
    for count, front in zip(_ROWS, np.linspace(1.0, -1.0, len(_ROWS)), strict=True):
        half_width = min(1.0, 0.35 + np.sqrt(1.0 - front**2))
        rows.append(np.stack([np.linspace(-half_width, half_width, count), np.full(count, front)], axis=1))
    return np.concatenate(rows)


def random_pattern(rng: np.random.Generator) -> np.ndarray:
    """(62, 5): each value from a standard normal distribution, alike on electrodes and bands near each other."""
    over_head, over_bands = _mixing()
    return over_head @ rng.standard_normal((CHANNELS, BANDS)) @ over_bands.T


def pattern(*spots: Spot) -> np.ndarray:
    """(62, 5) round the given places, of mean square 1."""
    total = np.zeros((CHANNELS, BANDS))
    for right, front, weights in spots:
        distance = np.linalg.norm(positions() - (right, front), axis=1)
        total += np.exp(-0.5 * (distance / _NEAR) ** 2)[:, None] * np.array(weights)
    return total / np.sqrt(np.mean(total**2))


@cache
def _mixing() -> tuple[np.ndarray, np.ndarray]:
    bands = np.arange(BANDS, dtype=float)[:, None]
    return _factor(positions(), _NEAR), _factor(bands, _BANDS_NEAR)


def _factor(points: np.ndarray, near: float) -> np.ndarray:
    """Cholesky factor of a covariance that falls with the distance of `points`."""
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    return np.linalg.cholesky(np.exp(-0.5 * (distance / near) ** 2) + _JITTER * np.eye(len(points)))
