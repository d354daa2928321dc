"""Words what pydantic finds wrong with `params.yaml`: one line per mistake, in the file's terms instead of Python's."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from stages.core.errors import did_you_mean, shorten
from stages.params.schema import Choice

Location = tuple[str, ...]

KEY = "a key (text) of a-z, 0-9, _ and -"  # core.schema.Key in words
CHOICE = "a mapping {name: …, <option>: …}"

# What is allowed, by pydantic's type of error; {…} are filled from its context.
ALLOWED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "too_short": "{min_length} or more of them",
}


def schema_mistakes(schema: type[BaseModel], content: Any, prefix: Location = ()) -> Iterator[str]:
    """One line for each place of `content`, which stands at `prefix` in the file, that does not fit `schema`."""
    try:
        schema.model_validate(content)
    except ValidationError as failed:
        found: dict[Location, list[dict]] = {}
        for error in failed.errors(include_url=False):
            found.setdefault(_place(schema, error), []).append(error)
        for at, errors in found.items():
            # Of a union's branches, the one that got further into the value is the one that was meant.
            if not any(other[: len(at)] == at and len(other) > len(at) for other in found):
                yield f"{'.'.join([*prefix, *at])}: {_describe(schema, at, errors)}"


def _place(schema: Any, error: dict) -> Location:
    """The keys that lead to an error; of an unknown key, the last part is the key itself, whatever it looks like."""
    if error["type"] != "extra_forbidden":
        return _locate(schema, error["loc"])[0]
    *parts, last = error["loc"]
    return (*_locate(schema, tuple(parts))[0], str(last))


def _describe(schema: type[BaseModel], at: Location, errors: list[dict]) -> str:
    kind, received = errors[0]["type"], errors[0]["input"]
    if kind == "extra_forbidden":
        known = list(_locate(schema, at[:-1])[1].model_fields)
        return f"unknown key;{did_you_mean(at[-1], known)} allowed: {', '.join(known) or 'none'}"
    if kind == "missing":
        return "missing"
    expected = _locate(schema, at)[1]
    allowed = [_allowed(error, expected) for error in errors]
    if type(None) in get_args(expected):
        allowed.append("null")
    hint = did_you_mean(received, _quoted(allowed)) if isinstance(received, str) else ""
    return f"allowed: {' or '.join(dict.fromkeys(allowed))}; received: {_shown(received)}{hint and '.' + hint}"


def _allowed(error: dict, expected: Any) -> str:
    if error["type"] == "invalid_key" or (error["loc"][-1] == "[key]" and error["type"].startswith("string_")):
        return KEY
    if error["type"] == "dict_type" and Choice in (expected, *get_args(expected)):
        return CHOICE
    wording = ALLOWED.get(error["type"])
    return wording.format_map(error.get("ctx", {})) if wording else error["msg"]


def _shown(received: Any) -> str:
    for word, value in (("null", None), ("true", True), ("false", False)):
        if received is value:
            return word
    return shorten(received)


def _quoted(allowed: list[str]) -> list[str]:
    return [word for text in allowed for word in text.split("'")[1::2]]


def _locate(schema: Any, parts: tuple[str | int, ...]) -> tuple[Location, Any]:
    """The keys among pydantic's `parts` of a location, and the type that stands there.

    Between the keys pydantic names branches of unions ("int", "dict[str,…]") and says "[key]": noise to a user.
    """
    at: list[str] = []
    for part in parts:
        branches = [_bare(branch) for branch in _branches(schema)]
        if len(branches) > 1:
            is_dict = str(part).startswith("dict[")
            schema = next(branch for branch in branches if (get_origin(branch) is dict) == is_dict)
        elif part != "[key]" or get_origin(branches[0]) is dict:  # a user's key may be called that, too
            at.append(str(part))
            schema = _inside(branches[0], part)
    return tuple(at), schema


def _branches(schema: Any) -> list[Any]:
    is_union = get_origin(schema) in (Union, types.UnionType)
    return [branch for branch in get_args(schema) if branch is not type(None)] if is_union else [schema]


def _bare(schema: Any) -> Any:
    return get_args(schema)[0] if get_origin(schema) is Annotated else schema


def _inside(schema: Any, part: str | int) -> Any:
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema.model_fields[part].annotation if part in schema.model_fields else None
    return get_args(schema)[-1] if get_args(schema) else None
