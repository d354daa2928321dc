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
    """A line for each option that no run of the corpus has, and for each value that does not suit one that has it."""
    for key, corpus in section(content, "corpora").items():
        runs = [run for run in section(content, "runs").values() if run.get("corpus") == key]
        for name, values in section(section(corpus, "synthetic"), "run").items():
            if name in ROOMS:
                choices = [run[name] for run in runs if isinstance(run.get(name), dict)]
                yield from _choice_mistakes(("corpora", key, "synthetic", "run", name), values, choices)


def _choice_mistakes(where: tuple[str, ...], values: dict[str, Any], choices: list[dict[str, Any]]) -> Iterator[str]:
    owned = sorted({str(option) for choice in choices for option in choice} - {"name"})
    for option in values:
        if option not in owned:
            yield unknown_name(".".join((*where, str(option))), option, owned, "no run of this corpus has it")
    for choice in choices:
        name, room = choice.get("name"), ROOMS[where[-1]]
        types = lookup.options(room, name) if name in lookup.names(room) else {}
        taken = {option: value for option, value in values.items() if option in choice and option in types}
        schema = create_model("replacement", __base__=Section, **{option: types[option] for option in taken})
        yield from schema_mistakes(schema, taken, where)
