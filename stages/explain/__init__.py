"""Attributions of a prediction to the values of its input, and their pictures.

In: a served run and its predictions. Out: arrays and PNG files.

`attribution` computes them; `attribution_picture` draws them (`predict --explain`) and `prediction_picture` the
probabilities (`--visualize`), both imported by `pictures` when needed. `doubtful_labels` finds and draws samples whose
labels are probably wrong (`stages.apps.doubtful`).

Pictures may change freely; no stage depends on them.
"""
