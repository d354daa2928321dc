"""The training loop, optimizers, schedules, checkpoints, and the folder of a trained model.

In: a run, its dataset and split. Out: `model.json` and weights. A change here retrains every run.
"""
