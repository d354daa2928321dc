"""Synthetic EEG features: band power per emotion and subject, in trials of variable length.

`signal` is the model; `corpus` writes the files of SEED-V.
"""
