"""Completed DVC experiments: their figures, pooled over seeds and folds, as tables and reference records.

In: git and DVC. Out: tables, `metrics/reference/*.json`, the command that repeats a result. Nothing is trained here.

Reading: `completed_experiments`, `ingredients` (what a run rests on). Tables: `pooling` (folds and seeds in one row),
`table`, `sweep_plot`. Records: `records` (of runs and studies), `ablation_record`, `cost_record`, `provenance` (data,
command, date, hardware). Commands for new experiments: `best_values` (of a study), `published_settings` (of a real
corpus).

The keys of the records are fixed.
"""
