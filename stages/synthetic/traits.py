"""Random traits of a synthetic person: fields of a dataclass that are annotated with a range."""

from typing import get_type_hints

import numpy as np


def sample_traits(person: type, rng: np.random.Generator) -> dict[str, float]:
    """Return {name: value}, uniform in the range, for the fields `Annotated[type, low, high]` of `person`."""
    hints = get_type_hints(person, include_extras=True)
    ranges = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: float(rng.uniform(*limits)) for name, limits in ranges.items() if limits}
