"""The run that ships with the project: `python -m stages.apps.ship --run <run> --record <name>`.

Writes `stages/apps/pretrained/<run>/`: the weights rounded to float16, model.json, and README.md, a card whose figures
are the record's (`metrics/reference/<name>.json`, see `stages.apps.reference`). `predict`, `live` and `web` take it
when no run is named.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors.torch import save

from stages.apps import reference
from stages.apps.export import data_of
from stages.apps.export_table import ask, batch_size, judge
from stages.apps.provenance import require_real
from stages.apps.run_files import INFO, PRETRAINED, WEIGHTS, load_run
from stages.core.checks import UserError, exit_with_one_line, refuse
from stages.core.files import read_json, write_json, written_whole
from stages.training.model_folder import TrainedModel

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
    before, after = accuracies(model, weights)
    _require_own(figures, model.info["run"], before, str(record))
    folder = into / model.info["run"]
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / WEIGHTS) as temporary:
        temporary.write_bytes(content)
    write_json(folder / INFO, model.info)
    (folder / CARD).write_text(card(model.info, figures, record, weights, after), encoding="utf-8")
    return folder


def rounded(values: torch.Tensor) -> torch.Tensor:
    """Float16 of what is a fraction; the steps that batch normalisation counts stay whole."""
    return values.half().contiguous() if values.is_floating_point() else values.contiguous()


def accuracies(model: TrainedModel, weights: dict[str, torch.Tensor]) -> tuple[float, float]:
    """On the test part, before and after rounding; leaves `model` with the rounded weights."""
    data, count = data_of(model), batch_size(model)
    if data is None:
        raise UserError(f"{model.info['run']}: allowed: a run whose prepared data are here, to see what rounding costs")

    def answer(packed: np.ndarray, length: np.ndarray) -> np.ndarray:
        return ask(model, packed, length)

    before = judge({"before": answer}, data, count)["before"][0]
    model.recogniser.architecture.load_state_dict(weights)
    return before, judge({"after": answer}, data, count)["after"][0]


def card(
    info: dict[str, Any], record: dict[str, Any], path: Path, weights: dict[str, torch.Tensor], after: float
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
    told = {"info": info, "record": record, "record_name": path.stem, "after": after, "parameters": parameters}
    return environment.get_template(TEMPLATE).render(**told, classes=classes)


def _read(record: Path) -> dict[str, Any]:
    if not record.is_file():
        names = ", ".join(sorted(path.stem for path in record.parent.glob("*.json"))) or "none yet"
        refuse("no such record", where="--record", allowed=names, received=record.stem)
    figures = read_json(record)
    if "confusion" not in figures:
        refuse("not the record of one run", where="--record", allowed="as `add` writes it", received=record.stem)
    return figures


def _require_own(figures: dict[str, Any], run: str, accuracy: float, where: str) -> None:
    if figures["run"] != run or abs(figures["accuracy"] - accuracy) > SAME:
        received = f"{figures['run']} with accuracy {figures['accuracy']:.4f}"
        refuse("the record of other weights", where=where, allowed=f"{run} with {accuracy:.4f}", received=received)


if __name__ == "__main__":
    exit_with_one_line(main)
