"""Mistakes in `corpora.<corpus>.synthetic.run`, what takes the place of runs' own settings while a corpus is drawn."""

from collections.abc import Iterator
from typing import Any

from pydantic import create_model

from stages.core import lookup
from stages.core.checks import unknown_name
from stages.core.cross_checks import section
from stages.core.schema import Section
from stages.core.schema_checks import schema_mistakes

ROOMS = {"model": "models", "optimizer": "training.optimizers"}  # where each choice is looked up


def replacement_mistakes(content: dict[str, Any]) -> Iterator[str]:
    """A line for each option that nothing in the room has, and for each value that does not suit a run that has it."""
    for key, corpus in section(content, "corpora").items():
        runs = [run for run in section(content, "runs").values() if run.get("corpus") == key]
        for name, values in section(section(corpus, "synthetic"), "run").items():
            if name in ROOMS:
                choices = [run[name] for run in runs if isinstance(run.get(name), dict)]
                yield from _choice_mistakes(("corpora", key, "synthetic", "run", name), values, choices)


def _choice_mistakes(where: tuple[str, ...], values: dict[str, Any], choices: list[dict[str, Any]]) -> Iterator[str]:
    room = ROOMS[where[-1]]
    for option in values:  # one that only runs of other corpora have does no harm: runs come and go
        if not any(option in lookup.options(room, name) for name in lookup.names(room)):
            owned = sorted({str(option) for choice in choices for option in choice} - {"name"})
            yield unknown_name(".".join((*where, str(option))), option, owned, f"no choice of {where[-1]} has it")
    for choice in choices:
        name = choice.get("name")
        types = lookup.options(room, name) if name in lookup.names(room) else {}
        taken = {option: value for option, value in values.items() if option in choice and option in types}
        schema = create_model("replacement", __base__=Section, **{option: types[option] for option in taken})
        yield from schema_mistakes(schema, taken, where)
