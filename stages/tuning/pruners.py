"""The pruners that `studies.<study>.pruner` names, with their options: they stop unpromising trials early."""

import math
import zlib
from bisect import bisect
from itertools import accumulate

import optuna
from optuna import pruners
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from stages.params.options import NonNegativeInt, PositiveInt
from stages.tuning.search import by_place, places


def none(max_epochs: int) -> pruners.BasePruner:
    """Return a pruner that stops no trial."""
    return pruners.NopPruner()


def median(
    max_epochs: int, *, startup_trials: NonNegativeInt = 5, warmup_epochs: NonNegativeInt = 3
) -> pruners.BasePruner:
    """Return a pruner that stops a trial worse than the median of earlier ones after `warmup_epochs`."""
    return pruners.MedianPruner(startup_trials, warmup_epochs + 1)


def hyperband(max_epochs: int, *, min_epochs: PositiveInt = 1) -> pruners.BasePruner:
    """Return Hyperband (Li et al. 2018): the best third continues after `min_epochs`, three times as many, …."""
    return _Hyperband(min(min_epochs, max_epochs), max_epochs)


class _Hyperband(pruners.BasePruner):
    """Hyperband with asynchronous successive halving (Li et al. 2020) and a bracket for each place.

    Optuna's HyperbandPruner computes the bracket from the study's name and the trial's number. The name changes with
    every edit of the code and the number with every lost trial, which would change the results of a search.
    """

    FACTOR = 3

    def __init__(self, min_epochs: int, max_epochs: int) -> None:
        self.rungs = [min_epochs]
        while self.rungs[-1] * self.FACTOR <= max_epochs:
            self.rungs.append(self.rungs[-1] * self.FACTOR)
        n = len(self.rungs)
        # Bracket b skips the first b rungs; the shares of the brackets are those of Optuna's HyperbandPruner.
        shares = [math.ceil(n * self.FACTOR ** (n - 1 - bracket) / (n - bracket)) for bracket in range(n)]
        self.limits = list(accumulate(shares))

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        epoch = trial.last_step
        if epoch not in self.rungs:
            return False
        trials = study.get_trials(deepcopy=False)
        bracket = self._bracket(study, places(trials)[trial.number])
        if epoch not in self.rungs[bracket:]:
            return False
        value = trial.intermediate_values[epoch]
        others = [
            other.intermediate_values.get(epoch, math.nan)
            for place, other in by_place(trials, len(trials)).items()
            if other.number != trial.number and self._bracket(study, place) == bracket
        ]
        maximise = study.direction == StudyDirection.MAXIMIZE
        ranking = sorted([value, *(other for other in others if not math.isnan(other))], reverse=maximise)
        worst_continued = ranking[max(1, len(ranking) // self.FACTOR) - 1]
        return not (value >= worst_continued if maximise else value <= worst_continued)  # also True for NaN

    def _bracket(self, study: optuna.Study, place: int) -> int:
        key = study.study_name.partition("/")[0]
        return bisect(self.limits, zlib.crc32(f"{key}_{place}".encode()) % self.limits[-1])
