"""Predictions -> figures, rows, pictures and the report. Reads no params and knows no corpus."""
