"""Hyperparameter search: studies, their storage, samplers, pruners and results.

In: a study and its run. Out: the best values and all trials. A search uses the validation part, never the test part.

`search` runs the trials with `samplers` and `pruners`, `storage` keeps them, `results` writes them down.
"""
