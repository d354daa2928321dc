"""Pruners by the name and options `studies.<study>.pruner` gives: which trials are stopped after which epoch."""

import copy
from typing import Any

from optuna import pruners
from optuna.trial import FrozenTrial

from stages.params.options import NonNegativeInt, PositiveInt
from stages.tuning.search import by_place


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
    return _Hyperband(min(min_epochs, max_epochs), max_epochs, 3)


class _Hyperband(pruners.HyperbandPruner):
    """Deals trials out to brackets by place: Optuna's goes by number, which a lost trial moves for all behind it.

    A try that was repeated is in no bracket. And brackets are there from the first draw on, which looks at the trials
    of its own; Optuna's come with the first report, so that whoever goes on would draw once by all trials.
    """

    def __init__(self, *given: int) -> None:
        super().__init__(*given)
        self._place_of: dict[int, int | None] = {}

    def _get_bracket_id(self, study: Any, trial: FrozenTrial) -> int:
        if not self._pruners:
            self._try_initialization(study)
        if trial.number not in self._place_of:  # by its storage: a bracket's study asks this for each of its trials
            trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
            last = {found.number: place for place, found in by_place(trials, len(trials)).items()}
            self._place_of = {found.number: last.get(found.number) for found in trials}
        place = self._place_of[trial.number]
        if place is None:
            return -1
        placed = copy.copy(trial)
        placed.number = place
        return super()._get_bracket_id(study, placed)
