"""The results of a search: its trials, the best of them, and the importance of each varied value."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from stages.core.errors import UserError, warn
from stages.core.files import write_csv
from stages.tuning.search import DIRECTIONS, by_place, reason

ENDS = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}

Row = dict[str, Any]


def rows(optuna_study: optuna.Study, n_trials: int, location: str) -> list[Row]:
    """Return one row per finished trial, by place: trial (from 1), end, value, epochs, values {dotted path: value}.

    The value of a pruned trial is its metric after the last epoch, that of a failed one None. Raises `UserError` if no
    trial is complete; `location` names the storage in that message.
    """
    key = optuna_study.study_name.partition("/")[0]
    trials = by_place(optuna_study.get_trials(deepcopy=False), n_trials)
    failed = [trial for trial in trials.values() if trial.state == TrialState.FAIL]
    if not any(trial.state == TrialState.COMPLETE for trial in trials.values()):
        why = "no trial finished within timeout_s; run the stage again to continue, or raise timeout_s"
        if failed:
            count = f"{len(failed)} of {len(trials)} trials failed and none is complete"
            why = (
                f"{count}; fix the cause and remove {location} to search again; the first failure: {reason(failed[0])}"
            )
        raise UserError(f"studies.{key}: {why}")
    finished = sum(trial.state in ENDS for trial in trials.values())
    if finished < n_trials:
        command = f"dvc repro --force --single-item tune@{key}"
        warn(f"studies.{key}: {finished} of {n_trials} trials finished within timeout_s; continue with `{command}`")
    return [
        {"trial": place + 1, "end": ENDS[trial.state], "value": trial.value, "epochs": trial.last_step or 0}
        | {"values": trial.params}
        for place, trial in trials.items()
        if trial.state in ENDS
    ]


def summary(objective: str, trials: Sequence[Row]) -> dict[str, Any]:
    """Return the best trial (the first of equal ones) and the number of trials with each end."""
    done = [row for row in trials if row["end"] == "done"]
    choose = max if DIRECTIONS[objective] == "maximize" else min
    best = choose(done, key=lambda row: row["value"])
    counts = Counter(row["end"] for row in trials)
    return {
        "objective": objective,
        "best_value": round(best["value"], 6),
        "best_trial": best["trial"],
        "best_params": best["values"],
        "n_trials": len(trials),
        **{f"n_{end}": counts[end] for end in ENDS.values()},
    }


def importance(optuna_study: optuna.Study, n_trials: int) -> dict[str, float]:
    """Return {dotted path: importance} of each varied value for reaching the best tenth, descending, with sum 1.

    The method is PED-ANOVA (Watanabe et al. 2023) over the complete trials; with too few of them, all are equal.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances  # its imports take a second

    trials = by_place(optuna_study.get_trials(deepcopy=False), n_trials).values()
    done = optuna.create_study(direction=optuna_study.direction)
    done.add_trials([trial for trial in trials if trial.state == TrialState.COMPLETE])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it warns of too few trials
        shares = get_param_importances(done, evaluator=PedAnovaImportanceEvaluator())
    return {path: float(share) for path, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))}


def write_tables(folder: Path, trials: Sequence[Row], shares: dict[str, float], objective: str, name: str) -> None:
    """Write trials.csv and importance.csv, each with the corpus's `name` in its last column."""
    paths = list(shares)
    columns = ("trial", "end", "value", "best_value", "epochs", *paths, "corpus")
    cells = (
        # The values as text, because the table's six decimals would round a small learning rate to 0.
        [row["trial"], row["end"], row["value"], best, row["epochs"], *(str(row["values"].get(p)) for p in paths), name]
        for row, best in zip(trials, best_so_far(trials, objective), strict=True)
    )
    write_csv(folder / "trials.csv", columns, cells)
    write_csv(folder / "importance.csv", ("param", "importance", "corpus"), ([*item, name] for item in shares.items()))


def best_so_far(trials: Sequence[Row], objective: str) -> list[float | None]:
    """Return, for each trial, the best value of the complete trials up to it."""
    choose, best, values = max if DIRECTIONS[objective] == "maximize" else min, None, []
    for row in trials:
        if row["end"] == "done":
            best = row["value"] if best is None else choose(best, row["value"])
        values.append(best)
    return values
