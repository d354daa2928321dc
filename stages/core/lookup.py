"""Lookup of a reader, feature, model, … by its name in `params.yaml`.

Modules are imported by name, so that editing one model re-runs only the runs that use it. Names, constants and
signatures are read from the source without importing it: a model imports torch, checking `params.yaml` must not.
"""

import ast
import importlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stages.core import labels
from stages.core.errors import UserError, unknown_name

if TYPE_CHECKING:  # it imports numpy, which checking `params.yaml` does not need
    from stages.core.records import Record

STAGES = Path(__file__).resolve().parents[1]

# Packages in which each file is one choice, and the function that every such file defines.
ENTRY = {"corpora": "read", "features": "compute", "models": "build", "datasets.augmentation": "build"}
# Modules in which each public function is one choice.
FUNCTIONS = ("training.optimizers", "training.schedules", "datasets.protocols", "tuning.samplers", "tuning.pruners")


@cache
def functions(module: str) -> dict[str, ast.FunctionDef]:
    """Return {name: syntax tree} of the public functions of `stages/<module>.py`."""
    tree = ast.parse((STAGES / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    public = (node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"))
    return {node.name: node for node in public}


@cache
def names(room: str) -> tuple[str, ...]:
    """Return every name that `params.yaml` may use for this package or module."""
    if room in FUNCTIONS:
        return tuple(functions(room))
    files = sorted((STAGES / room.replace(".", "/")).glob("[a-z]*.py"))
    return tuple(file.stem for file in files if ENTRY[room] in functions(f"{room}.{file.stem}"))


@cache
def constants(room: str, name: str) -> dict[str, Any]:
    """Return {NAME: value} of the literals and the constants of `core.labels` that the file assigns, without import."""
    tree = ast.parse((STAGES / room.replace(".", "/") / f"{name}.py").read_text(encoding="utf-8"))
    assigned = (node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name))
    values = {}
    for node in assigned:
        with suppress(ValueError):  # other expressions are left out
            is_label = isinstance(node.value, ast.Name)
            values[node.targets[0].id] = getattr(labels, node.value.id) if is_label else ast.literal_eval(node.value)
    return values


def synthetic_options(reader: str) -> tuple[str, ...] | None:
    """Return the option names (size, seed, …) of a reader's `synthesise`; None if it makes no synthetic corpus."""
    function = functions(f"corpora.{reader}").get("synthesise")
    return tuple(argument.arg for argument in function.args.kwonlyargs) if function else None


def load(room: str, name: str) -> ModuleType:
    """Import and return `stages/<room>/<name>.py`. Raises `UserError` unless `name` is one of the known choices."""
    if name not in names(room):
        raise UserError(unknown_name(room, name, names(room)))
    return importlib.import_module(f"stages.{room}.{name}")


def reader_options(reader: str) -> tuple[str, ...]:
    """Return the names of the arguments that a reader's `read` has besides the archive, without importing it."""
    arguments = functions(f"corpora.{reader}")["read"].args
    return tuple(argument.arg for argument in arguments.args[1:] + arguments.kwonlyargs)


def read(reader: str, archive: Path, **options: Any) -> "Iterator[Record]":
    """Return the records of an archive. Only the options that are set and that this reader has are passed to it."""
    known = {name for name in reader_options(reader) if options.get(name) is not None}
    return load("corpora", reader).read(archive, **{name: options[name] for name in known})


def build(room: str, choice: dict[str, Any], *arguments: Any) -> Any:
    """Call the entry function of the choice `{name: …, <option>: …}` with its options and return the result."""
    settings = {key: value for key, value in choice.items() if key != "name"}
    name = choice["name"]
    entry = function(room, name) if room in FUNCTIONS else getattr(load(room, name), ENTRY[room])
    return entry(*arguments, **settings)


def function(room: str, name: str) -> Any:
    """Return the public function `name` of `stages/<room>.py`."""
    return getattr(importlib.import_module(f"stages.{room}"), name)
