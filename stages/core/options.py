"""The types of options in `params.yaml`: signatures of readers, features, models, optimisers are written in them.

`core/params` reads those signatures without importing the module (a model imports torch; checking params must not).
"""

from typing import Annotated, Literal

from pydantic import Field

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
UpToHalf = Annotated[float, Field(ge=0, le=0.5)]
Probability = Annotated[float, Field(ge=0, le=1)]
PositiveInts = Annotated[list[PositiveInt], Field(min_length=1)]
Names = Annotated[list[str], Field(min_length=1)]

__all__ = [
    "Fraction",
    "Literal",
    "Names",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "PositiveInts",
    "Probability",
    "UpToHalf",
]
