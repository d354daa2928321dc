"""Deterministic signal → array, one feature per file with `compute` and how its output is laid out and packed."""
