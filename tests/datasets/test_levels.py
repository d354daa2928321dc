"""Groups in other units are found by their level; ordinary differences between people are not."""

import math

import numpy as np
import pytest

from stages.core.errors import UserError
from stages.core.records import Record
from stages.datasets.decoding import Chunk
from stages.datasets.levels import Levels


def levels_of(factors: dict, sessions: int = 1, kind: str = "refuse") -> Levels:
    """Return the levels of subjects whose amplitudes are `factors` times the same noise."""
    rng, levels, trials = np.random.default_rng(0), Levels(kind), 3
    for name, factor in factors.items():
        for session in range(sessions):
            own = factor[session] if isinstance(factor, list) else factor
            x = rng.normal(3 + math.log(own), 0.7, (trials, 6, 20))
            x[:, 4:] = 0  # padding
            extra = {"session": str(session + 1)}
            records = [Record(f"{name}{t}", "sad", bytes, bytes, group=name, extra=extra) for t in range(trials)]
            (chunk,) = levels.watch([Chunk(x, [4] * trials, records, [])])
            assert chunk.x is x
    return levels


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (
            {"a": 1, "b": 1e-6, "c": 2, "d": 1e-6},
            ["low amplitudes of 2 (b session 1, d session 1)", "high ones of 2 (a"],
        ),
        ({"a": 1, "b": 1e-3, "c": 1.5}, ["factor of 1,", "low amplitudes of 1 (b session 1)"]),
        ({"a": 1, "b": 1000, "c": 2, "d": 0.5}, ["high ones of 1 (b session 1)"]),
        ({"a": 1, "b": [1, 1e3]}, ["low amplitudes of 3", "high ones of 1 (b session 2)"]),
        ({f"{n:02d}": 1 + 1e5 * (n % 2) for n in range(20)}, ["10 (00 session 1, 02 session 1", "and 4 more)"]),
    ],
)
def test_refuses_mixed_units(factors: dict, words: list[str], capsys: pytest.CaptureFixture):
    sessions = 2 if any(isinstance(factor, list) for factor in factors.values()) else 1
    with pytest.raises(UserError) as error:
        levels_of(factors, sessions).require_one_unit("x.zip")
    assert str(error.value).startswith("x.zip: amplitudes of subjects differ by a factor of ")
    assert all(word in str(error.value) for word in [*words, "allowed: one unit", "received: "])
    levels_of(factors, sessions, "warn").require_one_unit("x.zip")
    assert str(error.value) in capsys.readouterr().err


@pytest.mark.parametrize("factors", [{"a": 1}, {}, {"a": 1, "b": 3, "c": 0.4}, {str(n): 1.5**n for n in range(16)}])
def test_people_differ(factors: dict, capsys: pytest.CaptureFixture):
    levels_of(factors).require_one_unit("x.zip")
    assert capsys.readouterr().err == ""


def test_warns_of_a_factor_of_ten(capsys: pytest.CaptureFixture):
    levels_of({"a": 1, "b": 1.2, "c": 30}).require_one_unit("x.zip")
    assert "high ones of 1 (c session 1)" in capsys.readouterr().err
