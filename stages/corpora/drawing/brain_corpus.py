"""Drawn brains in the files of SEED-V (Liu et al. 2021): `7_123.npz` holds `data` and `label`, pickled dicts."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.core.errors import refuse
from stages.core.seeding import generator
from stages.corpora.drawing.brain import draw_brain, draw_day, draw_trial

MIN_WINDOWS, MAX_WINDOWS = 8, 74  # of 4 s; 74 is the longest trial of SEED-V
MAX_SUBJECTS = 999
_PROTOCOL = 3  # one that every Python 3 reads

Trials = dict[int, np.ndarray]


class Experiment(NamedTuple):
    """What every subject goes through."""

    codes: Sequence[str]  # emotions; their places are the labels
    orders: Sequence[Sequence[int]]  # labels of each session's trials
    n_windows: Sequence[int]  # of each session in all


def write_corpus(folder: Path, experiment: Experiment, *, size: int, seed: int) -> None:
    """Draw `size` subjects into the new `folder`, one npz of 4.5 MB each.

    The bytes of a file depend on `seed` and its subject alone.
    """
    if not 1 <= size <= MAX_SUBJECTS:
        allowed = f"1 to {MAX_SUBJECTS} subjects"
        refuse("no such number of subjects", where="synthetic.size", allowed=allowed, received=size)
    folder.mkdir(parents=True)
    for subject in range(1, size + 1):
        data, label = draw_subject(subject, experiment, seed)
        # np.savez dates what it writes 1980 and compresses nothing.
        np.savez(folder / f"{subject}_123.npz", data=_pickled(data), label=_pickled(label))


def draw_subject(subject: int, experiment: Experiment, seed: int) -> tuple[Trials, Trials]:
    """By trial, counted through all sessions: (windows, 310) float64 nats, and a code for each window."""
    brain = draw_brain(generator(seed, "seed_v/brain", subject))
    data: Trials = {}
    label: Trials = {}
    for session, order in enumerate(experiment.orders):
        rng = generator(seed, f"seed_v/session/{subject}", session)
        day, lengths = draw_day(rng), draw_lengths(len(order), experiment.n_windows[session], rng)
        for code, n_windows in zip(order, lengths, strict=True):
            label[len(label)] = np.full(n_windows, code, dtype=np.int64)
            data[len(data)] = draw_trial(experiment.codes[code], n_windows, brain, day, rng)
    return data, label


def draw_lengths(n_trials: int, total: int, rng: np.random.Generator) -> list[int]:
    """Windows of each trial, `total` in all; each place is as likely to be long as any other, whatever its emotion."""
    share = rng.uniform(0.3, 1.7, n_trials)
    lengths = np.clip(np.rint(share * total / share.sum()).astype(int), MIN_WINDOWS, MAX_WINDOWS)
    while lengths.sum() != total:
        step = np.sign(total - lengths.sum())
        place = rng.integers(n_trials)
        lengths[place] = np.clip(lengths[place] + step, MIN_WINDOWS, MAX_WINDOWS)
    return lengths.tolist()


def _pickled(trials: Trials) -> bytes:
    return pickle.dumps(trials, protocol=_PROTOCOL)
