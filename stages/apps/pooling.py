"""Several finished experiments as one row: which belong together, what is pooled, what is averaged, and how to say so.

Folds that test on different samples are pooled: their confusion matrices add up to one over all samples. Seeds, and
folds that test on the same samples, are averaged.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import stats

from stages.apps.finished import Experiment, finished_s
from stages.core.errors import warn

FIGURES = ("accuracy", "balanced_accuracy", "f1_macro")
# Protocols whose fold draws the validation part alone. In all others the folds are disjoint draws of the test part.
SAME_TEST_IN_EVERY_FOLD = ("official",)
_NUMBER = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)")


def grouped(experiments: Iterable[Experiment]) -> list[list[Experiment]]:
    """Experiments that differ in seed and fold alone, together; in the order of the first of each."""
    groups = defaultdict(list)
    for experiment in experiments:
        groups[experiment.run, json.dumps(experiment.made_of, sort_keys=True)].append(experiment)
    return list(groups.values())


def differing(groups: Iterable[list[Experiment]]) -> list[str]:
    """Keys whose values are not the same in all groups; a key that some lack is one of them."""
    made_of = [group[0].made_of for group in groups]
    keys = dict.fromkeys(key for found in made_of for key in found)
    return [key for key in keys if len({json.dumps(found.get(key, [key])) for found in made_of}) > 1]


def without_repeats(group: list[Experiment]) -> list[Experiment]:
    """One experiment for each seed and fold, by seed and fold: of several the newest."""
    newest = {}
    for experiment in sorted(group, key=lambda found: (finished_s(found.revision), found.name)):
        newest[experiment.seed, experiment.fold] = experiment
    kept = [newest[key] for key in sorted(newest)]
    left_out = sorted(found.name for found in group if found not in kept)
    if left_out:
        warn(f"{group[0].run}: seed and fold as in a newer experiment, so left out: {', '.join(left_out)}")
    return kept


def warn_of_other_code(group: list[Experiment]) -> None:
    """Say so where experiments that are taken together were not made by the same code."""
    changed = sorted({path for found in group for path, md5 in found.code.items() if group[0].code.get(path) != md5})
    if changed:
        warn(f"{group[0].run}: experiments taken together were made by different versions of {', '.join(changed)}")


def with_equal_folds(group: list[Experiment]) -> list[Experiment]:
    """Where folds are pooled, the seeds with the most of them: other seeds were tested on other samples."""
    if not are_pooled(group):
        return group
    seeds = _by_seed(group)
    most = max((_folds(of_seed) for of_seed in seeds), key=len)
    return [found for of_seed in seeds if _folds(of_seed) == most for found in of_seed]


def summed_up(group: list[Experiment]) -> dict[str, Any]:
    """Figures over the experiments of `without_repeats`: `<figure>`, `<figure>_sd`, interval, n_test and confusion.

    The standard deviation is over seeds; of one seed over its folds; of one experiment None. The interval is Student's
    t over the same; of one experiment its own.
    """
    experiments = [found.metrics for found in group]
    of_seeds = [_pooled(of_seed) for of_seed in _by_seed(group)] if are_pooled(group) else experiments
    spread = of_seeds if len(of_seeds) > 1 else experiments
    found = {"n_test": of_seeds[0]["n_test"]}
    for name in FIGURES:
        found[name] = _rounded(np.mean([figures[name] for figures in of_seeds]))
        values = [figures[name] for figures in spread]
        found[f"{name}_sd"] = _rounded(np.std(values, ddof=1)) if len(values) > 1 else None
    found |= _interval(found["accuracy"], found["accuracy_sd"], spread)
    return found | {"confusion": np.sum([figures["confusion"] for figures in experiments], axis=0).tolist()}


def are_pooled(group: list[Experiment]) -> bool:
    """Whether there are several folds, and each tests on samples of its own."""
    return len({found.fold for found in group}) > 1 and group[0].split["protocol"] not in SAME_TEST_IN_EVERY_FOLD


def how(group: list[Experiment]) -> str:
    """What `summed_up` did, in words that stand beside the figures."""
    seeds, folds = (len({getattr(found, name) for found in group}) for name in ("seed", "fold"))
    if len(group) == 1:
        return "one experiment"
    if are_pooled(group):
        pooled = f"pooled over {folds} folds"
        return f"{pooled}, sd over folds" if seeds == 1 else f"each seed {pooled}, mean ± sd over {seeds} seeds"
    if folds == 1:
        return f"mean ± sd over {seeds} seeds"
    over = f"{folds} folds" if seeds == 1 else f"{len(group)} experiments ({seeds} seeds, {folds} folds)"
    return f"mean ± sd over {over} with one test part"


def protocol(group: list[Experiment]) -> str:
    """The label of the split over all folds: 'fold 0 of 6' becomes 'folds 0–5 of 6'."""
    folds = sorted({found.fold for found in group})
    labels = [found.metrics["protocol"] for found in group]
    if len(folds) > 1:
        labels = [re.sub(r"\bfold \d+\b", f"folds {span(folds)}", label) for label in labels]
    return merged(labels)


def merged(labels: Iterable[str]) -> str:
    """One label for all: numbers that differ become 'lowest–highest'; labels in other words stand side by side."""
    labels = list(dict.fromkeys(labels))
    parts = [_NUMBER.split(label) for label in labels]
    if len({tuple(part[::2]) for part in parts}) > 1:
        return " / ".join(labels)
    columns = [sorted(set(column), key=_size) for column in zip(*parts, strict=True)]
    return "".join(column[0] if len(column) == 1 else f"{column[0]}–{column[-1]}" for column in columns)


def span(numbers: Iterable[int]) -> str:
    """'0–5' where none between is missing, else '0, 2, 5'."""
    numbers = sorted(set(numbers))
    whole = len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1
    return f"{numbers[0]}–{numbers[-1]}" if whole else ", ".join(map(str, numbers))


def _size(number: str) -> float:
    return float(number.replace(",", "")) if _NUMBER.fullmatch(number) else 0.0


def _by_seed(group: list[Experiment]) -> list[list[Experiment]]:
    seeds = defaultdict(list)
    for experiment in group:
        seeds[experiment.seed].append(experiment)
    return list(seeds.values())


def _folds(group: list[Experiment]) -> list[int]:
    return [found.fold for found in group]


def _pooled(folds: list[Experiment]) -> dict[str, Any]:
    """Figures of the folds' test samples taken as one; macro averages over the classes that have samples."""
    confusion = np.sum([found.metrics["confusion"] for found in folds], axis=0)  # (C, C), rows are true classes
    correct, support, predicted = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    present = support > 0
    f1 = 2 * correct[present] / (support + predicted)[present]
    return {
        "accuracy": correct.sum() / support.sum(),
        "balanced_accuracy": (correct[present] / support[present]).mean(),
        "f1_macro": f1.mean(),
        "n_test": int(support.sum()),
    }


def _interval(mean: float, sd: float | None, spread: list[dict[str, Any]]) -> dict[str, Any]:
    if sd is None:
        return {name: spread[0][name] for name in ("accuracy_ci95", "accuracy_ci95_method")}
    half = stats.t.ppf(0.975, len(spread) - 1) * sd / np.sqrt(len(spread))
    interval = [_rounded(max(0.0, mean - half)), _rounded(min(1.0, mean + half))]
    return {"accuracy_ci95": interval, "accuracy_ci95_method": "Student's t"}


def _rounded(value: float) -> float:
    return round(float(value), 6)
