"""Samplers by the name and options `studies.<study>.sampler` gives."""

from optuna import samplers

from stages.params.options import PositiveInt


def tpe(seed: int, *, startup_trials: PositiveInt = 10) -> samplers.BaseSampler:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), after `startup_trials` drawn at random."""
    return samplers.TPESampler(seed=seed, n_startup_trials=startup_trials, multivariate=True, constant_liar=True)


def random(seed: int) -> samplers.BaseSampler:
    """Each value drawn from its range, whatever other trials found."""
    return samplers.RandomSampler(seed)
