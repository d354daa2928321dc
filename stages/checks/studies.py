"""Validation of `studies:`: the form of the search space, its values, and the keys repeated from the run."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from stages.checks.consistency import section
from stages.checks.schema import schema_mistakes
from stages.core import lookup
from stages.core.errors import shorten
from stages.params.space import TYPES, at, dimensions, replaced

Item = dict[str, Any]
Check = Callable[[Item], list[str]]

# Keys of the run that a study repeats, since DVC cannot look them up through the run.
REPEATED = ("corpus", "dataset", "model", "recipe")
# Keys that all trials share: `dvc.yaml` uses them, or the data are loaded once.
FIXED = ("corpus", "dataset", "model.name", "recipe", "loading")
KINDS = {bool: "true or false", str: "text", int: "a number", float: "a number"}


def study_mistakes(content: Item, check: Check) -> Iterator[str]:
    """Yield one line for each mistake; `check` yields the mistakes of all other sections."""
    for key, study in section(content, "studies").items():
        where, name, space = f"studies.{key}", str(study.get("run")), study.get("space")
        run = section(content, "runs").get(name)
        if run is not None:
            yield from _repetition_mistakes(where, study, run)
        if isinstance(space, dict):
            wrong = list(_space_mistakes(f"{where}.space", space))
            yield from wrong
            if run is not None and not wrong:
                yield from _value_mistakes(content, f"{where}.space", space, name, check)


def _repetition_mistakes(where: str, study: Item, run: Item) -> Iterator[str]:
    name = at(run, "model.name")
    expected = run | {"model": name if name in lookup.names("models") else None}  # a bad name is the run's mistake
    for field in REPEATED:
        value = study.get(field)
        if isinstance(value, str) and isinstance(expected.get(field), str) and value != expected[field]:
            yield f"{where}.{field}: allowed: {shorten(expected[field])}, its run's; received: {shorten(value)}"


def _space_mistakes(where: str, space: Item) -> Iterator[str]:
    for path, dimension in dimensions(space):
        place = f"{where}.{path}"
        if path in FIXED:
            yield f"{place}: all trials share it; allowed: any key of the run but {', '.join(FIXED)}"
        elif not isinstance(dimension, dict) or dimension.get("type") not in TYPES:
            received = dimension.get("type", dimension) if isinstance(dimension, dict) else dimension
            yield f"{place}: allowed: a mapping with type {', '.join(TYPES)}; received: {shorten(received)}"
        else:
            check = _choice_mistakes if "choices" in dimension else _range_mistakes
            wrong = list(schema_mistakes(TYPES[dimension["type"]], dimension, tuple(place.split("."))))
            yield from wrong or check(place, dimension)


def _range_mistakes(where: str, dimension: Item) -> Iterator[str]:
    low, high = dimension["low"], dimension["high"]
    if low >= high:
        yield f"{where}: an empty range; allowed: low less than high; received: {low} to {high}"
    elif dimension["type"] == "log_float" and low <= 0:
        yield f"{where}.low: allowed: more than 0 with type log_float; received: {low}"


def _choice_mistakes(where: str, dimension: Item) -> Iterator[str]:
    choices = dimension["choices"]
    kinds = dict.fromkeys(KINDS[type(choice)] for choice in choices if choice is not None)
    if len(kinds) > 1:
        yield f"{where}.choices: allowed: all of one type; received: {' and '.join(kinds)}, {shorten(choices)}"
    elif len(set(choices)) < len(choices):
        yield f"{where}.choices: allowed: each choice once; received: {shorten(choices)}"


def _value_mistakes(content: Item, where: str, space: Item, name: str, check: Check) -> Iterator[str]:
    """Yield the mistakes that the run has with a trial's values and does not have without them."""
    run, others = section(content, "runs")[name], content | {"studies": {}}
    known = set(check(others | {"runs": {name: run}}))
    reported = set()
    for values in candidates(dict(dimensions(space))):
        for mistake in check(others | {"runs": {name: replaced(run, values)}}):
            place, _, what = mistake.partition(": ")
            path = place.removeprefix(f"runs.{name}.")
            if mistake in known or place in reported:
                continue
            reported.add(place)
            names = ", ".join(f"{key}={value}" for key, value in values.items() if key.endswith(".name"))
            yield f"{where}.{path}: {what}" if path in values else f"{where}: {names and f'with {names}: '}{mistake}"


def candidates(space: dict[str, Item]) -> Iterator[Item]:
    """Yield {path: value} of trials that cover every end of a range and every choice.

    Names are tried in all combinations, because they determine which options exist; other values one at a time. The
    ends of a float range are floats, as sampled values are, even if the file writes them as integers.
    """
    values = {}
    for path, dimension in space.items():
        convert = int if dimension["type"] == "int" else float
        values[path] = dimension.get("choices") or [convert(dimension[end]) for end in ("low", "high")]
    names = [path for path in values if path.endswith(".name")]
    others = [path for path in values if path not in names]
    for chosen in product(*(values[path] for path in names)):
        for number in range(max((len(values[path]) for path in others), default=1)):
            rest = {path: values[path][min(number, len(values[path]) - 1)] for path in others}
            yield dict(zip(names, chosen, strict=True)) | rest
