"""The training loop, optimizers, schedules, checkpoints, and the folder of a trained model.

In: a run, its dataset and split. Out: `model.json` and weights. A change here retrains every run.

`fit` trains one run: `devices`, `learner` (one epoch), `recogniser` (the network with its standardisation),
`optimizers`, `schedules`, `ema`, `mixup`, `tensorboard_log`. `temperature` calibrates the result, `model_folder` saves
and loads it; `trial` trains for a search.
"""
