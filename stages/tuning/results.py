"""What a search found: its best trial, how many came to what end, and which values mattered."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from stages.core.errors import UserError, warn
from stages.core.files import write_csv
from stages.tuning.search import DIRECTIONS, by_place, reason

ENDS = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}

Row = dict[str, Any]


def rows(found: optuna.Study, n_trials: int, kept_in: str) -> list[Row]:
    """One row per finished trial, by place: trial (from 1), end, value, epochs, values {dotted path: value}.

    The value of a pruned trial is its figure after the epoch it was stopped at, that of a failed one None. Raises
    `UserError` where no trial was done; `kept_in` says where trials are kept.
    """
    trials = by_place(found.get_trials(deepcopy=False), n_trials)
    if not any(trial.state == TrialState.COMPLETE for trial in trials.values()):
        raise UserError(f"studies.{found.study_name.partition('/')[0]}: {_why_none(list(trials.values()), kept_in)}")
    finished = sum(trial.state in ENDS for trial in trials.values())
    if finished < n_trials:
        key = found.study_name.partition("/")[0]
        again = f"`dvc repro --force --single-item tune@{key}` goes on"
        warn(f"studies.{key}: {finished} of {n_trials} trials were finished within timeout_s; {again}")
    return [
        {"trial": place + 1, "end": ENDS[trial.state], "value": trial.value, "epochs": trial.last_step or 0}
        | {"values": trial.params}
        for place, trial in trials.items()
        if trial.state in ENDS
    ]


def _why_none(trials: Sequence[FrozenTrial], kept_in: str) -> str:
    failed = [trial for trial in trials if trial.state == TrialState.FAIL]
    if not failed:
        return "no trial was finished within timeout_s; run it again to go on, or allow more"
    count = f"all {len(failed)} trials" if len(failed) == len(trials) else f"{len(failed)} of {len(trials)} trials"
    again = f"to search again, mend that and remove {kept_in}"
    return f"{count} failed, none was finished; {again}; the first: {reason(failed[0])}"


def summary(objective: str, found: Sequence[Row]) -> dict[str, Any]:
    """The best of the rows, and how many trials came to what end."""
    done = [row for row in found if row["end"] == "done"]
    sign = -1 if DIRECTIONS[objective] == "maximize" else 1
    best = min(done, key=lambda row: sign * row["value"])  # of equals the first
    counts = Counter(row["end"] for row in found)
    return {
        "objective": objective,
        "best_value": round(best["value"], 6),
        "best_trial": best["trial"],
        "best_params": best["values"],
        "n_trials": len(found),
        **{f"n_{end}": counts[end] for end in ENDS.values()},
    }


def importance(found: optuna.Study, n_trials: int) -> dict[str, float]:
    """{dotted path: share} of what each value mattered for getting among the best tenth, falling; their sum is 1.

    PED-ANOVA (Watanabe et al. 2023) over the finished trials; equal shares where too few tell.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # loads scikit-learn: a second

    trials = by_place(found.get_trials(deepcopy=False), n_trials).values()
    done = optuna.create_study(direction=found.direction.name.lower())
    done.add_trials([trial for trial in trials if trial.state == TrialState.COMPLETE])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that too few tell
        shares = get_param_importances(done, evaluator=PedAnovaImportanceEvaluator())
    return {path: float(share) for path, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))}


def write_tables(folder: Path, found: Sequence[Row], shares: dict[str, float], objective: str, name: str) -> None:
    """trials.csv and importance.csv, each with the corpus's `name` in its last column."""
    paths = list(shares)
    columns = ("trial", "end", "value", "best_value", "epochs", *paths, "corpus")
    bests = so_far(found, objective)
    cells = (
        [row["trial"], row["end"], row["value"], best, row["epochs"], *_cells(row, paths), name]
        for row, best in zip(found, bests, strict=True)
    )
    write_csv(folder / "trials.csv", columns, cells)
    write_csv(folder / "importance.csv", ("param", "importance", "corpus"), ([*item, name] for item in shares.items()))


def so_far(found: Sequence[Row], objective: str) -> list[float | None]:
    """After each trial the best value of those done until then."""
    better, best, values = max if DIRECTIONS[objective] == "maximize" else min, None, []
    for row in found:
        if row["end"] == "done":
            best = row["value"] if best is None else better(best, row["value"])
        values.append(best)
    return values


def _cells(row: Row, paths: Sequence[str]) -> list[str]:
    """As text: a table's six decimals would make a small rate 0."""
    values = [row["values"].get(path) for path in paths]
    return [repr(value) if isinstance(value, float) else str(value) for value in values]
