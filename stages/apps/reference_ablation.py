"""The record of an ablation: what each part added to the runs of a corpus, from one finished experiment.

The steps are those that `report` wrote into metrics/ablation.json; the rest is told of all runs that they name.
"""

import json
from collections.abc import Iterator
from typing import Any

from stages.apps import pooling
from stages.apps.finished import (
    Experiment,
    baseline_of,
    experiments,
    git,
    load,
    locked,
    parse,
    require_up_to_date,
    resolve,
    show,
)
from stages.apps.provenance import command, data_read, date_of, hardware, require_real
from stages.core.errors import UserError, unknown_name

STEPS = "metrics/ablation.json"
ROUNDING = 1.5e-6  # of a difference of figures that each have six decimals


def record_of_ablation(corpus: str, word: str, note: str) -> dict[str, Any]:
    """What each step added on a real corpus. Raises `UserError` where the steps are not of the runs beside them."""
    known = experiments()
    revision = dict(known).get(word) or resolve(word, known)
    steps = steps_at(corpus, word, revision)
    require_real(STEPS, corpus, any(step["synthetic"] for step in steps))
    named = dict.fromkeys(step[key] for step in steps for key in ("before", "run"))
    group = [load(run, word, revision) for run in named]
    require_reported(steps, group)
    params, baseline = group[0].params, baseline_of(revision)
    return {
        "corpus": corpus,
        "name": steps[0]["name"],
        "data": pooling.merged(data_read(found) for found in group),
        "protocol": pooling.protocol(group),
        "seeds": [params["seed"]],
        "command": command(parse(show(baseline, "params.yaml")), group, "report"),
        "commit": git("rev-parse", baseline),
        "hardware": hardware(params["machine"]),
        "date": date_of(group),
        "note": note,
        "steps": steps,
    }


def steps_at(corpus: str, name: str, revision: str) -> list[dict[str, Any]]:
    """The steps between runs of a corpus at a revision, at least one."""
    try:
        steps = json.loads(show(revision, STEPS))["steps"]
        found = [step for step in steps if step["corpus"] == corpus]
    except (KeyError, TypeError, ValueError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{name}: {STEPS} is not what this version writes ({why})") from None
    if not found:
        held = dict.fromkeys(step["corpus"] for step in steps)
        raise UserError(unknown_name(f"{name}: {STEPS}", corpus, held, "no step between runs of this corpus"))
    return found


def require_reported(steps: list[dict[str, Any]], group: list[Experiment]) -> None:
    """Refuse steps that are older than the params or the runs: `dvc exp run evaluate@<run>` makes no report."""
    name, revision, params = group[0].name, group[0].revision, group[0].params
    try:
        entries = list(locked(show(revision, "dvc.lock"), ("report",)))
    except KeyError:
        raise UserError(f"{name}: no report in dvc.lock; `dvc repro` makes it") from None
    require_up_to_date(name, "the ablation", params, entries)
    metrics = {found.run: found.metrics for found in group}
    for run, figures in (pair for step in steps for pair in told(step)):
        if any(abs(metrics[run][key] - value) > ROUNDING for key, value in figures.items()):
            older = f"the figures of the ablation are older than its metrics/runs/{run}.json"
            raise UserError(f"{name}: {older}; `dvc repro` renews them")


def told(step: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """(run, figures that a step says it has): of the run before none where the two were tested on other samples."""
    yield step["run"], {key: step[key] for key in ("accuracy", "n_test")}
    if step["gain"] is not None:
        yield step["before"], {"accuracy": step["accuracy"] - step["gain"], "n_test": step["n_test"]}
