"""Validation of the whole `params.yaml`, all mistakes at once: `python -m stages.checks.params` is `make check`."""

import sys
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import create_model
from yaml import MarkedYAMLError, YAMLError

from stages.checks.consistency import consistency_mistakes, section
from stages.checks.schema import schema_mistakes
from stages.checks.studies import study_mistakes
from stages.core import lookup
from stages.core.errors import UserError, exit_with_one_line, printable, shorten, unknown_name, warn
from stages.params.load import parse, replaces, resolve
from stages.params.options import options_of
from stages.params.schema import Params, Recipe, Section
from stages.params.space import at

# {section: {key whose value names a function: package or module of that function}}. The value is a text in the first
# two sections, and a choice {name: …, <option>: …} in the others.
NAMES = {"corpora": {"reader": "corpora"}, "splits": {"protocol": "datasets.protocols"}}
_TRAINING = {"optimizer": "training.optimizers", "schedule": "training.schedules"}
_TRAINING |= {"augmentation": "datasets.augmentation"}
CHOICES = {
    "datasets": {"feature": "features"},
    "recipes": _TRAINING,
    "runs": {"model": "models"} | _TRAINING,
    "studies": {"sampler": "tuning.samplers", "pruner": "tuning.pruners"},
}
PUBLISHED = "_published"  # suffix of the recipes that `apps.published` substitutes for the default ones


def load(path: Path) -> Params:
    """Return the valid params, runs merged with their recipes. Raises `UserError` with one line per mistake."""
    content = _read(path)
    resolved = resolve(content)
    in_resolved = chain(_mistakes(resolved), study_mistakes(resolved, _mistakes))
    mistakes = list(dict.fromkeys(_located(in_resolved, content)))
    if mistakes:
        raise UserError("\n".join(f"{path}: {printable(mistake)}" for mistake in mistakes))
    return Params.model_validate(resolved)


def _located(mistakes: Iterator[str], content: dict[str, Any]) -> Iterator[str]:
    """Yield the mistakes; those of a merged run with the path at which the value is written, the run or its recipe."""
    runs, recipes = section(content, "runs"), section(content, "recipes")
    for mistake in mistakes:
        place, colon, what = mistake.partition(": ")
        name, key, path = [*place.split(".", 2), "", ""][:3]
        run = runs.get(key, {})
        if name != "runs" or not _is_inherited(run, recipes.get(str(run.get("recipe")), {}), path):
            yield mistake
        elif run.get("recipe") in list(recipes):
            yield f"recipes.{run['recipe']}.{path}{colon}{what}"
        elif what != "missing":  # of an unknown recipe, only its name is reported, not each missing setting
            yield mistake


def _is_inherited(run: dict[str, Any], recipe: dict[str, Any], path: str) -> bool:
    field = path.partition(".")[0]
    if field not in Recipe.model_fields or at(run, path) is not ...:
        return False
    return field not in run or (not replaces(run[field], recipe.get(field)) and at(recipe, path) is not ...)


def _mistakes(content: dict[str, Any]) -> list[str]:
    """Return all mistakes but those of studies. Only entries without an invalid type are compared with others."""
    mistakes = [*schema_mistakes(Params, content), *_choice_mistakes(content)]
    valid = {name: _valid(name, items, mistakes) for name, items in content.items() if isinstance(items, dict)}
    return [*mistakes, *consistency_mistakes(content, valid)]


def _valid(name: str, items: dict[str, Any], mistakes: list[str]) -> dict[str, Any]:
    places = {key: (f"{name}.{key}.", f"{name}.{key}:") for key in items if isinstance(key, str)}
    return {key: items[key] for key, starts in places.items() if not any(line.startswith(starts) for line in mistakes)}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this command in the project folder") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{path}: line {mark.line + 1}: not valid YAML: {error.problem or error.context}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {shorten(' '.join(str(error).split()))}") from None
    if not isinstance(content, dict):
        received = "an empty file" if content is None else shorten(content)
        raise UserError(f"{path}: allowed: a mapping with {', '.join(Params.model_fields)}; received: {received}")
    return content


def _choice_mistakes(content: dict[str, Any]) -> Iterator[str]:
    for name, rooms in (NAMES | CHOICES).items():
        for key, item in section(content, name).items():
            for field, room in rooms.items():
                where, value = (name, key, field), item.get(field)
                if name in NAMES and isinstance(value, str):
                    yield from _name_mistakes(where, room, value)
                elif name in CHOICES and isinstance(value, dict):
                    yield from _option_mistakes(where, room, value)


def _name_mistakes(where: tuple[str, ...], room: str, name: Any) -> Iterator[str]:
    known = lookup.names(room)
    if name is None:
        yield f"{'.'.join(where)}: missing; allowed: {', '.join(known)}"
    elif name not in known:
        yield unknown_name(".".join(where), name, known)


def _option_mistakes(where: tuple[str, ...], room: str, choice: dict[str, Any]) -> Iterator[str]:
    name = choice.get("name")
    wrong = list(_name_mistakes((*where, "name"), room, name))
    options = {key: value for key, value in choice.items() if key != "name"}
    yield from wrong or schema_mistakes(_options_schema(room, name), options, where)


@cache  # a study checks a run with many values
def _options_schema(room: str, name: str) -> type[Section]:
    return create_model(name, __base__=Section, **options_of(room, name))


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "params.yaml")
    params = load(path)
    used = {run.recipe for run in params.runs.values()}
    for key in params.recipes:
        if key not in used and not key.endswith(PUBLISHED):  # the published ones are for real corpora
            warn(f"{path}: recipes.{key}: no run uses it")
    sections = ("corpora", "datasets", "recipes", "runs", "studies", "ensembles", "distillations")
    counts = {name: len(getattr(params, name)) for name in sections}
    print(f"{path} is valid ({', '.join(f'{count} {name}' for name, count in counts.items())})")


if __name__ == "__main__":
    exit_with_one_line(main)
