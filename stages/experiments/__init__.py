"""Completed DVC experiments: their figures, pooled over seeds and folds, as tables and reference records.

In: git and DVC. Out: tables, `metrics/reference/*.json`, the command that repeats a result. Nothing is trained here.

The keys of the records are fixed.
"""
