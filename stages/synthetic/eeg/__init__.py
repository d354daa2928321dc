"""Synthetic EEG features: band power per emotion and subject, in trials of variable length."""
