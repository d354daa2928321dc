"""Synthetic EEG in the files of SEED-V (Liu et al. 2021): `7_123.npz` holds `data` and `label`, pickled dicts."""

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stages.core.seeding import generator
from stages.synthetic.eeg.signal import sample_session_offset, sample_subject, sample_trial

MIN_WINDOWS, MAX_WINDOWS = 8, 74  # number of windows of 4 s; the longest trial of SEED-V has 74
_PROTOCOL = 3  # version of the pickle format, which every Python 3 reads

Trials = dict[int, np.ndarray]


def write_corpus(folder: Path, *experiment: Sequence, size: int, seed: int) -> None:
    """Write `size` subjects into the new `folder`, one npz file of 4.5 MB each, which depends on `seed` and subject."""
    folder.mkdir(parents=True)
    for subject in range(1, size + 1):
        data, label = synthesise_subject(subject, *experiment, seed)
        path = folder / f"{subject}_123.npz"
        # np.savez writes a fixed date (1980) and does not compress, so equal content gives equal bytes.
        np.savez(path, data=pickle.dumps(data, _PROTOCOL), label=pickle.dumps(label, _PROTOCOL))


def synthesise_subject(
    subject: int, codes: Sequence[str], orders: Sequence[Sequence[int]], n_windows: Sequence[int], seed: int
) -> tuple[Trials, Trials]:
    """Return data and labels by trial number, counted through all sessions.

    `orders`: labels (indices of `codes`) of the trials of each session; `n_windows`: total of each session. Data are
    (windows, 310) float64 in nats; labels are one code for each window.
    """
    traits = sample_subject(generator(seed, "seed_v/brain", subject))
    data, label = {}, {}
    for session, order in enumerate(orders):
        rng = generator(seed, f"seed_v/session/{subject}", session)
        offset = sample_session_offset(rng)
        lengths = sample_lengths(len(order), n_windows[session], rng)
        for code, length in zip(order, lengths, strict=True):
            label[len(label)] = np.full(length, code, dtype=np.int64)
            data[len(data)] = sample_trial(codes[code], length, traits, offset, rng)
    return data, label


def sample_lengths(n_trials: int, total: int, rng: np.random.Generator) -> list[int]:
    """Return the number of windows of each trial, `total` in all, with the same distribution for every trial."""
    share = rng.uniform(0.3, 1.7, n_trials)
    lengths = np.clip(np.rint(share * total / share.sum()).astype(int), MIN_WINDOWS, MAX_WINDOWS)
    while lengths.sum() != total:
        step = np.sign(total - lengths.sum())
        trial = rng.integers(n_trials)
        lengths[trial] = np.clip(lengths[trial] + step, MIN_WINDOWS, MAX_WINDOWS)
    return lengths.tolist()
