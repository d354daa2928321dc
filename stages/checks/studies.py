"""Mistakes in `studies:`: a space that is none, values its run could not have, keys that must be its run's."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from stages.checks.contradictions import section
from stages.checks.schema import schema_mistakes
from stages.core import lookup
from stages.core.errors import shorten, unknown_name
from stages.params.space import TYPES, dimensions, replaced

Item = dict[str, Any]
Check = Callable[[Item], Iterator[str]]

# DVC cannot look up a run's keys from its study, so a study repeats them.
REPEATED = ("corpus", "dataset", "model", "recipe")
# What `dvc.yaml` takes from the run, and what all trials share.
FIXED = ("corpus", "dataset", "model.name", "recipe", "loading")
KINDS = {bool: "true or false", str: "text", int: "a number", float: "a number"}


def study_mistakes(content: Item, check: Check) -> Iterator[str]:
    """One line for each; `check` gives the mistakes of params without studies."""
    runs = content.get("runs")
    runs = runs if isinstance(runs, dict) else {}
    for key, study in section(content, "studies").items():
        where, name = f"studies.{key}", study.get("run")
        if isinstance(name, str) and runs and name not in runs:
            yield unknown_name(f"{where}.run", name, list(map(str, runs)))
        run = runs.get(name) if isinstance(name, str) else None
        if isinstance(run, dict):
            yield from _repetition_mistakes(where, study, run)
        space = study.get("space")
        if isinstance(space, dict):
            wrong = list(_space_mistakes(f"{where}.space", space))
            yield from wrong
            if not wrong and isinstance(run, dict):
                yield from _value_mistakes(content, f"{where}.space", space, str(name), check)


def _repetition_mistakes(where: str, study: Item, run: Item) -> Iterator[str]:
    model = run.get("model")
    name = model.get("name") if isinstance(model, dict) else None
    expected = run | {"model": name if name in lookup.names("models") else None}  # else the run's mistake is told
    for field in REPEATED:
        value = study.get(field)
        if isinstance(value, str) and isinstance(expected.get(field), str) and value != expected[field]:
            yield f"{where}.{field}: allowed: {shorten(expected[field])}, its run's; received: {shorten(value)}"


def _space_mistakes(where: str, space: Item) -> Iterator[str]:
    for path, found in dimensions(space):
        place = f"{where}.{path}"
        if path in FIXED:
            yield f"{place}: all trials share it; allowed: any key of the run but {', '.join(FIXED)}"
        elif not isinstance(found, dict) or found.get("type") not in TYPES:
            received = found.get("type", found) if isinstance(found, dict) else found
            yield f"{place}: allowed: a mapping with type {', '.join(TYPES)}; received: {shorten(received)}"
        else:
            wrong = list(schema_mistakes(TYPES[found["type"]], found, tuple(place.split("."))))
            yield from (
                wrong or _choice_mistakes(place, found)
                if "choices" in found
                else wrong or _range_mistakes(place, found)
            )


def _range_mistakes(where: str, found: Item) -> Iterator[str]:
    low, high = found["low"], found["high"]
    if low >= high:
        yield f"{where}: an empty range; allowed: low less than high; received: {low} to {high}"
    elif found["type"] == "log_float" and low <= 0:
        yield f"{where}.low: allowed: more than 0 with type log_float; received: {low}"


def _choice_mistakes(where: str, found: Item) -> Iterator[str]:
    choices = found["choices"]
    wrong = [choice for choice in choices if choice is not None and type(choice) not in KINDS]
    kinds = dict.fromkeys(KINDS[type(choice)] for choice in choices if type(choice) in KINDS)
    if wrong:
        yield f"{where}.choices: allowed: text, numbers, true, false or null; received: {shorten(wrong[0])}"
    elif len(kinds) > 1:
        yield f"{where}.choices: allowed: all of one type; received: {' and '.join(kinds)}, {shorten(choices)}"
    elif len(set(choices)) < len(choices):
        yield f"{where}.choices: allowed: each choice once; received: {shorten(choices)}"


def _value_mistakes(content: Item, where: str, space: Item, name: str, check: Check) -> Iterator[str]:
    """What `check` finds wrong with the run as a trial would have it, and not with the run as it stands."""
    run = content["runs"][name]
    alone = {key: value for key, value in content.items() if key != "studies"}
    known = set(check(alone | {"runs": {name: run}}))
    told = set()
    for values in candidates(dict(dimensions(space))):
        for mistake in check(alone | {"runs": {name: replaced(run, values)}}):
            place, _, what = mistake.partition(": ")
            path = place.removeprefix(f"runs.{name}.")
            if mistake not in known and place not in told:
                told.add(place)
                names = ", ".join(f"{key}={value}" for key, value in values.items() if key.endswith(".name"))
                yield (
                    f"{where}.{path}: {what}" if path in values else f"{where}: {names and f'with {names}: '}{mistake}"
                )


def candidates(space: dict[str, Item]) -> Iterator[Item]:
    """{path: value} of trials in which every end of a range and every choice occurs, with every combination of names.

    What a name stands for decides which options there are; other values are checked one by one. The ends of a range
    of floats are floats, as what is drawn from it is, however the file writes them.
    """
    values = {path: found.get("choices") or _ends(found) for path, found in space.items()}
    names = [path for path in values if path.endswith(".name")]
    others = [path for path in values if path not in names]
    for chosen in product(*(values[path] for path in names)):
        for number in range(max((len(values[path]) for path in others), default=1)):
            rest = {path: values[path][min(number, len(values[path]) - 1)] for path in others}
            yield dict(zip(names, chosen, strict=True)) | rest


def _ends(found: Item) -> list[float]:
    ends = [found["low"], found["high"]]
    return ends if found["type"] == "int" else list(map(float, ends))
