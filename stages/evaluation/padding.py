"""Which padding? Runs that differ in nothing but what fills short trials up, or in reading true steps alone.

No list of them is kept: the datasets' features name their padding, the models' `use_length` makes it none ("mask").
"""

from collections import Counter, defaultdict
from typing import Any

from stages.evaluation.paired import Difference, difference
from stages.evaluation.predictions import Predictions

COLUMNS = ("zero", "average", "mask")
COMPARED = (("average", "zero"), ("mask", "zero"), ("mask", "average"))

Run = dict[str, Any]


def tables(runs: list[Run], predictions: dict[str, Predictions], seed: int) -> list[dict[str, Any]]:
    """A table per corpus on which some model was trained with more than one padding; a row per model.

    `runs` hold `metrics`, `chosen` (the run's section of params.yaml) and `dataset` (that of its dataset).
    """
    families: dict[str, dict[str, dict[str, Run]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        if "padding" in run["dataset"]["feature"]:
            family = families[run["metrics"]["corpus"]][_but_padding(run)]
            family.setdefault(padding_of(run), run)
    found = {corpus: list(of.values()) for corpus, of in families.items()}
    return [_table(of, predictions, seed) for of in found.values() if any(len(family) > 1 for family in of)]


def padding_of(run: Run) -> str:
    """What a run reads after a trial's end: zero, average, or with mask nothing."""
    return "mask" if run["chosen"]["model"].get("use_length") else run["dataset"]["feature"]["padding"]


def _but_padding(run: Run) -> str:
    """All of a run's section and its dataset's but what makes the padding."""
    chosen = run["chosen"] | {"dataset": run["dataset"] | {"feature": _without(run["dataset"]["feature"], "padding")}}
    chosen["model"] = _without(chosen["model"], "use_length")
    chosen["augmentation"] = _without(chosen["augmentation"] or {}, "padding")
    return repr(chosen)


def _without(choice: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: choice[key] for key in sorted(choice) if key != name}


def _table(families: list[dict[str, Run]], predictions: dict[str, Predictions], seed: int) -> dict[str, Any]:
    runs = [run for family in families for run in family.values()]
    return {
        "metrics": runs[0]["metrics"],
        "rows": [_row(family, predictions, seed) for family in families],
        "n_runs": len(runs),
        "confused": _confused(runs),
    }


def _row(family: dict[str, Run], predictions: dict[str, Predictions], seed: int) -> dict[str, Any]:
    said = {padding: predictions[run["metrics"]["run"]] for padding, run in family.items()}
    pairs = [(said.get(one), said.get(other)) for one, other in COMPARED]
    found = [difference(one, other, seed) if one and other else None for one, other in pairs]
    return {
        "model": next(iter(family.values()))["metrics"]["model"],
        "cells": [family[padding]["metrics"] if padding in family else None for padding in COLUMNS],
        "differences": found,
        "verdicts": [
            f"{one} {_verdict(shown)} {other}" if shown else ""
            for (one, other), shown in zip(COMPARED, found, strict=True)
        ],
    }


def _verdict(found: Difference) -> str:
    """Whether one is better than the other, by the interval of their difference."""
    low, high = found.ci95
    return "beats" if low > 0 else "loses to" if high < 0 else "does not differ from"


def _confused(runs: list[Run]) -> list[tuple[str, str, int]]:
    """(class, class, number of runs that confuse those most), the commonest first; empty for two classes."""
    named = [run["metrics"]["most_confused"] for run in runs if len(run["metrics"]["per_class"]) > 2]
    counts = Counter(tuple(sorted(pair[:2])) for pair in named if pair)
    return [(*pair, count) for pair, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
