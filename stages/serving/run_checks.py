"""Checks of an untrusted run before its network is built: model.json by schema and sizes, weights by shape."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, create_model
from safetensors import SafetensorError
from safetensors.torch import load
from torch.nn.modules.module import register_module_parameter_registration_hook

from stages.checks.consistency import MAX_VALUES, axis_lengths, feature_mistakes, too_large
from stages.checks.schema import schema_mistakes
from stages.core import calibration, lookup
from stages.core.errors import UserError, duplicate_names, refuse, unknown_name
from stages.core.labels import CLASSES
from stages.datasets import novelty
from stages.params.options import Names, PositiveFloat, PositiveInt, options_of
from stages.params.schema import Choice, Key, Section
from stages.serving import int8_weights
from stages.training import model_folder

MAX_OPTION, MAX_LAYERS = 10_000, 500  # largest number in the model's options; the project's own models stay far below
MAX_STATISTICS = 64  # largest number of statistics in `ood`
MAX_PARAMETERS, MAX_TENSORS = 250_000_000, 5_000
# Of weights; int64 is for the step counters of batch normalisation.
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64)
MAX_ENTRY_BYTES = 400  # largest entry of a tensor in the header
MAX_ABS = 1e15  # largest mean and 1 / sd of the normaliser, so that float32 can hold all quotients
# Of a feature's settings; beyond them its time or its memory would have no bound.
RANGES = {"window_s": (0.05, 600.0), "resample_hz": (1.0, 50_000.0), "duration_s": (0.01, 600.0)}

BoundedText = Annotated[str, Field(max_length=2_000)]  # pictures and terminals show it


class Input(Section):
    shape: Annotated[list[Annotated[PositiveInt, Field(le=MAX_VALUES)]], Field(min_length=1, max_length=4)]
    layout: Names
    scale_factor: float
    add_offset: float
    rate_hz: PositiveFloat | None


class Normaliser(Section):
    mean: list
    sd: list


class Ood(Section):
    method: Literal[novelty.METHOD]
    threshold: PositiveFloat
    mean: Annotated[list[float], Field(max_length=MAX_STATISTICS)]
    precision: Annotated[
        list[Annotated[list[float], Field(max_length=MAX_STATISTICS)]], Field(max_length=MAX_STATISTICS)
    ]


class ModelJson(BaseModel):
    """The keys of model.json that serving reads; it ignores the others, which describe the training."""

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)
    run: Key
    model: Choice
    input: Input
    normaliser: Normaliser
    classes: Annotated[list[Literal[CLASSES]], Field(min_length=2)]
    feature: Choice
    corpus: Key
    inputs: Annotated[dict[BoundedText, BoundedText], Field(max_length=10)] = {}
    name: BoundedText
    synthetic: bool
    protocol: BoundedText
    ood: Ood | None = None  # not in runs of earlier versions, like the next
    temperature: Annotated[float, Field(ge=calibration.RANGE[0], le=calibration.RANGE[1])] = 1.0


def checked_info(content: bytes, where: str) -> dict[str, Any]:
    """Return the content of model.json. Raises `UserError`, a line for each mistake."""
    try:
        info = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({' '.join(str(error).split())[:120]})") from None
    require_valid(info, where)
    return info


def require_valid(info: Any, where: str) -> None:
    """Raise `UserError`, a line for each mistake, unless `info` is valid content of model.json."""
    if not isinstance(info, dict):
        refuse("not a model of this project", where=where, allowed="a mapping", received=info)
    mistakes = list(schema_mistakes(ModelJson, info)) or list(_content_mistakes(info))
    if mistakes:
        raise UserError("\n".join(f"{where}: {mistake}" for mistake in mistakes[:5]))


def checked_weights(content: bytes, info: dict[str, Any], where: str) -> dict[str, torch.Tensor]:
    """Return the tensors in `content`, in safetensors: those of the model that `info` describes, all values finite.

    Raises `UserError` for other weights, and for options that no model can be built with.
    """
    shapes, other = _shapes(info, where), f"not the weights of {info['model']['name']!r} in model.json"
    header_bytes = int.from_bytes(content[:8], "little")
    if MAX_ENTRY_BYTES * (2 * len(shapes) + 1) < header_bytes < len(content):  # millions of entries would take minutes
        refuse(other, where=where, allowed=f"{len(shapes)} tensors", received=f"a header of {header_bytes:,} bytes")
    try:
        weights = int8_weights.unpack(load(content))  # the library checks the header; nothing is unpickled
    except (SafetensorError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{where}: damaged or cut short: not weights in safetensors ({reason})") from None
    given = {name: tuple(values.shape) for name, values in weights.items()}
    wrong = sorted(name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name))
    if wrong:
        allowed, received = (f"{wrong[0]!r} {found.get(wrong[0], 'absent')}" for found in (shapes, given))
        refuse(f"{other}: {len(wrong)} tensors differ", where=where, allowed=allowed, received=received)
    for name, values in weights.items():
        if values.dtype not in DTYPES:
            allowed = ", ".join(map(str, DTYPES))
            refuse(f"unknown type of {name!r}", where=where, allowed=allowed, received=str(values.dtype))
        if not values.float().isfinite().all():  # one NaN would make every probability NaN
            refuse(f"{name!r} is not finite", where=where, allowed="finite float32 weights", received="NaN or infinity")
    return weights


def _shapes(info: dict[str, Any], where: str) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of the weights of the model that `info` describes, built without memory for them."""
    n_tensors = n_parameters = 0

    def count(_: Any, __: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal n_tensors, n_parameters
        n_tensors, n_parameters = n_tensors + 1, n_parameters + (parameter.numel() if parameter is not None else 0)
        if n_tensors > MAX_TENSORS or n_parameters > MAX_PARAMETERS:  # thousands of layers would take minutes
            raise RuntimeError(f"too large a model; allowed: {MAX_PARAMETERS:,} parameters in {MAX_TENSORS:,} tensors")

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            state = model_folder.build(info).architecture.state_dict()
    except (ArithmeticError, RuntimeError, TypeError, IndexError, AssertionError) as error:
        received = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        refuse("its model cannot be built", where=where, allowed="options that fit each other", received=received)
    finally:
        hook.remove()
    return {name: tuple(values.shape) for name, values in state.items()}


def _content_mistakes(info: dict[str, Any]) -> Iterator[str]:
    """Yield mistakes of an `info` that fits the schema."""
    shape, layout = info["input"]["shape"], info["input"]["layout"]
    axes = dict(zip(layout, shape, strict=False))
    wrong = list(_choice_mistakes("feature", "features", info["feature"], MAX_VALUES))
    wrong = wrong or list(feature_mistakes("feature", info["feature"]))
    yield from wrong
    yield from _choice_mistakes("model", "models", info["model"], MAX_OPTION)
    if not len(axes) == len(shape) == len(layout):
        yield f"input.layout: allowed: a name for each of {len(shape)} axes"
    yield from too_large("input.shape", axes)
    known = {} if wrong else axis_lengths("", info)
    lengths = {axis: length for axis, (_, length) in known.items() if axis in axes}
    if any(axes[axis] != length for axis, length in lengths.items()):
        allowed, received = (" x ".join(f"{axis} {at[axis]}" for axis in lengths) for at in (lengths, axes))
        yield f"input.shape: allowed: {allowed}, the shape of feature {info['feature']['name']!r}; received: {received}"
    if (ood := info.get("ood")) and len(axes) == len(shape) == len(layout):
        count = novelty.n_statistics(shape, layout)
        if {len(ood["mean"]), len(ood["precision"]), *map(len, ood["precision"])} != {count}:
            yield f"ood: allowed: {count} statistics of {' x '.join(layout)}; received: another number"
    yield from duplicate_names("classes", info["classes"], "class")
    yield from _normaliser_mistakes("normaliser.mean", info["normaliser"]["mean"], shape, -MAX_ABS)
    yield from _normaliser_mistakes("normaliser.sd", info["normaliser"]["sd"], shape, 1 / MAX_ABS)


def _choice_mistakes(where: str, room: str, choice: dict[str, Any], limit: int) -> Iterator[str]:
    name = choice.get("name")
    if not isinstance(name, str) or name not in lookup.names(room):
        yield unknown_name(f"{where}.name", name, lookup.names(room))
        return
    options = {key: value for key, value in choice.items() if key != "name"}
    yield from schema_mistakes(create_model(name, __base__=Section, **options_of(room, name)), options, (where,))
    for key, value in options.items():
        highest = min(limit, MAX_LAYERS) if key.endswith("layers") else limit
        low, high = RANGES.get(key, (-highest, highest))
        values = value if isinstance(value, list) else [value]
        if any(isinstance(number, int | float) and not low <= number <= high for number in values):
            yield f"{where}.{key}: allowed: {low:,} to {high:,}; received: less or more"


def _normaliser_mistakes(where: str, values: list, shape: list[int], lowest: float) -> Iterator[str]:
    try:
        array = np.asarray(values) + 0.0  # raises an error for text, and for integers beyond float64
        np.broadcast_to(array, shape)
    except (ValueError, TypeError, OverflowError):
        yield f"{where}: allowed: nested lists of numbers that broadcast to {shape}; received: something else"
        return
    if not lowest <= array.min() <= array.max() <= MAX_ABS:  # also false for NaN
        yield f"{where}: allowed: {lowest:g} to {MAX_ABS:g}; received: {array.min():g} to {array.max():g}"
