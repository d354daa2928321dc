"""Types for the options in `params.yaml`, used in the signatures of readers, features, models and optimisers.

The signatures are read without importing their modules: a model imports torch, checking params must not.
"""

import ast
from pathlib import Path
from typing import Annotated, Any, Literal  # noqa: F401 (signatures use Literal)

from pydantic import AfterValidator, Field

from stages.core import lookup


def _require_odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("an odd number")
    return value


def _require_weights(value: str) -> str:
    if value not in ("imagenet", "none") and not Path(value).suffix:
        raise ValueError("'imagenet', 'none' or the path of a state dict, such as resnet18.pth")
    return value


PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
UpToHalf = Annotated[float, Field(ge=0, le=0.5)]
Probability = Annotated[float, Field(ge=0, le=1)]
OddInt = Annotated[PositiveInt, AfterValidator(_require_odd)]
Pretrained = Annotated[str, AfterValidator(_require_weights)]
PositiveInts = Annotated[list[PositiveInt], Field(min_length=1)]
Speeds = Annotated[list[Annotated[float, Field(ge=0.5, le=2)]], Field(min_length=1, max_length=9)]
Names = Annotated[list[str], Field(min_length=1)]


def options_of(room: str, name: str) -> dict[str, tuple[Any, Any]]:
    """Return {option: (type, default or ...)} of a choice, in the form that `pydantic.create_model` takes."""
    module, entry = (room, name) if room in lookup.FUNCTIONS else (f"{room}.{name}", lookup.ENTRY[room])
    arguments, options = lookup.functions(module)[entry].args, {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        # The source is this project's own, never the user's; the names are those of this module.
        kind = eval(ast.unparse(argument.annotation), globals().copy())
        options[argument.arg] = kind, ... if default is None else ast.literal_eval(default)
    return options
