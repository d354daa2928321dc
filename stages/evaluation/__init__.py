"""From predictions to metrics, pictures (`pictures/`) and the report (`report/`).

In: predictions for the validation and test parts. Out: metrics as JSON, curves as CSV, PNG files, one HTML page.
Every number in `metrics/` is computed here.
"""
