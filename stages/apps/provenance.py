"""Where a record's figures came from: the data, the line that makes them again, the day and the machine."""

import datetime
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from stages.apps.finished import Experiment, finished_s, leaves, shown, source_name
from stages.core.errors import UserError


def require_real(what: str, corpus: str, synthetic: bool) -> None:
    """Refuse to keep what is not real."""
    if synthetic:
        raise UserError(f"{what}: a synthetic corpus gives no reference; set corpora.{corpus}.source to a real one")


def data_read(experiment: Experiment) -> str:
    """The file the user named, its packed form's md5, and how many samples each part holds."""
    corpus, metrics = experiment.corpus, experiment.metrics
    source = source_name(experiment.params["corpora"][corpus]["source"])
    sizes = ", ".join(f"{metrics[f'n_{part}']:,} {part}" for part in ("train", "validation", "test"))
    return f"{source}, packed md5 {experiment.made_of[f'data/raw/{corpus}.zip']} ({sizes})"


def command(before: dict, group: list[Experiment], *stages: str) -> str:
    """The `dvc exp run` line that turns `before` into the params of each: seeds and folds as lists, in a queue.

    The group is of one corpus. Of other runs, corpora and datasets nothing is told: no figure of the group depends on
    them.
    """
    first = group[0]
    own = {"runs": {found.run for found in group}, "corpora": {first.corpus}, "splits": {first.corpus}}
    own |= {"datasets": {found.params["runs"][found.run]["dataset"] for found in group}, "studies": set()}
    seeds_and_folds = {"seed": [found.seed for found in group], f"splits.{first.corpus}.fold": [f.fold for f in group]}
    several = {key: sorted(set(values)) for key, values in seeds_and_folds.items() if len(set(values)) > 1}
    listed = {key: ",".join(map(str, found)) for key, found in several.items()}
    settings = changes(concerning(before, own), concerning(first.params, own), listed)
    return " ".join(["dvc exp run --queue" if several else "dvc exp run", *settings, *stages])


def changes(before: dict, after: dict, several: dict[str, str]) -> list[str]:
    """The `-S` settings that turn the params `before` into those `after`, or into `several` values of some keys."""
    old, new = dict(leaves(before)), dict(leaves(after))
    values = {key: shown(value) for key, value in new.items()} | several
    blocks = {block: value for block, value in second_level(after) if block not in dict(second_level(before))}
    inside = tuple(f"{block}." for block in blocks)
    changed = [f"-S {key}={values[key]}" for key in new if key in old and (key in several or new[key] != old[key])]
    added = [f"-S '+{block}={shown(value)}'" for block, value in blocks.items()]
    added += [f"-S {key}={values[key]}" for key in several if key.startswith(inside)]
    added += [f"-S '+{key}={values[key]}'" for key in new if key not in old and not key.startswith(inside)]
    return [*changed, *added, *(f"-S '~{key}'" for key in old if key not in new)]


def concerning(params: dict, own: dict[str, set[str]]) -> dict:
    """`params` without the items that no figure depends on: of a section in `own` its keys there alone are kept."""
    kept = {
        section: {key: block for key, block in value.items() if key in own[section]} if section in own else value
        for section, value in params.items()
    }
    return {section: value for section, value in kept.items() if value != {}}


def second_level(params: dict) -> Iterator[tuple[str, dict]]:
    """('runs.faces_keras_cnn', its block) and so on."""
    for section, value in params.items():
        for key, block in value.items() if isinstance(value, dict) else ():
            if isinstance(block, dict):
                yield f"{section}.{key}", block


def date_of(group: list[Experiment]) -> str:
    """The day the last of the experiments was finished."""
    return day(max(finished_s(found.revision) for found in group))


def day(time_s: int) -> str:
    """Of seconds since 1970, in UTC."""
    return datetime.datetime.fromtimestamp(time_s, datetime.UTC).date().isoformat()


def hardware(machine: dict[str, Any]) -> str:
    """Processor, the threads the experiment had, and the GPU where it could take one."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    has_gpu = machine["accelerator"] != "cpu" and torch.cuda.is_available()
    return f"{name}, {machine['threads']} threads{f', {torch.cuda.get_device_name()}' if has_gpu else ''}"
