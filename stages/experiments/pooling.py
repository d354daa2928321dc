"""Summarises several completed experiments in one row: groups them, pools folds, averages seeds.

Folds with different test samples are pooled: their confusion matrices add up to one over all samples. Seeds, and folds
with the same test samples, are averaged.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import numpy as np
from scipy import stats

from stages.core.errors import warn
from stages.experiments.completed_experiments import Experiment, finished_s

FIGURES = ("accuracy", "balanced_accuracy", "f1_macro")
# Protocols whose fold selects the validation part only. In all others the test parts of the folds are disjoint.
SAME_TEST_IN_EVERY_FOLD = ("official",)
_NUMBER = re.compile(r"(\d+(?:,\d{3})*(?:\.\d+)?)")


def grouped(experiments: Iterable[Experiment]) -> list[list[Experiment]]:
    """Group the experiments that differ only in seed and fold, in the order of their first members."""
    return _by(lambda one: (one.run, json.dumps(one.settings, sort_keys=True)), experiments)


def differing(groups: Iterable[list[Experiment]]) -> list[str]:
    """Return the keys whose values differ among the groups, or that only some groups have."""
    settings = [group[0].settings for group in groups]
    keys = dict.fromkeys(key for of_group in settings for key in of_group)
    return [key for key in keys if len({json.dumps(of_group.get(key, [key])) for of_group in settings}) > 1]


def without_repeats(group: list[Experiment]) -> list[Experiment]:
    """Return the newest experiment of each seed and fold, sorted; warn about the others."""
    newest = {}
    for experiment in sorted(group, key=lambda one: (finished_s(one.revision), one.name)):
        newest[experiment.seed, experiment.fold] = experiment
    kept = [newest[key] for key in sorted(newest)]
    older = sorted(one.name for one in group if one not in kept)
    if older:
        warn(f"{group[0].run}: left out, since a newer experiment has the same seed and fold: {', '.join(older)}")
    return kept


def warn_of_other_code(group: list[Experiment]) -> None:
    """Warn where the experiments of a row were made by different code."""
    changed = sorted({path for one in group for path, md5 in one.code.items() if group[0].code.get(path) != md5})
    if changed:
        warn(f"{group[0].run}: the experiments of one row were made by different versions of {', '.join(changed)}")


def with_equal_folds(group: list[Experiment]) -> list[Experiment]:
    """Return the seeds with the most folds where folds are pooled: other seeds were tested on fewer samples."""
    if not are_pooled(group):
        return group
    folds = {seed: [one.fold for one in group if one.seed == seed] for seed in {one.seed: None for one in group}}
    most = max(folds.values(), key=len)
    return [one for one in group if folds[one.seed] == most]


def summary(group: list[Experiment]) -> dict[str, Any]:
    """Return `<figure>`, `<figure>_sd`, interval, n_test and confusion over the experiments of `without_repeats`.

    The standard deviation is over seeds, for one seed over its folds, for one experiment None. The interval is
    Student's t over the same, for one experiment its own.
    """
    experiments = [one.metrics for one in group]
    of_seeds = [_pooled(of_seed) for of_seed in _by(lambda one: one.seed, group)] if are_pooled(group) else experiments
    spread = of_seeds if len(of_seeds) > 1 else experiments
    result = {"n_test": of_seeds[0]["n_test"]}
    for name in FIGURES:
        result[name] = _rounded(np.mean([figures[name] for figures in of_seeds]))
        values = [figures[name] for figures in spread]
        result[f"{name}_sd"] = _rounded(np.std(values, ddof=1)) if len(values) > 1 else None
    result |= _interval(result["accuracy"], result["accuracy_sd"], spread)
    return result | {"confusion": np.sum([figures["confusion"] for figures in experiments], axis=0).tolist()}


def are_pooled(group: list[Experiment]) -> bool:
    """Return whether there are several folds with disjoint test parts."""
    return len({one.fold for one in group}) > 1 and group[0].split["protocol"] not in SAME_TEST_IN_EVERY_FOLD


def how(group: list[Experiment]) -> str:
    """Return what `summary` did, as text beside the figures."""
    seeds, folds = (len({getattr(one, name) for one in group}) for name in ("seed", "fold"))
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
    """Return the label of the split over all folds: 'fold 0 of 6' becomes 'folds 0–5 of 6'."""
    folds = sorted({one.fold for one in group})
    labels = [one.metrics["protocol"] for one in group]
    if len(folds) > 1:
        labels = [re.sub(r"\bfold \d+\b", f"folds {span(folds)}", label) for label in labels]
    return merged(labels)


def merged(labels: Iterable[str]) -> str:
    """Merge labels into one: numbers that differ become 'lowest–highest'; different words are joined by ' / '."""
    labels = list(dict.fromkeys(labels))
    parts = [_NUMBER.split(label) for label in labels]
    if len({tuple(part[::2]) for part in parts}) > 1:
        return " / ".join(labels)
    columns = [sorted(set(column), key=_size) for column in zip(*parts, strict=True)]
    return "".join(column[0] if len(column) == 1 else f"{column[0]}–{column[-1]}" for column in columns)


def span(numbers: Iterable[int]) -> str:
    """Return '0–5' for consecutive numbers, else '0, 2, 5'."""
    numbers = sorted(set(numbers))
    whole = len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1
    return f"{numbers[0]}–{numbers[-1]}" if whole else ", ".join(map(str, numbers))


def _size(number: str) -> float:
    return float(number.replace(",", "")) if _NUMBER.fullmatch(number) else 0.0


def _by(key: Callable[[Experiment], Hashable], experiments: Iterable[Experiment]) -> list[list[Experiment]]:
    groups = defaultdict(list)
    for experiment in experiments:
        groups[key(experiment)].append(experiment)
    return list(groups.values())


def _pooled(folds: list[Experiment]) -> dict[str, Any]:
    """Return figures over the test samples of all folds; macro averages are over classes with samples."""
    confusion = np.sum([fold.metrics["confusion"] for fold in folds], axis=0)  # (C, C), rows are true classes
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
