"""What the parts of a model are worth: runs that differ in nothing but which of its parts are switched on.

No list of them is kept: runs of one model on one dataset whose options are the same but for true and false form an
ablation, also one that a user adds.
"""

from collections import defaultdict
from typing import Any

from stages.evaluation.paired import difference
from stages.evaluation.predictions import Predictions


def tables(runs: list[dict[str, Any]], predictions: dict[str, Predictions], seed: int) -> list[dict[str, Any]]:
    """A table per ablation: the whole model first, then each run with what it lacks and its paired difference.

    `runs` hold `metrics` and `chosen` (the run's section of params.yaml).
    """
    families = defaultdict(list)
    for run in runs:
        families[_family(run["chosen"])].append(run)
    tables_of = (_table(family, predictions, seed) for family in families.values())
    return [table for table in tables_of if len(table["rows"]) > 1]


def _switches(model: dict[str, Any]) -> dict[str, bool]:
    # Whether a trial's true length is used is no part of a model: evaluation.padding compares that.
    return {key: value for key, value in model.items() if isinstance(value, bool) and key != "use_length"}


def _on(run: dict[str, Any]) -> set[str]:
    return {name for name, value in _switches(run["chosen"]["model"]).items() if value}


def _family(chosen: dict[str, Any]) -> str:
    """All of a run's section but its model's switches."""
    return repr(chosen | {"model": chosen["model"] | dict.fromkeys(_switches(chosen["model"]))})


def _table(family: list[dict[str, Any]], predictions: dict[str, Predictions], seed: int) -> dict[str, Any]:
    whole = max(family, key=lambda run: len(_on(run)))
    others = [run for run in family if run is not whole and _on(run) <= _on(whole)]  # lacking something, adding nothing
    rows = [_row(run, whole, predictions, seed) for run in others]
    first = {"metrics": whole["metrics"], "lacks": [], "difference": None}
    return {"model": whole["metrics"]["model"], "metrics": whole["metrics"], "rows": [first, *rows]}


def _row(run: dict, whole: dict, predictions: dict[str, Predictions], seed: int) -> dict[str, Any]:
    one, other = (predictions[found["metrics"]["run"]] for found in (run, whole))
    return {
        "metrics": run["metrics"],
        "lacks": [name.removeprefix("use_") for name in whole["chosen"]["model"] if name in _on(whole) - _on(run)],
        "difference": difference(one, other, seed),
    }
