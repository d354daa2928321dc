"""The types of options in `params.yaml`: signatures of readers, features, models, optimisers are written in them.

`core/params` reads those signatures without importing the module (a model imports torch; checking params must not).
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


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

__all__ = [
    "Fraction",
    "Literal",
    "Names",
    "NonNegativeFloat",
    "NonNegativeInt",
    "OddInt",
    "PositiveFloat",
    "PositiveInt",
    "PositiveInts",
    "Pretrained",
    "Probability",
    "UpToHalf",
]
