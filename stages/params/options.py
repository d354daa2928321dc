"""The types of options in `params.yaml`: signatures of readers, features, models, optimisers are written in them.

Those signatures are read without importing the module: a model imports torch, checking params must not.
"""

import ast
from pathlib import Path
from typing import Annotated, Any, Literal  # noqa: F401 (signatures name Literal)

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from stages.core import lookup


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "an odd number")
    return value


def _weights(value: str) -> str:
    if value not in ("imagenet", "none") and not Path(value).suffix:
        raise PydanticCustomError("weights", "'imagenet', 'none' or the path of a state dict, such as resnet18.pth")
    return value


PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
UpToHalf = Annotated[float, Field(ge=0, le=0.5)]
Probability = Annotated[float, Field(ge=0, le=1)]
OddInt = Annotated[PositiveInt, AfterValidator(_odd)]
Pretrained = Annotated[str, AfterValidator(_weights)]
PositiveInts = Annotated[list[PositiveInt], Field(min_length=1)]
Names = Annotated[list[str], Field(min_length=1)]


def options_of(room: str, name: str) -> dict[str, tuple[Any, Any]]:
    """{option: (type, default or ...)} of a choice, in the form `pydantic.create_model` takes."""
    module, entry = (room, name) if room in lookup.FUNCTIONS else (f"{room}.{name}", lookup.ENTRY[room])
    arguments = lookup.functions(module)[entry].args
    return {
        argument.arg: (_evaluate(argument.annotation), ... if default is None else ast.literal_eval(default))
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }


def _evaluate(annotation: ast.expr | None) -> Any:
    # Our own source, never the user's: the names are those of this module.
    return eval(compile(ast.Expression(annotation), "annotation", "eval"), globals().copy())  # type: ignore[arg-type]
