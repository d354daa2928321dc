"""Validation of `distillations:`: known names, one corpus, and no dataset that rests on itself."""

from collections.abc import Iterator
from typing import Any

from stages.core.errors import shorten, unknown_name

Item = dict[str, Any]


def distillation_mistakes(distillations: Item, datasets: Item, runs: Item) -> Iterator[str]:
    """Yield one line for each mistake, and for each run on a dataset that does not exist."""
    known = [*datasets, *distillations]
    for key, run in runs.items():
        yield from _name_mistakes(f"runs.{key}.dataset", run.get("dataset"), known)
    for key, item in distillations.items():
        where, teacher = f"distillations.{key}", runs.get(str(item.get("teacher")), {})
        if key in datasets:
            yield f"{where}: allowed: a name that no dataset has, since runs name both; received: {key!r}"
        elif _rests_on(key, distillations, runs):
            yield f"{where}: it needs itself; allowed: a dataset and a teacher that are made without it"
        yield from _name_mistakes(f"{where}.dataset", item.get("dataset"), known)
        received = item.get("teacher_dataset")
        yield from _difference(f"{where}.teacher_dataset", received, teacher.get("dataset"), "its teacher's")
        corpus = datasets.get(original(distillations, item.get("dataset")), {}).get("corpus")
        yield from _difference(f"{where}.corpus", item.get("corpus"), corpus, "its dataset's")
        if item.get("corpus") == corpus != teacher.get("corpus", corpus):
            other = f"{item['teacher']!r}, on {teacher['corpus']!r}"
            yield f"{where}.teacher: allowed: a run on {corpus!r}; received: {other}"


def _name_mistakes(where: str, name: Any, known: list[str]) -> Iterator[str]:
    if isinstance(name, str) and name not in known:
        yield unknown_name(where, name, known)


def _difference(where: str, received: Any, allowed: Any, whose: str) -> Iterator[str]:
    if isinstance(received, str) and isinstance(allowed, str) and received != allowed:
        yield f"{where}: allowed: {allowed!r}, {whose}; received: {shorten(received)}"


def original(distillations: Item, dataset: Any) -> Any:
    """Return the key in `datasets` of a dataset that may be a distillation of it, or one of another."""
    for _ in distillations:
        dataset = distillations.get(str(dataset), {}).get("dataset", dataset)
    return str(dataset)


def _rests_on(key: str, distillations: Item, runs: Item) -> bool:
    """Return whether the distillation `key` needs itself."""
    needed, waiting = set(), [key]
    while waiting:
        item = distillations.get(waiting.pop(), {})
        found = {str(item.get("dataset")), str(runs.get(str(item.get("teacher")), {}).get("dataset"))} - needed
        needed |= found
        waiting += found
    return key in needed
