"""The samplers that `studies.<study>.sampler` names, with their options."""

from optuna import samplers

from stages.params.options import PositiveInt


def tpe(seed: int, *, startup_trials: PositiveInt = 10) -> samplers.BaseSampler:
    """Return a tree-structured Parzen estimator (Bergstra et al. 2011), random for the first `startup_trials`."""
    return samplers.TPESampler(seed=seed, n_startup_trials=startup_trials, multivariate=True, constant_liar=True)


def random(seed: int) -> samplers.BaseSampler:
    """Return a sampler that samples every value independently of earlier trials."""
    return samplers.RandomSampler(seed)
