"""The search space of a study: it mirrors its run, with a range or choices in place of each varied value."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from stages.params.schema import Section

Tree = dict[str, Any]


class FloatRange(Section):
    type: Literal["float", "log_float"]
    low: float
    high: float


class IntRange(Section):
    type: Literal["int"]
    low: int
    high: int


class Choices(Section):
    type: Literal["categorical"]
    choices: Annotated[list[bool | int | float | str | None], Field(min_length=2)]


TYPES = {"float": FloatRange, "log_float": FloatRange, "int": IntRange, "categorical": Choices}


def dimensions(space: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, dimension) of each varied value: a mapping with `type`, or an invalid value."""
    for key, value in space.items():
        if isinstance(value, dict) and value and not isinstance(value.get("type"), str):
            yield from dimensions(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def replaced(run: Tree, values: Tree) -> Tree:
    """Return a copy of `run` with the given {dotted path: value}."""
    for path, value in values.items():
        key, _, rest = path.partition(".")
        inner = run.get(key)
        below = replaced(inner if isinstance(inner, dict) else {}, {rest: value}) if rest else value
        run = run | {key: below}
    return run


def at(tree: Tree, path: str) -> Any:
    """Return the value at a dotted path, or `...` if there is none."""
    for key in path.split("."):
        tree = tree.get(key, ...) if isinstance(tree, dict) else ...
    return tree
