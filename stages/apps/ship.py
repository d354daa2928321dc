"""The run that ships with the project: `python -m stages.apps.ship --run <run> --record <name>`.

Writes `stages/apps/pretrained/<run>/`: the weights rounded to float16, model.json, and README.md, a card whose figures
are the record's (`metrics/reference/<name>.json`, see `stages.apps.reference`). `predict`, `live` and `web` take it
when no run is named.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors.torch import save

from stages.apps import reference
from stages.apps.export import data_of
from stages.apps.export_table import Judged as Data
from stages.apps.export_table import ask, batch_size, test_batches
from stages.apps.provenance import require_real
from stages.apps.run_files import INFO, PRETRAINED, WEIGHTS, load_run
from stages.core.errors import UserError, exit_with_one_line, refuse
from stages.core.files import read_json, write_json, written_whole
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import ask_once

CARD = "README.md"
TEMPLATE = "model_card.md.j2"
MAX_BYTES = 6_000_000  # of weights: every clone carries them
SAME = 0.0005  # of accuracy: a record tells six digits, of weights that are the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="a run's folder, its packed zip, or its name in data/models")
    parser.add_argument("--record", required=True, metavar="NAME", help="metrics/reference/<NAME>.json, of that run")
    args = parser.parse_args()
    folder = ship(args.run, reference.FOLDER / f"{args.record}.json", PRETRAINED)
    print(f"{folder}: {(folder / WEIGHTS).stat().st_size / 1e6:.2f} MB of weights, and their card")


def ship(run: str, record: Path, into: Path) -> Path:
    """Write the folder of `run` below `into`. Raises `UserError`: another run's figures, drawn data, too large."""
    model, figures = load_run(run), _read(record)
    require_real(model.info["run"], model.info["corpus"], model.info["synthetic"])
    weights = {name: rounded(values) for name, values in model.recogniser.architecture.state_dict().items()}
    content = save(weights)
    if len(content) > MAX_BYTES:
        refuse("too large to ship", where=run, allowed=f"{MAX_BYTES:,} bytes", received=f"{len(content):,} bytes")
    judged = judge(model, weights)
    _require_own(figures, model.info["run"], judged.before, str(record))
    folder = into / model.info["run"]
    _require_alone(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / WEIGHTS) as temporary:
        temporary.write_bytes(content)
    write_json(folder / INFO, model.info)
    (folder / CARD).write_text(card(model.info, figures, record, weights, judged), encoding="utf-8")
    return folder


def rounded(values: torch.Tensor) -> torch.Tensor:
    """Float16 of what is a fraction; the steps that batch normalisation counts stay whole."""
    return values.half().contiguous() if values.is_floating_point() else values.contiguous()


@dataclass(frozen=True)
class Judged:
    """Of the test part: accuracy before and after rounding, how many samples lie, to the byte, in another part too, and
    the accuracy after rounding on all others; by one view of each, as `live` asks, where the run takes several."""

    before: float
    after: float
    twins: int
    without_twins: float
    one_view: float | None


def judge(model: TrainedModel, weights: dict[str, torch.Tensor]) -> Judged:
    """Leaves `model` with the rounded weights, of one view. Raises `UserError` where its data are not here."""
    data = data_of(model)
    if data is None:
        raise UserError(f"{model.info['run']}: allowed: a run whose prepared data are here, to see what rounding costs")
    before = right(model, data)
    model.recogniser.architecture.load_state_dict(weights)
    after = right(model, data)
    with Store(data.dataset) as store:
        test = load_parts(data.split, store.sample_id)["test"]
        alone = ~np.isin(np.array(store.sample_id)[test], sorted(twins(read_json(data.split))))
    once = right(model, data).mean() if ask_once(model.recogniser.architecture) else None
    return Judged(before.mean(), after.mean(), int((~alone).sum()), after[alone].mean(), once)


def right(model: TrainedModel, data: Data) -> np.ndarray:
    """(n of the test part,) whether it is told right."""
    batches = test_batches(data, batch_size(model))
    return np.concatenate([ask(model, packed, length).argmax(1) == label for packed, length, label in batches])


def twins(split: dict[str, Any]) -> set[str]:
    """Samples of the test part that the split's audit found in train or validation, too."""
    test = set(split["parts"]["test"])
    across = [set(ids) for ids in split["audit"]["duplicate_ids"]]
    return {name for ids in across if not ids <= test for name in ids & test}


def card(
    info: dict[str, Any], record: dict[str, Any], path: Path, weights: dict[str, torch.Tensor], judged: Judged
) -> str:
    """Markdown: what the weights are, how good, on what, and what they are not for."""
    right = np.array(record["confusion"])
    answered = np.where(right.sum(0) > 0, right.sum(0), np.nan)  # a class that is never answered has no precision
    shares = right.diagonal() / right.sum(1), right.diagonal() / answered
    classes = list(zip(info["classes"], *shares, right.sum(1), strict=True))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    parameters = sum(values.numel() for values in weights.values() if values.is_floating_point())
    told = {"info": info, "record": record, "record_name": path.stem, "judged": judged, "parameters": parameters}
    return environment.get_template(TEMPLATE).render(**told, classes=classes)


def _read(record: Path) -> dict[str, Any]:
    if not record.is_file():
        names = ", ".join(sorted(path.stem for path in record.parent.glob("*.json"))) or "none yet"
        refuse("no such record", where="--record", allowed=names, received=record.stem)
    figures = read_json(record)
    if "confusion" not in figures:
        refuse("not the record of one run", where="--record", allowed="as `add` writes it", received=record.stem)
    return figures


def _require_alone(folder: Path) -> None:
    """Only one ships: which of two would be served could not be told."""
    others = sorted(path.parent.name for path in folder.parent.glob(f"*/{INFO}") if path.parent != folder)
    if others:
        refuse("another run ships", where=str(folder.parent), allowed="one: remove its folder", received=others)


def _require_own(figures: dict[str, Any], run: str, accuracy: float, where: str) -> None:
    if figures["run"] != run or abs(figures["accuracy"] - accuracy) > SAME:
        received = f"{figures['run']} with accuracy {figures['accuracy']:.4f}"
        refuse("the record of other weights", where=where, allowed=f"{run} with {accuracy:.4f}", received=received)


if __name__ == "__main__":
    exit_with_one_line(main)
