"""The record of an ablation: what each part added to the runs of a corpus, from one completed experiment.

The steps are those that `report` wrote to metrics/ablation.json; data, protocol and date are those of their runs.
"""

import json
from collections.abc import Iterator
from typing import Any

from stages.core.errors import UserError, unknown_name
from stages.experiments import completed_experiments as completed
from stages.experiments import pooling
from stages.experiments.completed_experiments import Experiment, show
from stages.experiments.provenance import command, data_read, origin, require_real
from stages.params.load import parse

STEPS = "metrics/ablation.json"
ROUNDING = 1.5e-6  # largest rounding error: the difference of two figures with six decimals


def record_of_ablation(corpus: str, word: str, note: str) -> dict[str, Any]:
    """Return the record of the steps. Raises `UserError` for a synthetic corpus and for outdated steps."""
    revision = completed.resolve(word)
    steps = steps_at(corpus, word, revision)
    require_real(STEPS, corpus, any(step["synthetic"] for step in steps))
    runs = dict.fromkeys(step[key] for step in steps for key in ("before", "run"))
    group = [completed.load(run, word, revision) for run in runs]
    require_reported(steps, group)
    baseline = completed.baseline_of(revision)
    return {
        "corpus": corpus,
        "name": steps[0]["name"],
        "data": pooling.merged(data_read(one) for one in group),
        "protocol": pooling.protocol(group),
        "seeds": [group[0].seed],
        **origin(command(parse(show(baseline, "params.yaml")), group, "report"), baseline, group[0].params, revision),
        "note": note,
        "steps": steps,
    }


def steps_at(corpus: str, name: str, revision: str) -> list[dict[str, Any]]:
    """Return the steps between runs of a corpus at a revision, at least one."""
    with completed.readable(f"{name}: {STEPS} is"):
        steps = json.loads(show(revision, STEPS))["steps"]
        found = [step for step in steps if step["corpus"] == corpus]
    if not found:
        corpora = dict.fromkeys(step["corpus"] for step in steps)
        raise UserError(unknown_name(f"{name}: {STEPS}", corpus, corpora, "no step between runs of this corpus"))
    return found


def require_reported(steps: list[dict[str, Any]], group: list[Experiment]) -> None:
    """Raise `UserError` for steps older than params or runs: `dvc exp run evaluate@<run>` does not renew the report."""
    name, revision, params = group[0].name, group[0].revision, group[0].params
    try:
        entries = list(completed.locked(show(revision, "dvc.lock"), ("report",)))
    except KeyError:
        raise UserError(f"{name}: no report in dvc.lock; `dvc repro` makes it") from None
    completed.require_up_to_date(name, "the ablation", params, entries)
    metrics = {one.run: one.metrics for one in group}
    for run, figures in (pair for step in steps for pair in reported_figures(step)):
        if any(abs(metrics[run][key] - value) > ROUNDING for key, value in figures.items()):
            older = f"the figures of the ablation are older than its metrics/runs/{run}.json"
            raise UserError(f"{name}: {older}; `dvc repro` renews them")


def reported_figures(step: dict[str, Any]) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield (run, figures) of a step; of the run before it only where both were tested on the same samples."""
    yield step["run"], {key: step[key] for key in ("accuracy", "n_test")}
    if step["gain"] is not None:
        yield step["before"], {"accuracy": step["accuracy"] - step["gain"], "n_test": step["n_test"]}
