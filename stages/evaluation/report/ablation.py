"""Ablations: runs that differ only in which parts of the model are switched on.

They are found from the params, without a list: an ablation is a set of runs of one model on one dataset with the same
options except booleans, and except whether the loss weights classes.
"""

from collections import defaultdict
from typing import Any

from stages.evaluation.predictions import Columns
from stages.evaluation.report.paired import difference

CLASS_WEIGHTS = "class_weights"
COSTS = ("parameters", "flops")

Run = dict[str, Any]


def tables(runs: list[Run], predictions: dict[str, Columns], seed: int) -> list[dict[str, Any]]:
    """Return a table per ablation. Each of `runs` has `metrics` and `chosen`, its section of params.yaml.

    `rows` of a table: the full model, then each run with its missing parts and its paired difference to the full model.
    `steps`, the rows of metrics/ablation.json: each run with what it adds to the next smaller run, what that gains and
    costs. Differences are None between runs with different test samples.
    """
    families = defaultdict(list)
    for run in runs:
        chosen = run["chosen"]
        model = chosen["model"] | dict.fromkeys(_switches(chosen["model"]))
        families[repr(chosen | {"model": model, "loss": chosen["loss"] | {CLASS_WEIGHTS: None}})].append(run)
    family_tables = (_table(family, predictions, seed) for family in families.values())
    return [table for table in family_tables if len(table["rows"]) > 1]


def _switches(model: dict[str, Any]) -> dict[str, bool]:
    # `use_length` is not a part of the model; `padding` compares the runs that differ in it.
    return {key: value for key, value in model.items() if isinstance(value, bool) and key != "use_length"}


def _parts(run: Run) -> set[str]:
    """Return the switches that are on."""
    weights = {CLASS_WEIGHTS} if run["chosen"]["loss"][CLASS_WEIGHTS] != "none" else set()
    return weights | {name for name, value in _switches(run["chosen"]["model"]).items() if value}


def _display_names(run: Run, parts: set[str]) -> list[str]:
    """Return the names of the parts for a table, in the order of the model's options."""
    options = (*run["chosen"]["model"], CLASS_WEIGHTS)
    return [name.removeprefix("use_").replace("_", " ") for name in options if name in parts]


def _table(family: list[Run], predictions: dict[str, Columns], seed: int) -> dict[str, Any]:
    full = max(family, key=lambda run: len(_parts(run)))
    rows = [{"metrics": full["metrics"], "lacks": [], "difference": None}]
    for run in family:
        if run is not full and _parts(run) <= _parts(full):
            paired = difference(*(predictions[each["metrics"]["run"]] for each in (run, full)), seed)
            lacks = _display_names(full, _parts(full) - _parts(run))
            rows.append({"metrics": run["metrics"], "lacks": lacks, "difference": paired})
    steps = []
    for run in sorted(family, key=lambda run: len(_parts(run))):
        smaller = [other for other in family if _parts(other) < _parts(run)]
        for before in smaller:
            if not any(_parts(before) < _parts(between) for between in smaller):
                steps.append(_step(run, before, predictions, seed))
    return {"model": full["metrics"]["model"], "metrics": full["metrics"], "rows": rows, "steps": steps}


def _step(run: Run, before: Run, predictions: dict[str, Columns], seed: int) -> dict[str, Any]:
    metrics, earlier = run["metrics"], before["metrics"]
    paired = difference(predictions[metrics["run"]], predictions[earlier["run"]], seed)
    return {
        "run": metrics["run"],
        "before": earlier["run"],
        **{name: metrics[name] for name in ("corpus", "name", "synthetic", "protocol")},
        "adds": _display_names(run, _parts(run) - _parts(before)),
        "accuracy": metrics["accuracy"],
        "gain": round(paired.accuracy, 6) if paired else None,
        "gain_ci95": list(paired.ci95) if paired else None,
        "mcnemar_p": float(f"{paired.p:.6g}") if paired else None,
        **{name: metrics[name] for name in ("n_test", *COSTS)},
        **{f"{name}_added": metrics[name] - earlier[name] for name in COSTS},
    }
