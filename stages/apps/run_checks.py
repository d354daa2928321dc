"""What a run from elsewhere must be before anything is built: model.json by types and sizes, weights by header."""

import json
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, create_model
from torch.nn.modules.module import register_module_parameter_registration_hook

from stages.apps.electrodes import BANDS
from stages.checks.features import feature_mistakes, frames, too_large
from stages.checks.schema import schema_mistakes
from stages.core import lookup
from stages.core.errors import UserError, duplicate_names, refuse, unknown_name
from stages.core.labels import CLASSES
from stages.params.options import Names, PositiveFloat, PositiveInt, options_of
from stages.params.schema import Choice, Key, Section
from stages.training import model_folder

MAX_TEXT = 2_000  # letters that pictures and terminals are told
MAX_OPTION = 10_000  # of a whole number among a model's options: none of ours comes near it
MAX_PARAMETERS = 250_000_000
MAX_TENSORS, SPARE = 5_000, 100  # of weights; building may make some of them anew: a backbone's head
MAX_STANDARDISING = 1e15  # of means and deviations, and one over it the least deviation: float32 holds all quotients
MAX_DIGITS = 20  # of a whole number: Python's have no end, and no float holds one of 400
MAX_HEADER_BYTES = 8 << 20  # of weights: what their JSON makes in memory is many times that
MAX_DEPTH, MAX_ITEMS = 8, 1_000_000  # of nested lists: a mean of 74 windows x 310 features is the largest of ours
# Of a feature's settings, beyond which its work or its arrays would have no end.
RANGES = {"window_s": (0.05, 600.0), "resample_hz": (1.0, 50_000.0), "duration_s": (0.01, 600.0)}
_KINDS = ("F64", "F32", "F16", "BF16", "I64")  # of weights, and of the steps that batch normalisation counts

Told = Annotated[str, Field(max_length=MAX_TEXT)]


class Input(Section):
    shape: Annotated[list[PositiveInt], Field(min_length=1, max_length=4)]
    layout: Names
    scale_factor: float
    add_offset: float
    rate_hz: PositiveFloat | None


class Normaliser(Section):
    mean: list
    sd: list


class ModelJson(BaseModel):
    """What serving reads of model.json; what else stands there tells of the training."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    run: Key
    model: Choice
    input: Input
    normaliser: Normaliser
    classes: Annotated[list[Literal[CLASSES]], Field(min_length=2)]
    feature: Choice
    corpus: Key
    inputs: Annotated[dict[Told, Told], Field(max_length=10)] = {}
    name: Told
    synthetic: bool
    protocol: Told


def checked_info(content: bytes, where: str) -> dict[str, Any]:
    """The content of model.json. Raises `UserError`, a line for each mistake."""
    try:
        info = parsed(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({' '.join(str(error).split())[:120]})") from None
    require_sound(info, where)
    return info


def parsed(text: str) -> Any:
    """JSON of numbers that a float holds. Raises ValueError, RecursionError."""
    return json.loads(text, parse_constant=_refuse_constant, parse_int=_whole)


def require_sound(info: Any, where: str) -> None:
    """Raises `UserError`, a line for each mistake, unless `info` is what model.json may hold."""
    if not isinstance(info, dict):
        refuse("not a model this project wrote", where=where, allowed="a mapping", received=info)
    mistakes = list(schema_mistakes(ModelJson, info)) or list(_content_mistakes(info))
    if mistakes:
        raise UserError("\n".join(f"{where}: {mistake}" for mistake in mistakes[:5]))


def require_fitting(info: dict[str, Any], weights: bytes, where: str) -> None:
    """Compare names and shapes that the header of `weights` tells with those the model has, which takes no memory.

    Raises `UserError`: for a damaged header, another model's weights, and options that no model can be built with.
    """
    told = _header(weights, where)
    try:
        with torch.device("meta"), _at_most(min(2 * len(told) + SPARE, MAX_TENSORS)):
            state = model_folder.build(info).architecture.state_dict()
    except (ArithmeticError, RuntimeError, TypeError, IndexError, AssertionError) as error:
        received = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        refuse("its model cannot be built", where=where, allowed="options that fit each other", received=received)
    expected = {name: tuple(values.shape) for name, values in state.items()}
    if sum(map(math.prod, expected.values())) > MAX_PARAMETERS:
        refuse(
            "too large a model", where=where, allowed=f"{MAX_PARAMETERS:,} parameters", received=info["model"]["name"]
        )
    odd = sorted(name for name in expected.keys() | told.keys() if expected.get(name) != told.get(name))
    if odd:
        what = f"not the weights of the {info['model']['name']!r} that model.json tells of, in {len(odd)} places"
        allowed, received = (f"{odd[0]!r} {found.get(odd[0], 'absent')}" for found in (expected, told))
        refuse(what, where=where, allowed=allowed, received=received)


@contextmanager
def _at_most(limit: int) -> Iterator[None]:
    """Stop building a network of more layers than there are weights: thousands would take minutes."""
    count = 0

    def counted(*_: Any) -> None:
        nonlocal count
        count += 1
        if count > limit:
            raise RuntimeError("more layers than it has weights")

    hook = register_module_parameter_registration_hook(counted)
    try:
        yield
    finally:
        hook.remove()


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")


def _whole(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _content_mistakes(info: dict[str, Any]) -> Iterator[str]:
    """Within sections that have their types."""
    feature = info["feature"]
    wrong = [*_choice_mistakes("feature", "features", feature), *feature_mistakes("feature", feature)]
    wrong += _range_mistakes(feature)
    yield from wrong
    yield from _choice_mistakes("model", "models", info["model"])
    axes = dict(zip(info["input"]["layout"], info["input"]["shape"], strict=False))
    if len(axes) != len(info["input"]["shape"]) or len(axes) != len(info["input"]["layout"]):
        yield f"input.layout: allowed: a name for each of {len(info['input']['shape'])} axes"
    yield from list(too_large("input.shape", axes)) or (() if wrong else _shape_mistakes(feature, axes))
    yield from duplicate_names("classes", info["classes"], "class")
    for name, value in info["model"].items():
        if any(abs(number) > MAX_OPTION for number in _numbers(value) if isinstance(number, int)):
            yield f"model.{name}: allowed: up to {MAX_OPTION:,}; received: more"
    yield from _normaliser_mistakes(info)


def _range_mistakes(feature: dict[str, Any]) -> Iterator[str]:
    for name, (least, most) in RANGES.items():
        value = feature.get(name)
        if isinstance(value, int | float) and not least <= value <= most:
            yield f"feature.{name}: allowed: {least:g} to {most:g}; received: {value:g}"


def _shape_mistakes(feature: dict[str, Any], axes: dict[str, int]) -> Iterator[str]:
    """Or every file that somebody brings would be told to be wrong."""
    lengths = _lengths(feature)
    if any(axes.get(axis) != length for axis, length in lengths.items()):
        allowed, received = (" x ".join(f"{axis} {at.get(axis)}" for axis in lengths) for at in (lengths, axes))
        yield f"input.shape: allowed: {allowed}, as feature {feature['name']!r} gives them; received: {received}"


def _lengths(feature: dict[str, Any]) -> dict[str, int | None]:
    """{axis: its length} as far as the settings of a feature tell."""
    match feature:
        case {"size_px": size_px, "color": color}:
            return {"channel": 3 if color == "rgb" else 1, "height": size_px, "width": size_px}
        case {"n_mels": n_mels}:
            return {"time": frames(feature), "mel": n_mels}
        case {"max_windows": windows, "channels": [*channels]}:
            return {"time": windows, "feature": len(BANDS) * len(channels)}
        case {"max_windows": windows}:
            return {"time": windows}
    return {}


def _choice_mistakes(where: str, room: str, choice: dict[str, Any]) -> Iterator[str]:
    name = choice.get("name")
    if not isinstance(name, str) or name not in lookup.names(room):
        yield unknown_name(f"{where}.name", name, lookup.names(room))
        return
    schema = create_model(name, __base__=Section, **options_of(room, name))
    yield from schema_mistakes(schema, {key: value for key, value in choice.items() if key != "name"}, (where,))


def _normaliser_mistakes(info: dict[str, Any]) -> Iterator[str]:
    shape = tuple(info["input"]["shape"])
    for key, values in info["normaliser"].items():
        found = _shape(values)
        if found is None or len(found) != len(shape) or any(a not in (1, b) for a, b in zip(found, shape, strict=True)):
            yield f"normaliser.{key}: allowed: nested lists of numbers that fit {list(shape)}; received: {found}"
        elif key == "sd" and min(_numbers(values)) < 1 / MAX_STANDARDISING:
            yield f"normaliser.sd: allowed: more than 0; received: {min(_numbers(values)):g}"
        elif max(map(abs, _numbers(values))) > MAX_STANDARDISING:
            yield f"normaliser.{key}: allowed: {MAX_STANDARDISING:g} or less; received: more"


def _shape(values: Any) -> tuple[int, ...] | None:
    """Of nested lists of finite numbers, as NumPy has it; None of any other."""
    shape, level = [], [values]
    while len(shape) < MAX_DEPTH and level and all(isinstance(item, list) and item for item in level):
        lengths = {len(item) for item in level}
        shape.append(lengths.pop())
        level = [inner for item in level for inner in item]
        if lengths or len(level) > MAX_ITEMS:
            return None
    fit = all(type(number) in (int, float) and math.isfinite(number) for number in level)
    return tuple(shape) if fit else None


def _numbers(value: Any, depth: int = 0) -> Iterator[float]:
    """All that stand in nested lists."""
    if isinstance(value, list) and depth < MAX_DEPTH:
        for item in value:
            yield from _numbers(item, depth + 1)
    elif isinstance(value, int | float):
        yield value


def _header(weights: bytes, where: str) -> dict[str, tuple[int, ...]]:
    """{name: shape} of safetensors: 8 bytes of length, then JSON, as its documentation has it."""
    allowed = "weights in the safetensors format"
    try:
        (size_bytes,) = struct.unpack_from("<Q", weights)
        fits = size_bytes <= min(len(weights) - 8, MAX_HEADER_BYTES)
        entries = parsed(weights[8 : 8 + size_bytes].decode("utf-8")) if fits else None
        named = {name: entry for name, entry in entries.items() if name != "__metadata__"}
        found = {name: tuple(int(side) for side in entry["shape"]) for name, entry in named.items()}
        kinds = {entry["dtype"] for entry in named.values()}
    except (struct.error, ValueError, OverflowError, TypeError, KeyError, AttributeError, RecursionError):
        refuse("damaged or cut short", where=where, allowed=allowed, received=f"{len(weights)} bytes")
    if not kinds <= set(_KINDS):
        received = sorted(map(str, kinds))
        refuse("weights of a type that is not read", where=where, allowed=", ".join(_KINDS), received=received)
    return found
