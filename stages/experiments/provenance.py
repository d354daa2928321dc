"""The origin of recorded figures: data, the command that repeats them, date, hardware."""

import datetime
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from stages.core.errors import UserError
from stages.experiments import ingredients
from stages.experiments.completed_experiments import Experiment, as_setting, finished_s, git, leaves, source_name


def require_real(what: str, corpus: str, synthetic: bool) -> None:
    """Raise `UserError` for a synthetic corpus: reference records hold real results only."""
    if synthetic:
        raise UserError(f"{what}: a synthetic corpus gives no reference; set corpora.{corpus}.source to a real one")


def data_read(experiment: Experiment) -> str:
    """Return the name of the source, the md5 of the packed corpus, and the number of samples of each part."""
    corpus, metrics = experiment.corpus, experiment.metrics
    source = source_name(experiment.params["corpora"][corpus]["source"])
    sizes = ", ".join(f"{metrics[f'n_{part}']:,} {part}" for part in ("train", "validation", "test"))
    return f"{source}, packed md5 {experiment.settings[f'data/raw/{corpus}.zip']} ({sizes})"


def command(before: dict, group: list[Experiment], *stages: str) -> str:
    """Return the `dvc exp run` line that changes the params `before` to those of the group, which is of one corpus.

    Several seeds and folds become lists in a queue. Other runs, corpora and datasets, on which no figure of the group
    depends, are left out.
    """
    first = group[0]
    own = ingredients.keys(pair for one in group for pair in ingredients.of_runs(one.params, one.members))
    own |= {"ensembles": {one.run for one in group}, "studies": set()}
    own |= {"corpora": {first.corpus}, "splits": {first.corpus}}
    seeds_and_folds = {"seed": [one.seed for one in group], f"splits.{first.corpus}.fold": [one.fold for one in group]}
    several = {key: sorted(set(values)) for key, values in seeds_and_folds.items() if len(set(values)) > 1}
    lists = {key: ",".join(map(str, values)) for key, values in several.items()}
    settings = changes(restricted_to(own, before), restricted_to(own, first.params), lists)
    return " ".join(["dvc exp run --queue" if several else "dvc exp run", *settings, *stages])


def changes(before: dict, after: dict, several: dict[str, str]) -> list[str]:
    """Return the `-S` settings from the params `before` to `after`; `several` replaces the values of some keys."""
    old, new = dict(leaves(before)), dict(leaves(after))
    values = {key: as_setting(value) for key, value in new.items()} | several
    blocks = {block: value for block, value in second_level(after) if block not in dict(second_level(before))}
    inside = tuple(f"{block}." for block in blocks)
    changed = [f"-S {key}={values[key]}" for key in new if key in old and (key in several or new[key] != old[key])]
    added = [f"-S '+{block}={as_setting(value)}'" for block, value in blocks.items()]
    added += [f"-S {key}={values[key]}" for key in several if key.startswith(inside)]
    added += [f"-S '+{key}={values[key]}'" for key in new if key not in old and not key.startswith(inside)]
    return [*changed, *added, *(f"-S '~{key}'" for key in old if key not in new)]


def restricted_to(own: dict[str, set[str]], params: dict) -> dict:
    """Return the params with only the items {section: keys} of `own` in its sections; other sections stay whole."""
    kept = {
        section: {key: block for key, block in value.items() if key in own[section]} if section in own else value
        for section, value in params.items()
    }
    return {section: value for section, value in kept.items() if value != {}}


def second_level(params: dict) -> Iterator[tuple[str, dict]]:
    """Yield ('runs.faces_keras_cnn', its block) and so on."""
    for section, value in params.items():
        for key, block in value.items() if isinstance(value, dict) else ():
            if isinstance(block, dict):
                yield f"{section}.{key}", block


def origin(command: str, baseline: str, params: dict, *revisions: str) -> dict[str, str]:
    """Return command, commit, hardware, and the UTC date on which the last of the revisions was completed."""
    finished = datetime.datetime.fromtimestamp(max(map(finished_s, revisions)), datetime.UTC)
    date, commit = finished.date().isoformat(), git("rev-parse", baseline)
    return {"command": command, "commit": commit, "hardware": hardware(params["machine"]), "date": date}


def hardware(machine: dict[str, Any]) -> str:
    """Return the processor, the number of threads, and the GPU where the experiment could use one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    has_gpu = machine["accelerator"] != "cpu" and torch.cuda.is_available()
    return f"{name}, {machine['threads']} threads{f', {torch.cuda.get_device_name()}' if has_gpu else ''}"
