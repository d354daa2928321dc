"""From predictions to metrics, pictures (`pictures/`) and the report (`report/`).

In: predictions for the validation and test parts. Out: metrics as JSON, curves as CSV, PNG files, one HTML page.
Every number in `metrics/` is computed here.

`predictions` reads and writes their file; `metrics` computes all figures of a run, with `intervals` (of the accuracy)
and `curves` (ROC, calibration, coverage); `ensemble` mixes the predictions of several runs; `cost` counts
floating-point operations.
"""
