"""Attributions of a prediction to the values of its input, and their pictures.

In: a served run and its predictions. Out: arrays and PNG files.
"""
