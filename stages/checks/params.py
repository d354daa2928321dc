"""Reads and checks `params.yaml` as a whole, all mistakes at once: `python -m stages.checks.params` is `make check`."""

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import create_model
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from stages.checks.combinations import misfits
from stages.checks.contradictions import contradictions, section
from stages.checks.schema import schema_mistakes
from stages.checks.studies import study_mistakes
from stages.core import lookup
from stages.core.errors import UserError, exit_with_one_line, printable, shorten, unknown_name
from stages.params.options import options_of
from stages.params.schema import Params, Section

# Where a choice by name may stand: section, key under each of its items, room it is looked up in.
CHOICES = (
    ("datasets", "feature", "features"),
    ("runs", "model", "models"),
    ("runs", "optimizer", "training.optimizers"),
    ("runs", "schedule", "training.schedules"),
    ("runs", "augmentation", "datasets.augmentation"),
    ("studies", "sampler", "tuning.samplers"),
    ("studies", "pruner", "tuning.pruners"),
)
NAMES = (("corpora", "reader", "corpora"), ("splits", "protocol", "datasets.protocols"))


def load(path: Path) -> Params:
    """The checked params. Raises `UserError` with one line per mistake."""
    content = _parse(path)
    found = (schema_mistakes(Params, content), _mistakes(content))
    mistakes = list(dict.fromkeys(chain(*found, study_mistakes(content, _mistakes_of_run))))
    if mistakes:
        raise UserError("\n".join(f"{path}: {printable(mistake)}" for mistake in mistakes))
    return Params.model_validate(content)


def _mistakes(content: dict[str, Any]) -> Iterator[str]:
    return chain(_choice_mistakes(content), misfits(content), contradictions(content))


def _mistakes_of_run(content: dict[str, Any]) -> Iterator[str]:
    """Of params without studies."""
    return chain(schema_mistakes(Params, content | {"studies": {}}), _mistakes(content))


def _parse(path: Path) -> dict[str, Any]:
    # ruamel reads YAML 1.2 as DVC does: PyYAML would take DVC's own `lr: 3e-4` for text.
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this in the project's folder") from None
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


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "params.yaml")
    params = load(path)
    counts = {name: getattr(params, name) for name in ("corpora", "datasets", "runs", "studies")}
    print(f"{path}: in order ({', '.join(f'{len(found)} {name}' for name, found in counts.items())})")


if __name__ == "__main__":
    exit_with_one_line(main)
