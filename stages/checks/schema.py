"""Pydantic's validation errors as messages about `params.yaml`: one line per mistake, in YAML's terms."""

import json
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from stages.core.errors import did_you_mean, shorten
from stages.params.schema import Choice

Location = tuple[str, ...]

KEY = "a key (text) of a-z, 0-9, _ and -"  # describes `params.schema.Key`
CHOICE = "a mapping {name: …, <option>: …}"

# The allowed values by pydantic's error type; {…} are filled from the error's context.
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
    "too_long": "{max_length} or fewer of them",
}


def schema_mistakes(schema: type[BaseModel], content: Any, prefix: Location = ()) -> Iterator[str]:
    """Yield one line for each value in `content` that does not fit `schema`; `prefix` is the path of `content`."""
    try:
        schema.model_validate(content)
    except ValidationError as failed:
        errors_at: dict[Location, list[dict]] = {}
        for error in failed.errors(include_url=False):
            errors_at.setdefault(_place(schema, error), []).append(error)
        for at, errors in errors_at.items():
            # In a union, the branch that matched more of the value is probably the intended one.
            if not any(other[: len(at)] == at and len(other) > len(at) for other in errors_at):
                yield f"{'.'.join([*prefix, *at])}: {_describe(schema, at, errors)}"


def _place(schema: Any, error: dict) -> Location:
    *parts, last = error["loc"]
    if error["type"] == "extra_forbidden":  # the last part is the unknown key itself, whatever it is
        return (*_locate(schema, parts)[0], str(last))
    return _locate(schema, error["loc"])[0]


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
    quoted = [word for text in allowed for word in text.split("'")[1::2]]
    hint = did_you_mean(received, quoted) if isinstance(received, str) else ""
    shown = json.dumps(received) if received is None or isinstance(received, bool) else shorten(received)
    return f"allowed: {' or '.join(dict.fromkeys(allowed))}; received: {shown}{hint and '.' + hint}"


def _allowed(error: dict, expected: Any) -> str:
    if error["type"] == "invalid_key" or (error["loc"][-1] == "[key]" and error["type"].startswith("string_")):
        return KEY
    if error["type"] == "dict_type" and Choice in (expected, *get_args(expected)):
        return CHOICE
    wording = ALLOWED.get(error["type"])
    return wording.format_map(error.get("ctx", {})) if wording else error["msg"].removeprefix("Value error, ")


def _locate(schema: Any, parts: Iterable[str | int]) -> tuple[Location, Any]:
    """Return the path for pydantic's location `parts`, and the type that is expected there.

    Besides keys, pydantic's locations contain the branches of unions ("int", "dict[str,…]") and the marker "[key]",
    which are left out.
    """
    at: list[str] = []
    for part in parts:
        branches = [get_args(t)[0] if get_origin(t) is Annotated else t for t in _branches(schema)]
        if len(branches) > 1:
            is_dict = str(part).startswith("dict[")
            schema = next(branch for branch in branches if (get_origin(branch) is dict) == is_dict)
        elif part != "[key]" or get_origin(branches[0]) is dict:  # a user's key may also be called "[key]"
            at.append(str(part))
            is_model = isinstance(branches[0], type) and issubclass(branches[0], BaseModel)
            fields = branches[0].model_fields if is_model else {}
            schema = fields[part].annotation if part in fields else [None, *get_args(branches[0])][-1]
    return tuple(at), schema


def _branches(schema: Any) -> list[Any]:
    is_union = get_origin(schema) in (Union, types.UnionType)
    return [branch for branch in get_args(schema) if branch is not type(None)] if is_union else [schema]
