"""A model of differential entropy: the strength of each band at each electrode, over the windows of a trial.

Emotions differ in three components, so that models differ in what they can use:
  level   a pattern that lasts through the trial: every model can use it, although random moods blur it
  turn    a state that appears late in the trial and then reverses: it cancels in the mean over windows
  ripple  a sequence of band profiles on neighbouring electrodes, in an order specific to the emotion, at random
          positions: a convolution over electrodes detects it, whereas single electrodes carry almost no information
Further components are differences between people and between sessions, slow drift, and noise.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

CHANNELS, BANDS = 62, 5  # delta, theta, alpha, beta, gamma
_ROWS = (3, 2, 9, 9, 9, 9, 9, 7, 5)  # electrodes of SEED's cap from the forehead (FP1) to the neck (CB2), left to right
_SCALP_LENGTH = 0.45  # correlation length in head radii
_BAND_LENGTH = 1.2  # correlation length in bands
_JITTER = 1e-3  # keeps the covariances positive definite

Spot = tuple[float, float, tuple[float, ...]]  # left to right and back to front -1 … 1, weight of each band


@cache
def positions() -> np.ndarray:
    """Return (62, 2): head radii to the right and to the front of the crown; a row is as wide as the head there."""
    rows = []
    for count, front in zip(_ROWS, np.linspace(1.0, -1.0, len(_ROWS)), strict=True):
        half_width = min(1.0, 0.35 + np.sqrt(1.0 - front**2))
        rows.append(np.stack([np.linspace(-half_width, half_width, count), np.full(count, front)], axis=1))
    return np.concatenate(rows)


def random_pattern(rng: np.random.Generator) -> np.ndarray:
    """Return (62, 5) standard normal values, correlated between neighbouring electrodes and bands."""
    over_scalp, over_bands = _mixing()
    return over_scalp @ rng.standard_normal((CHANNELS, BANDS)) @ over_bands.T


def pattern(*spots: Spot) -> np.ndarray:
    """Return (62, 5) with Gaussian peaks at `spots`, scaled to a mean square of 1."""
    total = np.zeros((CHANNELS, BANDS))
    for right, front, weights in spots:
        distance = np.linalg.norm(positions() - (right, front), axis=1)
        total += np.exp(-0.5 * (distance / _SCALP_LENGTH) ** 2)[:, None] * np.array(weights)
    return total / np.sqrt(np.mean(total**2))


@cache
def _mixing() -> tuple[np.ndarray, np.ndarray]:
    bands = np.arange(BANDS, dtype=float)[:, None]
    return _factor(positions(), _SCALP_LENGTH), _factor(bands, _BAND_LENGTH)


def _factor(points: np.ndarray, length: float) -> np.ndarray:
    """Return the Cholesky factor of a Gaussian covariance with this correlation length."""
    distance = np.linalg.norm(points[:, None] - points, axis=-1)
    return np.linalg.cholesky(np.exp(-0.5 * (distance / length) ** 2) + _JITTER * np.eye(len(points)))


# All in nats, the unit of differential entropy.
_RESTING = (4.6, 3.9, 3.6, 3.0, 2.7)  # mean of each band at rest: slow waves are stronger
_SUBJECT_SD, _SESSION_SD = 0.5, 0.15
_LEVEL, _MOOD_SD = 0.6, 0.32
_TURN = 0.3
_RIPPLE, _RIPPLES = 0.55, 3
_DRIFT, _NOISE_SD = 0.15, 0.2

_INDIVIDUAL = 0.5  # share of a subject's patterns that is individual
_MIXED = 0.55  # fear and sadness each also activate the other by this share
_MISMATCH = 0.15  # probability that the film causes another emotion than its label
_DRIFT_WINDOWS = 40.0

# Fear and sadness are similar in all three components.
_LEVELS = {
    "happy": pattern((-0.9, 0.0, (0.0, 0.0, 0.2, 0.8, 1.0)), (0.9, 0.0, (0.0, 0.0, 0.2, 0.8, 1.0))),
    "neutral": pattern((0.0, -0.7, (0.0, 0.3, 1.2, 0.3, 0.0))),
    "disgust": pattern((0.6, 0.7, (0.0, 0.0, 0.3, 0.7, 0.9)), (0.0, -0.2, (0.6, 0.5, 0.0, 0.0, 0.0))),
    "sad": pattern((0.5, 0.5, (0.5, 0.6, 0.9, 0.0, 0.0)), (-0.2, -0.9, (0.6, 0.3, 0.0, 0.0, 0.0))),
    "fear": pattern((0.5, 0.4, (0.3, 0.6, 0.8, 0.3, 0.1)), (0.2, -0.8, (0.6, 0.4, 0.0, 0.2, 0.0))),
}
_SIMILAR = {"fear": "sad", "sad": "fear"}
_STATES = (pattern((-0.6, 0.5, (0.0, 1.0, 0.0, 0.0, 0.6))), pattern((0.5, -0.6, (1.0, 0.0, 0.4, 0.0, 0.8))))
# Index of the state and its first sign.
_TURNS = {"happy": (0, 1.0), "disgust": (0, -1.0), "neutral": (1, 1.0), "sad": (1, -1.0), "fear": (1, -1.0)}
PROFILES = np.array([[1, 1, -1, -1, 0], [-1, 0, 1, -1, 1], [0, -1, 0, 2, -1]], dtype=float)  # each band sums to 0
ORDERS = {"happy": (0, 1, 2), "disgust": (2, 1, 0), "neutral": (1, 2, 0), "sad": (0, 2, 1), "fear": (2, 0, 1)}


@dataclass(frozen=True)
class Subject:
    """Properties of one person, the same in all sessions."""

    resting: np.ndarray  # (62, 5)
    levels: dict[str, np.ndarray]
    reactivity: float


def sample_subject(rng: np.random.Generator) -> Subject:
    """Return a random person, whose patterns are partly common to all people and partly individual."""
    return Subject(
        resting=np.array(_RESTING) + _SUBJECT_SD * random_pattern(rng),
        levels={
            name: (1 - _INDIVIDUAL) * common + _INDIVIDUAL * random_pattern(rng) for name, common in _LEVELS.items()
        },
        reactivity=float(rng.uniform(0.75, 1.25)),
    )


def sample_session_offset(rng: np.random.Generator) -> np.ndarray:
    """Return (62, 5): the difference of a session from the subject's others, such as from fitting the cap again."""
    return _SESSION_SD * random_pattern(rng)


def sample_trial(
    emotion: str, n_windows: int, subject: Subject, offset: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return (n_windows, 310) in nats during a film of this emotion; the bands of an electrode are adjacent."""
    felt = str(rng.choice(list(_LEVELS))) if rng.random() < _MISMATCH else emotion
    constant = subject.resting + offset + _level(felt, subject, rng) + _ripples(felt, rng)
    state, course = _turn(felt, n_windows, rng)
    # Slow drift is a random walk over two new random patterns, so that it does not reveal the trial.
    walk = np.cumsum(rng.standard_normal((n_windows, 2)) / np.sqrt(_DRIFT_WINDOWS), axis=0)
    drift = _DRIFT * np.tensordot(walk, np.stack([random_pattern(rng), random_pattern(rng)]), axes=1)
    changing = np.multiply.outer(course, _STATES[state]) + drift
    noise = _NOISE_SD * rng.standard_normal((n_windows, CHANNELS, BANDS))
    return (constant + changing + noise).reshape(n_windows, CHANNELS * BANDS)


def _level(felt: str, subject: Subject, rng: np.random.Generator) -> np.ndarray:
    """Return the pattern (62, 5) of the emotion, plus small random amounts of all emotions, positive or negative."""
    strengths = dict(zip(subject.levels, _MOOD_SD * rng.standard_normal(len(subject.levels)), strict=True))
    strengths[felt] += _LEVEL * subject.reactivity
    if felt in _SIMILAR:
        strengths[_SIMILAR[felt]] += _MIXED * _LEVEL * subject.reactivity
    return sum(strength * subject.levels[name] for name, strength in strengths.items())


def _ripples(felt: str, rng: np.random.Generator) -> np.ndarray:
    """Return (62, 5), zero except at a few groups of three electrodes."""
    total, ripple = np.zeros((CHANNELS, BANDS)), PROFILES[list(ORDERS[felt])]
    for first in rng.integers(CHANNELS - len(ripple) + 1, size=_RIPPLES):
        total[first : first + len(ripple)] += rng.uniform(0.6, 1.4) * _RIPPLE * ripple
    return total


def _turn(felt: str, n_windows: int, rng: np.random.Generator) -> tuple[int, np.ndarray]:
    """Return the index of a state and its course (n_windows,): 0 at first, then one sign, then as long the other."""
    state, sign = _TURNS[felt]
    half = max(1, round(n_windows * rng.uniform(0.15, 0.35)))
    course = np.zeros(n_windows)
    course[-2 * half : -half], course[-half:] = sign, -sign
    return state, _TURN * rng.uniform(0.6, 1.4) * course
