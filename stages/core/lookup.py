"""Finds a reader, feature, model, … by its name in `params.yaml`.

Imported by name, so that editing one model re-runs the runs that use it and no other. Names, constants and signatures
are read off the source, without importing it: a model imports torch, checking `params.yaml` must not.
"""

import ast
import importlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from stages.core import labels
from stages.core.errors import UserError, unknown_name

STAGES = Path(__file__).resolve().parents[1]

# Rooms where one file is one choice, and the function that makes it one.
ENTRY = {"corpora": "read", "features": "compute", "models": "build", "datasets.augmentation": "build"}
# Modules where one public function is one choice.
FUNCTIONS = ("training.optimizers", "training.schedules", "datasets.protocols", "tuning.samplers", "tuning.pruners")


@cache
def functions(module: str) -> dict[str, ast.FunctionDef]:
    """{name: syntax tree} of the public functions of `stages/<module>.py`."""
    tree = ast.parse((STAGES / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    public = (node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"))
    return {node.name: node for node in public}


@cache
def names(room: str) -> tuple[str, ...]:
    """Every name that `params.yaml` may use for this room."""
    if room in FUNCTIONS:
        return tuple(functions(room))
    files = sorted((STAGES / room.replace(".", "/")).glob("[a-z]*.py"))
    return tuple(file.stem for file in files if ENTRY[room] in functions(f"{room}.{file.stem}"))


@cache
def constants(room: str, name: str) -> dict[str, Any]:
    """{NAME: value} of what the file assigns, literals and constants of `core.labels`, read without importing it."""
    tree = ast.parse((STAGES / room.replace(".", "/") / f"{name}.py").read_text(encoding="utf-8"))
    assigned = (node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name))
    found = {}
    for node in assigned:
        with suppress(ValueError):  # an expression
            shared = node.value.id if isinstance(node.value, ast.Name) else ""
            found[node.targets[0].id] = getattr(labels, shared) if shared else ast.literal_eval(node.value)
    return found


def synthetic_options(reader: str) -> tuple[str, ...] | None:
    """Names of the options (size, seed, …) of a reader's `synthesise`; None if it makes no synthetic corpus."""
    made = functions(f"corpora.{reader}").get("synthesise")
    return tuple(argument.arg for argument in made.args.kwonlyargs) if made else None


def load(room: str, name: str) -> ModuleType:
    """Import `stages/<room>/<name>.py`; a name from a file may be anything, so no other module is imported."""
    if name not in names(room):
        raise UserError(unknown_name(room, name, names(room)))
    return importlib.import_module(f"stages.{room}.{name}")


def build(room: str, choice: dict[str, Any], *arguments: Any) -> Any:
    """What the choice `{name: …, <option>: …}` stands for: its entry function called with the options."""
    settings = {key: value for key, value in choice.items() if key != "name"}
    name = choice["name"]
    entry = function(room, name) if room in FUNCTIONS else getattr(load(room, name), ENTRY[room])
    return entry(*arguments, **settings)


def function(room: str, name: str) -> Any:
    """The public function `name` of `stages/<room>.py`."""
    return getattr(importlib.import_module(f"stages.{room}"), name)
