"""Runs a study's trials: samples values, trains with them, prunes, and continues an interrupted search.

A trial's place is its number without counting retries: the retry of a lost trial has the place of its first try. Values
are sampled from (seed, study, place) and outputs show places, so an interrupted search gives the same results as an
uninterrupted one.
"""

import gc
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
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
from stages.tuning.storage import EARLIER_TRIES, retry_lost_trials

DIRECTIONS = {"validation_accuracy": "maximize", "validation_loss": "minimize"}
POLL_S = 1.0  # interval of checking whether other workers have finished
_SURPLUS, _FAILURE = "surplus", "failed"  # names of user attributes of trials

Values = dict[str, Any]  # {dotted path: value}
Report = Callable[[int, float], None]  # called with an epoch and its metric
Train = Callable[[Values, Report], float]  # returns the metric of the best epoch

optuna.logging.set_verbosity(optuna.logging.ERROR)


def name_of(key: str, study: Study, run: Run, more: list, files: Iterable[Path]) -> str:
    """Return the study's name `<key>/<digest>`, which changes with everything that changes its trials.

    The digest does not cover the number of trials, nor the values of the run that the space varies: a search stays the
    same when its best values are copied into params.yaml.
    """
    fixed = replaced(run.model_dump(), {path: None for path, _ in dimensions(study.space)})
    content = [study.model_dump(exclude={"n_trials", "timeout_s"}), fixed, more]
    return f"{key}/{digest(content, files)}"


def open_study(storage: BaseStorage, name: str, study: Study, max_epochs: int, seed: int) -> optuna.Study:
    """Return the study `name` of an earlier process, or a new one; print a line if it replaces one of the same key."""
    key = name.partition("/")[0]
    known = [known for known in optuna.get_all_study_names(storage) if known.startswith(f"{key}/")]
    if known and name not in known:
        print(f"studies.{key}: a new study, because the space, run, data or code has changed", flush=True)
    return optuna.create_study(
        study_name=name,
        storage=storage,
        direction=DIRECTIONS[study.objective],
        sampler=_PlacedSampler(study.sampler, seed, f"study {key}"),
        pruner=lookup.build("tuning.pruners", study.pruner, max_epochs),
        load_if_exists=True,
    )


def run(optuna_study: optuna.Study, study: Study, n_trials: int, train: Train, *, alone: bool) -> None:
    """Run trials until `n_trials` places are finished, by this process or others, or `timeout_s` have passed.

    `alone`: whether no other process can run trials of the study, so that running trials are lost ones.
    """
    end_s = time.monotonic() + (study.timeout_s or math.inf)
    objective = _Objective(optuna_study, study, n_trials, train)
    if alone:
        retry_lost_trials(optuna_study)
    gc.freeze()  # the collection after each trial is 0.3 s faster without the objects that exist already
    while time.monotonic() < end_s:
        states = [trial.state for trial in by_place(optuna_study.get_trials(deepcopy=False), n_trials).values()]
        if len(states) < n_trials or TrialState.WAITING in states:
            _run_trial(optuna_study, objective)
        elif TrialState.RUNNING in states:
            time.sleep(POLL_S)
            optuna.storages.fail_stale_trials(optuna_study)
        else:
            break
    gc.unfreeze()


def _run_trial(optuna_study: optuna.Study, objective: "_Objective") -> None:
    try:
        optuna_study.optimize(objective, 1, catch=(Exception,), gc_after_trial=True)
    except ValueError:
        # After a pause longer than storage.GRACE_S, another worker has marked the trial as failed and retries it.
        if optuna_study.trials[objective.number].state != TrialState.FAIL:
            raise


def by_place(trials: Sequence[FrozenTrial], n_trials: int) -> dict[int, FrozenTrial]:
    """Return {place: its last try} for the first `n_trials` places."""
    place_of = places(trials)
    placed = {place_of[trial.number]: trial for trial in trials if trial.number in place_of}
    return {place: placed[place] for place in sorted(placed) if place < n_trials}


def places(trials: Sequence[FrozenTrial]) -> dict[int, int]:
    """Return {trial number: place}; a surplus trial, which was started when all places were taken, has none."""
    place_of: dict[int, int] = {}
    n_taken = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        first_try = trial.user_attrs.get(EARLIER_TRIES, [trial.number])[0]
        if first_try in place_of:
            place_of[trial.number] = place_of[first_try]
        elif _SURPLUS not in trial.user_attrs:
            place_of[trial.number] = n_taken
            n_taken += 1
    return place_of


def reason(trial: FrozenTrial) -> str:
    """Return why a trial failed."""
    return trial.user_attrs.get(_FAILURE, "its process was killed or stopped responding")


class _PlacedSampler(BaseSampler):
    """Samples with a sampler for every trial, seeded by its place, and for every value that is independent of others.

    A trial that was killed between two values is thus repeated with the same ones.
    """

    def __init__(self, choice: Choice, seed: int, stream: str) -> None:
        self._choice, self._seed, self._stream, self._place = choice, seed, stream, 0

    def _make(self, name: str = "") -> BaseSampler:
        seed = derive(self._seed, f"{self._stream} {name}", self._place) % 2**32
        return lookup.build("tuning.samplers", self._choice, seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._place = places(study.get_trials(deepcopy=False))[trial.number]

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._make().infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, space: dict[str, BaseDistribution]) -> Values:
        return self._make().sample_relative(study, trial, space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        return self._make(name).sample_independent(study, trial, name, distribution)


class _SurplusTrial(Exception):
    """Other workers have taken all places at the same moment."""


class _Objective:
    """The function that Optuna calls for every trial."""

    def __init__(self, optuna_study: optuna.Study, study: Study, n_trials: int, train: Train) -> None:
        self.optuna_study, self.n_trials, self.train = optuna_study, n_trials, train
        self.space, self.number = dict(dimensions(study.space)), 0

    def __call__(self, trial: Trial) -> float:
        self.number = trial.number
        place = places(self.optuna_study.get_trials(deepcopy=False))[trial.number]
        if place >= self.n_trials:
            trial.set_user_attr(_SURPLUS, True)
            raise _SurplusTrial
        values = {path: _suggest(trial, path, dimension) for path, dimension in self.space.items()}
        prefix = f"{self.optuna_study.study_name.partition('/')[0]}: trial {place + 1}/{self.n_trials}"
        try:
            value = self.train(values, partial(_report, trial))
            if not math.isfinite(value):
                raise UserError(f"the objective is {value}")
        except optuna.TrialPruned:
            print(f"{prefix}: pruned  {_formatted(values)}", flush=True)
            raise
        except KeyboardInterrupt:
            raise SystemExit(130) from None  # Optuna would mark the trial as failed; a running one is retried
        except Exception as error:
            why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            why = shorten(" ".join(why.split()), 300).strip("'\"")
            print(f"{prefix}: failed, {why}  {_formatted(values)}", flush=True)
            trial.set_user_attr(_FAILURE, why)
            raise
        print(f"{prefix}: {value:.4f}  {_formatted(values)}", flush=True)
        return value


def _report(trial: Trial, epoch: int, metric: float) -> None:
    trial.report(metric, epoch)
    if trial.should_prune():
        raise optuna.TrialPruned


def _suggest(trial: Trial, path: str, dimension: dict[str, Any]) -> Any:
    kind = dimension["type"]
    if kind == "categorical":
        return trial.suggest_categorical(path, dimension["choices"])
    if kind == "int":
        return trial.suggest_int(path, dimension["low"], dimension["high"])
    return trial.suggest_float(path, dimension["low"], dimension["high"], log=kind == "log_float")


def _formatted(values: Values) -> str:
    return " ".join(f"{path}={f'{v:.4g}' if isinstance(v, float) else v}" for path, v in values.items())
