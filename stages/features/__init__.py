"""Deterministic signal processing, one file per feature.

In: the signal of a record. Out: an array and its number of true time steps. There is no randomness, and no value learnt
from the corpus.

A change re-runs `prepare` and what follows.
"""
