"""Checks `params.yaml` as a whole, all mistakes at once: `python -m stages.checks.params` is `make check`."""

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pydantic import create_model

from stages.checks.combinations import misfits
from stages.checks.contradictions import contradictions, section
from stages.checks.schema import schema_mistakes
from stages.checks.studies import study_mistakes
from stages.core import lookup
from stages.core.errors import UserError, exit_with_one_line, printable, shorten, unknown_name, warn
from stages.params.load import parse, replaces, resolve
from stages.params.options import options_of
from stages.params.schema import Params, Recipe, Section
from stages.params.space import at

# Where a choice by name may stand: section, key under each of its items, room it is looked up in.
_TRAINING = (
    ("optimizer", "training.optimizers"),
    ("schedule", "training.schedules"),
    ("augmentation", "datasets.augmentation"),
)
CHOICES = (
    ("datasets", "feature", "features"),
    ("runs", "model", "models"),
    *((name, field, room) for name in ("recipes", "runs") for field, room in _TRAINING),
    ("studies", "sampler", "tuning.samplers"),
    ("studies", "pruner", "tuning.pruners"),
)
NAMES = (("corpora", "reader", "corpora"), ("splits", "protocol", "datasets.protocols"))
PUBLISHED = "_published"  # ending of recipes that `apps.published` puts in the place of the default ones


def load(path: Path) -> Params:
    """The checked params, runs resolved with their recipes. Raises `UserError` with one line per mistake."""
    content = _read(path)
    resolved = resolve(content)
    found = chain(schema_mistakes(Params, resolved), _mistakes(resolved), study_mistakes(resolved, _mistakes_of_run))
    mistakes = list(dict.fromkeys(_located(found, content)))
    if mistakes:
        raise UserError("\n".join(f"{path}: {printable(mistake)}" for mistake in mistakes))
    return Params.model_validate(resolved)


def _located(mistakes: Iterator[str], content: dict[str, Any]) -> Iterator[str]:
    """Each mistake of a resolved run, named where its value is written: in the run or in its recipe."""
    runs, recipes = section(content, "runs"), section(content, "recipes")
    for mistake in mistakes:
        place, colon, what = mistake.partition(": ")
        name, key, path = [*place.split(".", 2), "", ""][:3]
        run = runs.get(key, {}) if name == "runs" else {}
        if not _is_inherited(run, recipes.get(str(run.get("recipe")), {}), path):
            yield mistake
        elif run.get("recipe") in list(recipes):
            yield f"recipes.{run['recipe']}.{path}{colon}{what}"
        elif what != "missing":  # else the unknown recipe is the mistake, not each setting it would hold
            yield mistake


def _is_inherited(run: dict[str, Any], recipe: dict[str, Any], path: str) -> bool:
    field = path.partition(".")[0]
    if field not in Recipe.model_fields or at(run, path) is not ...:
        return False
    return field not in run or (not replaces(run[field], recipe.get(field)) and at(recipe, path) is not ...)


def _mistakes(content: dict[str, Any]) -> Iterator[str]:
    return chain(_choice_mistakes(content), misfits(content), contradictions(content))


def _mistakes_of_run(content: dict[str, Any]) -> Iterator[str]:
    """Of params without studies."""
    return chain(schema_mistakes(Params, content | {"studies": {}}), _mistakes(content))


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this in the project's folder") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{path}: line {mark.line + 1}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {shorten(' '.join(str(error).split()))}") from None
    if not isinstance(content, dict):
        received = "an empty file" if content is None else shorten(content)
        raise UserError(f"{path}: allowed: a mapping with {', '.join(Params.model_fields)}; received: {received}")
    return content


def _choice_mistakes(content: dict[str, Any]) -> Iterator[str]:
    for name, field, room in NAMES:
        for key, item in section(content, name).items():
            if isinstance(item.get(field), str):
                yield from _unknown_name(f"{name}.{key}.{field}", room, item[field])
    for name, field, room in CHOICES:
        for key, item in section(content, name).items():
            if isinstance(item.get(field), dict):
                yield from _option_mistakes((name, key, field), room, dict(item[field]))


def _unknown_name(where: str, room: str, name: Any) -> Iterator[str]:
    known = lookup.names(room)
    if name is None:
        yield f"{where}: missing; allowed: {', '.join(known)}"
    elif name not in known:
        yield unknown_name(where, name, known)


def _option_mistakes(where: tuple[str, ...], room: str, choice: dict[str, Any]) -> Iterator[str]:
    name = choice.pop("name", None)
    unknown = list(_unknown_name(".".join((*where, "name")), room, name))
    yield from unknown
    if not unknown:
        yield from schema_mistakes(create_model(name, __base__=Section, **options_of(room, name)), choice, where)


def unused_recipes(params: Params) -> list[str]:
    """Recipes that no run names; the published ones wait for a real corpus."""
    used = {run.recipe for run in params.runs.values()}
    return [key for key in params.recipes if key not in used and not key.endswith(PUBLISHED)]


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "params.yaml")
    params = load(path)
    for key in unused_recipes(params):
        warn(f"{path}: recipes.{key}: no run uses it")
    counts = {name: len(getattr(params, name)) for name in ("corpora", "datasets", "recipes", "runs", "studies")}
    print(f"{path} is valid ({', '.join(f'{count} {name}' for name, count in counts.items())})")


if __name__ == "__main__":
    exit_with_one_line(main)
