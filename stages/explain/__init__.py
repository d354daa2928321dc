"""Attributions of a prediction to the values of its input, and their pictures.

In: a served run and its predictions. Out: arrays and PNG files.

Pictures may change freely; no stage depends on them.
"""
