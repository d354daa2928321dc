"""A brain as differential entropy shows it: how strong each band is where on the head, and how that changes.

What tells emotions apart comes in three parts, so that models differ in what they can use:
  level   a pattern that lasts through the trial: any model finds it, though moods blur it
  turn    a state that comes late in the trial and turns into its opposite: gone from the mean over windows
  ripple  band profiles on neighbouring electrodes, in an order of the emotion's own, anywhere on the head: a
          convolution over electrodes finds it, while each electrode alone tells next to nothing
Around these lie what differs between people and between days, slow drift, and noise.
"""

from dataclasses import dataclass

import numpy as np

from stages.corpora.drawing.brain_scalp import BANDS, CHANNELS, pattern, random_pattern

# All in nats, the unit of differential entropy.
_RESTING = (4.6, 3.9, 3.6, 3.0, 2.7)  # of each band: slow waves are stronger
_PERSON, _DAY = 0.5, 0.15
_LEVEL, _MOOD = 0.6, 0.32
_TURN = 0.3
_RIPPLE, _RIPPLES = 0.55, 3
_DRIFT, _NOISE = 0.15, 0.2

_OWN = 0.5  # share of a person's patterns that is nobody else's
_MIXED = 0.55  # who is sad is this much afraid, too, and the other way round
_ELSEWHERE = 0.15  # of trials: the film moved this person otherwise than the label says
_DRIFT_WINDOWS = 40.0

# Fear and sadness lie close together in all three parts.
_LEVELS = {
    "happy": pattern((-0.9, 0.0, (0.0, 0.0, 0.2, 0.8, 1.0)), (0.9, 0.0, (0.0, 0.0, 0.2, 0.8, 1.0))),
    "neutral": pattern((0.0, -0.7, (0.0, 0.3, 1.2, 0.3, 0.0))),
    "disgust": pattern((0.6, 0.7, (0.0, 0.0, 0.3, 0.7, 0.9)), (0.0, -0.2, (0.6, 0.5, 0.0, 0.0, 0.0))),
    "sad": pattern((0.5, 0.5, (0.5, 0.6, 0.9, 0.0, 0.0)), (-0.2, -0.9, (0.6, 0.3, 0.0, 0.0, 0.0))),
    "fear": pattern((0.5, 0.4, (0.3, 0.6, 0.8, 0.3, 0.1)), (0.2, -0.8, (0.6, 0.4, 0.0, 0.2, 0.0))),
}
_KIN = {"fear": "sad", "sad": "fear"}
_STATES = (pattern((-0.6, 0.5, (0.0, 1.0, 0.0, 0.0, 0.6))), pattern((0.5, -0.6, (1.0, 0.0, 0.4, 0.0, 0.8))))
# Which state comes, and with which sign at first.
_TURNS = {"happy": (0, 1.0), "disgust": (0, -1.0), "neutral": (1, 1.0), "sad": (1, -1.0), "fear": (1, -1.0)}
_PROFILES = np.array([[1, 1, -1, -1, 0], [-1, 0, 1, -1, 1], [0, -1, 0, 2, -1]], dtype=float)  # sums to 0 in each band
_ORDERS = {"happy": (0, 1, 2), "disgust": (2, 1, 0), "neutral": (1, 2, 0), "sad": (0, 2, 1), "fear": (2, 0, 1)}


@dataclass(frozen=True)
class Brain:
    """One person: all that is the same in every session."""

    resting: np.ndarray  # (62, 5)
    levels: dict[str, np.ndarray]
    reactivity: float


def draw_brain(rng: np.random.Generator) -> Brain:
    """A person who feels as others do in part of each pattern and in an own way in the rest."""
    return Brain(
        resting=np.array(_RESTING) + _PERSON * random_pattern(rng),
        levels={name: (1 - _OWN) * shared + _OWN * random_pattern(rng) for name, shared in _LEVELS.items()},
        reactivity=float(rng.uniform(0.75, 1.25)),
    )


def draw_day(rng: np.random.Generator) -> np.ndarray:
    """(62, 5): how a session differs from the person's others, the cap put on anew."""
    return _DAY * random_pattern(rng)


def draw_trial(emotion: str, n_windows: int, brain: Brain, day: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_windows, 310) nats while a film of that emotion runs; bands of an electrode lie side by side."""
    felt = str(rng.choice(list(_LEVELS))) if rng.random() < _ELSEWHERE else emotion
    lasting = brain.resting + day + _level(felt, brain, rng) + _ripples(felt, rng)
    state, course = _turn(felt, n_windows, rng)
    changing = np.multiply.outer(course, _STATES[state]) + _drift(n_windows, rng)
    noise = _NOISE * rng.standard_normal((n_windows, CHANNELS, BANDS))
    return (lasting + changing + noise).reshape(n_windows, CHANNELS * BANDS)


def _level(felt: str, brain: Brain, rng: np.random.Generator) -> np.ndarray:
    """The emotion's pattern, and a little of all of them in either direction: nobody feels one thing alone."""
    strengths = dict(zip(brain.levels, _MOOD * rng.standard_normal(len(brain.levels)), strict=True))
    strengths[felt] += _LEVEL * brain.reactivity
    if felt in _KIN:
        strengths[_KIN[felt]] += _MIXED * _LEVEL * brain.reactivity
    return sum(strength * brain.levels[name] for name, strength in strengths.items())


def _ripples(felt: str, rng: np.random.Generator) -> np.ndarray:
    """(62, 5): zero but for a few groups of three electrodes."""
    total, ripple = np.zeros((CHANNELS, BANDS)), _PROFILES[list(_ORDERS[felt])]
    for first in rng.integers(CHANNELS - len(ripple) + 1, size=_RIPPLES):
        total[first : first + len(ripple)] += rng.uniform(0.6, 1.4) * _RIPPLE * ripple
    return total


def _turn(felt: str, n_windows: int, rng: np.random.Generator) -> tuple[int, np.ndarray]:
    """Number and course (n_windows,) of a state: none at first, then of one sign, then as long of the other."""
    state, sign = _TURNS[felt]
    half = max(1, round(n_windows * rng.uniform(0.15, 0.35)))
    course = np.zeros(n_windows)
    course[-2 * half : -half], course[-half:] = sign, -sign
    return state, _TURN * rng.uniform(0.6, 1.4) * course


def _drift(n_windows: int, rng: np.random.Generator) -> np.ndarray:
    """(n_windows, 62, 5): a random walk between two patterns drawn anew, so that it tells no trial's place."""
    steps = rng.standard_normal((n_windows, 2)) / np.sqrt(_DRIFT_WINDOWS)
    walk = np.cumsum(steps, axis=0)
    return _DRIFT * np.tensordot(walk, np.stack([random_pattern(rng), random_pattern(rng)]), axes=1)
