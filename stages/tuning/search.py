"""Runs a study's trials: draws values, trains with them, prunes, and goes on where an earlier process stopped.

A trial's place is its number without counting repetitions: one that was lost and is tried again has the place of the
first try. Values are drawn from (seed, study, place), and outputs show places, so a search that was interrupted ends as
one that was not.
"""

import gc
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from stages.core import lookup
from stages.core.errors import UserError, shorten
from stages.core.files import digest
from stages.core.seeding import derive
from stages.params.schema import Choice, Run, Study
from stages.params.space import dimensions, replaced
from stages.tuning.storage import enqueue_lost

DIRECTIONS = {"validation_accuracy": "maximize", "validation_loss": "minimize"}
POLL_S = 1.0  # while other workers finish what they have begun
_SURPLUS, _FAILED = "surplus", "failed"

Values = dict[str, Any]
Report = Callable[[int, float], None]
# Trains with {dotted path: value}, tells (epoch, figure) after each epoch, and gives the figure of the chosen one.
Train = Callable[[Values, Report], float]

optuna.logging.set_verbosity(optuna.logging.ERROR)


def name_of(key: str, study: Study, run: Run, also: list, files: Iterable[Path]) -> str:
    """`<key>/<digest>`: another one for whatever makes other trials.

    Not for how many there are, nor for the values of the run that the space varies: with the best of them put into
    params.yaml, the search stays the same.
    """
    fixed = replaced(run.model_dump(), {path: None for path, _ in dimensions(study.space)})
    told = [study.model_dump(exclude={"n_trials", "timeout_s"}), fixed, also]
    return f"{key}/{digest(told, files)}"


def open_study(storage: BaseStorage, name: str, study: Study, max_epochs: int, seed: int) -> optuna.Study:
    """As an earlier process left it, or a new one, which is said where there are others of the same key."""
    key = name.partition("/")[0]
    known = [found for found in optuna.get_all_study_names(storage) if found.startswith(f"{key}/")]
    if known and name not in known:
        print(f"studies.{key}: not the space, run, data or code of an earlier search: a new study begins", flush=True)
    pruner = lookup.build("tuning.pruners", study.pruner, max_epochs)
    if name in known:
        found = optuna.load_study(study_name=name, storage=storage, pruner=pruner)
    else:  # unless another worker makes it in this moment
        direction = DIRECTIONS[study.objective]
        found = optuna.create_study(
            study_name=name, storage=storage, direction=direction, pruner=pruner, load_if_exists=True
        )
    found.sampler = _Placed(found, study.sampler, seed, f"study {key}")
    return found


def run(found: optuna.Study, study: Study, n_trials: int, train: Train, *, alone: bool) -> None:
    """Try until `n_trials` places are taken and finished, by this process or another, or `timeout_s` have passed.

    `alone`: whether trials left running are lost ones, since no other process can be at them.
    """
    if alone:
        enqueue_lost(found)
    gc.freeze()  # what is there stays, so the collection after each trial need not look at it: a third of a second
    try:
        _try_all(found, study, n_trials, train)
    finally:
        gc.unfreeze()


def _try_all(found: optuna.Study, study: Study, n_trials: int, train: Train) -> None:
    end_s = time.monotonic() + (study.timeout_s or math.inf)
    objective = _Objective(found, study, n_trials, train)
    while time.monotonic() < end_s:
        trials = found.get_trials(deepcopy=False)
        kept = by_place(trials, n_trials)
        if len(kept) < n_trials or any(trial.state == TrialState.WAITING for trial in kept.values()):
            _try_one(found, objective)
        elif any(trial.state == TrialState.RUNNING for trial in kept.values()):
            time.sleep(POLL_S)
            optuna.storages.fail_stale_trials(found)
        else:
            return


def _try_one(found: optuna.Study, objective: "_Objective") -> None:
    try:
        found.optimize(objective, 1, catch=(Exception,), gc_after_trial=True)
    except ValueError:
        # Held up for longer than storage.GRACE_S, it was taken for lost, and its values are somebody else's now.
        if found.trials[objective.number].state != TrialState.FAIL:
            raise


def by_place(trials: Sequence[FrozenTrial], n_trials: int) -> dict[int, FrozenTrial]:
    """{place: its last try} of the first `n_trials` places."""
    taken = places(trials)
    placed = {taken[trial.number]: trial for trial in trials if trial.number in taken}
    return {place: placed[place] for place in sorted(placed) if place < n_trials}


def places(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """{number: place}; none for whoever found all places taken."""
    found: dict[int, int] = {}
    taken = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        first = trial.system_attrs.get("failed_trial")  # as RetryHeartbeatStaleTrialCallback notes it
        if first is not None:
            found[trial.number] = found[first]
        elif _SURPLUS not in trial.user_attrs:
            found[trial.number] = taken
            taken += 1
    return found


def reason(trial: FrozenTrial) -> str:
    """Why a trial failed."""
    return trial.user_attrs.get(_FAILED, "the process that ran it was lost")


class _Placed(BaseSampler):
    """Gives every trial a sampler of its own, seeded by its place.

    And every value that is drawn by itself, so that a trial killed between two draws is repeated as it was begun.
    """

    def __init__(self, study: optuna.Study, choice: Choice, seed: int, stream: str) -> None:
        self._study, self._choice, self._seed, self._stream = study, choice, seed, stream
        self._place = 0

    def _make(self, name: str = "") -> BaseSampler:
        return lookup.build(
            "tuning.samplers", self._choice, derive(self._seed, f"{self._stream} {name}", self._place) % 2**32
        )

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        # not of the study that is handed in: of that, Hyperband leaves out the trials of other brackets
        self._place = places(self._study.get_trials(deepcopy=False))[trial.number]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._make().infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> Values:
        return self._make().sample_relative(study, trial, space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        return self._make(name).sample_independent(study, trial, name, distribution)


class _Surplus(Exception):
    """All places were taken, in the same moment, by other workers."""


class _Objective:
    """What Optuna calls for every trial."""

    def __init__(self, found: optuna.Study, study: Study, n_trials: int, train: Train) -> None:
        self.found, self.n_trials, self.train = found, n_trials, train
        self.space = dict(dimensions(study.space))
        self.number = 0

    def __call__(self, trial: Trial) -> float:
        self.number = trial.number
        place = places(self.found.get_trials(deepcopy=False))[trial.number]
        if place >= self.n_trials:
            trial.set_user_attr(_SURPLUS, True)
            raise _Surplus
        values = {path: suggest(trial, path, dimension) for path, dimension in self.space.items()}
        said = f"{self.found.study_name.partition('/')[0]}: trial {place + 1}/{self.n_trials}"
        try:
            value = self.train(values, lambda epoch, figure: _report(trial, epoch, figure))
            if not math.isfinite(value):
                raise UserError(f"its figure is {value}")
        except optuna.TrialPruned:
            print(f"{said}: pruned  {shown(values)}", flush=True)
            raise
        except KeyboardInterrupt:
            raise SystemExit(130) from None  # Optuna would call it failed; left running, it is taken up again
        except Exception as error:
            why = f"{type(error).__name__}: {error}" if not isinstance(error, UserError) else str(error)
            why = shorten(" ".join(why.split()), 300).strip("'\"")
            print(f"{said}: failed, {why}  {shown(values)}", flush=True)
            trial.set_user_attr(_FAILED, why)
            raise
        print(f"{said}: {value:.4f}  {shown(values)}", flush=True)
        return value


def _report(trial: Trial, epoch: int, figure: float) -> None:
    trial.report(figure, epoch)
    if trial.should_prune():
        raise optuna.TrialPruned


def suggest(trial: Trial, path: str, dimension: dict[str, Any]) -> Any:
    """A value for one dimension of the space."""
    kind = dimension["type"]
    if kind == "categorical":
        return trial.suggest_categorical(path, dimension["choices"])
    if kind == "int":
        return trial.suggest_int(path, dimension["low"], dimension["high"])
    return trial.suggest_float(path, dimension["low"], dimension["high"], log=kind == "log_float")


def shown(values: Values) -> str:
    """Values on one line, numbers to four digits."""
    return " ".join(f"{path}={f'{v:.4g}' if isinstance(v, float) else v}" for path, v in values.items())
