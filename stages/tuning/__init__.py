"""Searches for hyperparameters: the space as Optuna draws from it, storage and resume, results of the trials."""
