"""What the parts of a model are worth: runs that differ in nothing but which of its parts are switched on.

No list of them is kept: runs of one model on one dataset whose options are the same but for true and false, and whether
the loss weighs classes, form an ablation, also one that a user adds.
"""

from collections import defaultdict
from typing import Any

from stages.evaluation.paired import difference
from stages.evaluation.predictions import Predictions

WEIGHTS = "class_weights"
COSTS = ("parameters", "flops")


def tables(runs: list[dict[str, Any]], predictions: dict[str, Predictions], seed: int) -> list[dict[str, Any]]:
    """A table per ablation: the whole model first, then each run with what it lacks and its paired difference; `steps`.

    `runs` hold `metrics` and `chosen` (the run's section of params.yaml).
    """
    tables_of = (_table(family, predictions, seed) for family in _families(runs))
    return [table for table in tables_of if len(table["rows"]) > 1]


def steps(runs: list[dict[str, Any]], predictions: dict[str, Predictions], seed: int) -> list[dict[str, Any]]:
    """What each step adds, the content of metrics/ablation.json: a row per run and run before it, smallest first.

    The run before has some of its parts and no other run lies between them; a run may be a step after several. Its
    gain in accuracy is paired, None where the two were not tested on the same samples. `runs` as of `tables`, their
    metrics with `parameters` and `flops`.
    """
    return [step for family in _families(runs) for step in _steps(family, predictions, seed)]


def _steps(family: list[dict[str, Any]], predictions: dict[str, Predictions], seed: int) -> list[dict[str, Any]]:
    upwards = sorted(family, key=lambda run: len(_on(run)))
    return [_step(run, before, predictions, seed) for run in upwards for before in _before(run, family)]


def _before(run: dict[str, Any], family: list[dict[str, Any]]) -> list[dict[str, Any]]:
    less = [other for other in family if _on(other) < _on(run)]
    return [other for other in less if not any(_on(other) < _on(between) for between in less)]


def _step(run: dict, before: dict, predictions: dict[str, Predictions], seed: int) -> dict[str, Any]:
    metrics, earlier = run["metrics"], before["metrics"]
    found = difference(predictions[metrics["run"]], predictions[earlier["run"]], seed)
    return {
        "run": metrics["run"],
        "before": earlier["run"],
        **{name: metrics[name] for name in ("corpus", "name", "synthetic", "protocol")},
        "adds": _names(run, _on(run) - _on(before)),
        "accuracy": metrics["accuracy"],
        "gain": round(found.accuracy, 6) if found else None,
        "gain_ci95": list(found.ci95) if found else None,
        "mcnemar_p": float(f"{found.p:.6g}") if found else None,
        **{name: metrics[name] for name in ("n_test", *COSTS)},
        **{f"{name}_added": metrics[name] - earlier[name] for name in COSTS},
    }


def _families(runs: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    families = defaultdict(list)
    for run in runs:
        families[_family(run["chosen"])].append(run)
    return list(families.values())


def _switches(model: dict[str, Any]) -> dict[str, bool]:
    # Whether a trial's true length is used is no part of a model: evaluation.padding compares that.
    return {key: value for key, value in model.items() if isinstance(value, bool) and key != "use_length"}


def _on(run: dict[str, Any]) -> set[str]:
    weighs = {WEIGHTS} if run["chosen"]["loss"][WEIGHTS] != "none" else set()
    return weighs | {name for name, value in _switches(run["chosen"]["model"]).items() if value}


def _family(chosen: dict[str, Any]) -> str:
    """All of a run's section but its model's switches and the weights of classes."""
    model = chosen["model"] | dict.fromkeys(_switches(chosen["model"]))
    return repr(chosen | {"model": model, "loss": chosen["loss"] | {WEIGHTS: None}})


def _names(run: dict[str, Any], parts: set[str]) -> list[str]:
    """As a table shows them, in the order of the model's options."""
    return [name.removeprefix("use_").replace("_", " ") for name in (*run["chosen"]["model"], WEIGHTS) if name in parts]


def _table(family: list[dict[str, Any]], predictions: dict[str, Predictions], seed: int) -> dict[str, Any]:
    whole = max(family, key=lambda run: len(_on(run)))
    others = [run for run in family if run is not whole and _on(run) <= _on(whole)]  # lacking something, adding nothing
    rows = [_row(run, whole, predictions, seed) for run in others]
    first = {"metrics": whole["metrics"], "lacks": [], "difference": None}
    found = {"model": whole["metrics"]["model"], "metrics": whole["metrics"], "rows": [first, *rows]}
    return found | {"steps": _steps(family, predictions, seed)}


def _row(run: dict, whole: dict, predictions: dict[str, Predictions], seed: int) -> dict[str, Any]:
    one, other = (predictions[found["metrics"]["run"]] for found in (run, whole))
    return {
        "metrics": run["metrics"],
        "lacks": _names(whole, _on(whole) - _on(run)),
        "difference": difference(one, other, seed),
    }
