"""What the figures of a run rest on in params.yaml: its dataset, the runs that taught it, and their datasets."""

from collections.abc import Iterable, Iterator
from typing import Any

STAGES = {"runs": "train", "datasets": "prepare", "distillations": "distil"}  # that make an item of a section


def of_runs(params: dict[str, Any], runs: Iterable[str]) -> list[tuple[str, str]]:
    """Return (section, key) of the runs and of everything behind them, each once."""
    return list(dict.fromkeys(pair for run in runs for pair in _of_run(params, run)))


def of_dataset(params: dict[str, Any], dataset: str) -> Iterator[tuple[str, str]]:
    """Yield (section, key) of a dataset; of a distillation also of its dataset and of its teacher."""
    distillation = params.get("distillations", {}).get(dataset)
    if distillation is None:
        yield "datasets", dataset
    else:
        yield "distillations", dataset
        yield from of_dataset(params, distillation["dataset"])
        yield from _of_run(params, distillation["teacher"])


def keys(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return {section: keys} for each section in `STAGES`, empty where it has none."""
    pairs = list(pairs)
    return {section: {key for name, key in pairs if name == section} for section in STAGES}


def _of_run(params: dict[str, Any], run: str) -> Iterator[tuple[str, str]]:
    yield "runs", run
    yield from of_dataset(params, params["runs"][run]["dataset"])
