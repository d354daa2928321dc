"""Pruners by the name and options `studies.<study>.pruner` gives: which trials are stopped after which epoch."""

from optuna import pruners

from stages.core.options import NonNegativeInt, PositiveInt


def none(max_epochs: int) -> pruners.BasePruner:
    """Every trial trains to its end."""
    return pruners.NopPruner()


def median(
    max_epochs: int, *, startup_trials: NonNegativeInt = 5, warmup_epochs: NonNegativeInt = 3
) -> pruners.BasePruner:
    """Past `warmup_epochs`, stops what is worse than the median of earlier trials at that epoch."""
    return pruners.MedianPruner(startup_trials, warmup_epochs + 1)


def hyperband(max_epochs: int, *, min_epochs: PositiveInt = 1) -> pruners.BasePruner:
    """Brackets that go on with the best third after `min_epochs`, three times as many, … (Li et al. 2018)."""
    return pruners.HyperbandPruner(min(min_epochs, max_epochs), max_epochs, 3)
