"""Comparison of paddings: runs that differ only in how short trials are padded, or in using their true length.

They are found from the params, without a list: the feature of the dataset states the padding, and `use_length` of the
model makes it "mask".
"""

from collections import Counter, defaultdict
from typing import Any

from stages.evaluation.predictions import Columns
from stages.evaluation.report.paired import Difference, difference

COLUMNS = ("zero", "average", "mask")
COMPARED = (("average", "zero"), ("mask", "zero"), ("mask", "average"))

Run = dict[str, Any]


def tables(runs: list[Run], predictions: dict[str, Columns], seed: int) -> list[dict[str, Any]]:
    """Return a table for each corpus on which a model was trained with several paddings; it has a row per model.

    Each of `runs` has `metrics`, `chosen` (its section of params.yaml) and `dataset` (that of its dataset).
    """
    families: dict[str, dict[str, dict[str, Run]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        if "padding" in run["dataset"]["feature"]:
            padding = "mask" if run["chosen"]["model"].get("use_length") else run["dataset"]["feature"]["padding"]
            families[run["metrics"]["corpus"]][_settings_without_padding(run)].setdefault(padding, run)
    by_corpus = [list(families_of.values()) for families_of in families.values()]
    return [_table(models, predictions, seed) for models in by_corpus if any(len(family) > 1 for family in models)]


def _settings_without_padding(run: Run) -> str:
    chosen = run["chosen"] | {"dataset": run["dataset"] | {"feature": _without(run["dataset"]["feature"], "padding")}}
    chosen["model"] = _without(chosen["model"], "use_length")
    chosen["augmentation"] = _without(chosen["augmentation"] or {}, "padding")
    return repr(chosen)


def _without(choice: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: choice[key] for key in sorted(choice) if key != name}


def _table(families: list[dict[str, Run]], predictions: dict[str, Columns], seed: int) -> dict[str, Any]:
    metrics = [run["metrics"] for family in families for run in family.values()]
    # Of two classes, only one pair can be confused.
    named = [each["most_confused"] for each in metrics if len(each["per_class"]) > 2]
    counts = Counter(tuple(sorted(pair[:2])) for pair in named if pair)
    return {
        "metrics": metrics[0],
        "rows": [_row(family, predictions, seed) for family in families],
        "n_runs": len(metrics),
        "confused": [(*pair, n) for pair, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))],
    }


def _row(family: dict[str, Run], predictions: dict[str, Columns], seed: int) -> dict[str, Any]:
    by_padding = {padding: predictions[run["metrics"]["run"]] for padding, run in family.items()}
    differences = [
        difference(by_padding[one], by_padding[other], seed) if {one, other} <= by_padding.keys() else None
        for one, other in COMPARED
    ]
    return {
        "model": next(iter(family.values()))["metrics"]["model"],
        "cells": [family[padding]["metrics"] if padding in family else None for padding in COLUMNS],
        "differences": differences,
        "verdicts": [_verdict(*pair, paired) for pair, paired in zip(COMPARED, differences, strict=True)],
    }


def _verdict(one: str, other: str, paired: Difference | None) -> str:
    if paired is None:
        return ""
    low, high = paired.ci95
    if low <= 0 <= high:
        return "no clear difference"
    return f"{one} is {'better' if low > 0 else 'worse'} than {other}"
