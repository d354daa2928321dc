"""Reads and checks `params.yaml` as a whole, all mistakes at once: `python -m stages.core.params` is `make check`."""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError, create_model
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.core import lookup
from stages.core.checks import UserError, did_you_mean, exit_with_one_line, shorten
from stages.core.cross_checks import contradictions
from stages.core.schema import Params, Section

# Where a choice by name may stand: section, key under each of its items, room it is looked up in.
CHOICES = (
    ("datasets", "feature", "features"),
    ("runs", "model", "models"),
    ("runs", "optimizer", "training.optimizers"),
    ("runs", "schedule", "training.schedules"),
    ("runs", "augmentation", "datasets.augmentation"),
)
NAMES = (("corpora", "reader", "corpora"), ("splits", "protocol", "datasets.protocols"))


def load(path: Path) -> Params:
    """The checked params. Raises `UserError` with one line per mistake."""
    content = _parse(path)
    mistakes = [*_schema_mistakes(Params, content, ()), *_choice_mistakes(content), *contradictions(content)]
    if mistakes:
        raise UserError("\n".join(f"{path}: {mistake}" for mistake in dict.fromkeys(mistakes)))
    return Params.model_validate(content)


def _parse(path: Path) -> dict[str, Any]:
    # ruamel reads YAML 1.2 as DVC does: PyYAML would take DVC's own `lr: 3e-4` for text.
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: allowed: a mapping with {', '.join(Params.model_fields)}; received: {shorten(content)}")
    return content


def _schema_mistakes(schema: type[BaseModel], content: Any, prefix: tuple[str, ...]) -> Iterator[str]:
    try:
        schema.model_validate(content)
    except ValidationError as failed:
        for error in failed.errors(include_url=False):
            yield _describe(schema, prefix, error)


def _describe(schema: type[BaseModel], prefix: tuple[str, ...], error: dict[str, Any]) -> str:
    location = [str(part) for part in error["loc"] if part != "[key]" and not _is_branch(part)]
    where = ".".join([*prefix, *location])
    if error["type"] == "extra_forbidden":
        known = _fields_at(schema, location[:-1])
        return f"{where}: unknown key;{did_you_mean(location[-1], known)} allowed: {', '.join(known)}"
    if error["type"] == "missing":
        return f"{where}: missing"
    received = error["input"]
    hint = did_you_mean(received, _quoted(error)) if isinstance(received, str) else ""
    return f"{where}: {error['msg'].replace('Input should be', 'allowed:')}; received: {shorten(received)}.{hint}"


def _quoted(error: dict[str, Any]) -> list[str]:
    return [word.strip(" ',") for word in error.get("ctx", {}).get("expected", "").replace(" or ", ",").split(",")]


def _is_branch(part: Any) -> bool:
    # pydantic names the branch of a union ("literal['none']", "dict[str,…]", "int") in the location: noise to a user.
    return isinstance(part, str) and ("[" in part or part in ("int", "float", "str", "none", "bool"))


def _fields_at(schema: Any, location: list[str]) -> list[str]:
    for part in location:
        schema = schema.model_fields[part].annotation if _is_section(schema) else get_args(schema)[1]
        if get_origin(schema) in (Union, types.UnionType):
            schema = next(branch for branch in get_args(schema) if branch is not type(None))
    return list(schema.model_fields) if _is_section(schema) else []


def _is_section(schema: Any) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def items(content: dict[str, Any], section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The well-formed items of a dict section; malformed ones are the schema's to report."""
    found = content.get(section)
    for key, item in found.items() if isinstance(found, dict) else ():
        if isinstance(item, dict):
            yield key, item


def _choice_mistakes(content: dict[str, Any]) -> Iterator[str]:
    for section, field, room in NAMES:
        for key, item in items(content, section):
            if isinstance(item.get(field), str):
                yield from _unknown_name(f"{section}.{key}.{field}", room, item[field])
    for section, field, room in CHOICES:
        for key, item in items(content, section):
            if isinstance(item.get(field), dict):
                yield from _option_mistakes((section, key, field), room, dict(item[field]))


def _unknown_name(where: str, room: str, name: Any) -> Iterator[str]:
    known = lookup.names(room)
    if name not in known:
        yield f"{where}: unknown name;{did_you_mean(str(name), known)} allowed: {', '.join(known)}; received: {shorten(name)}"


def _option_mistakes(where: tuple[str, ...], room: str, choice: dict[str, Any]) -> Iterator[str]:
    name = choice.pop("name", None)
    unknown = list(_unknown_name(".".join((*where, "name")), room, name))
    yield from unknown
    if not unknown:
        fields = lookup.options(room, name)
        yield from _schema_mistakes(create_model(name, __base__=Section, **fields), choice, where)


def main() -> None:
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "params.yaml")
    params = load(path)
    counts = {"corpora": params.corpora, "datasets": params.datasets, "runs": params.runs}
    print(f"{path}: in order ({', '.join(f'{len(found)} {name}' for name, found in counts.items())})")


if __name__ == "__main__":
    exit_with_one_line(main)
