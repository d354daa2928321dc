"""The folder of the run that ships with the project: weights in float16 or int8, model.json, and a model card.

The figures of the card are those of a reference record, checked against the weights before they are rounded.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from safetensors.torch import load, save

from stages.core.errors import UserError, refuse
from stages.core.files import read_json, write_json, written_whole
from stages.core.weights import WEIGHTS as PUBLISHED
from stages.core.weights import Weights
from stages.datasets import novelty
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.export.table import EvaluationData, batch_size, evaluation_data, predict, test_batches
from stages.serving import int8_weights
from stages.serving.run_files import INFO, KINDS, WEIGHTS, kind_of
from stages.serving.served_run import ServedRun
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import disable_tta

CARD, TEMPLATE = "README.md", "model_card.md.j2"
MAX_BYTES = 6_000_000  # largest file of weights, which every clone of the project contains
MAX_DIFFERENCE = 0.0005  # largest difference of the accuracies of record and weights
MAX_SDS = 3  # the same for one fold of a record of several folds, in standard deviations over the folds
NOUNS = {"image": "faces", "audio": "clips", "windows": "trials", "recording": "recordings"}


def ship(model: TrainedModel, record: Path, into: Path, licence: str) -> Path:
    """Write the folder of a run below `into`, and return it. `licence`: of the weights, shown with each prediction.

    Raises `UserError` for a record of another run or of other weights, and for weights that are too large.
    """
    figures, run = read_record(record), model.info["run"]
    content, rounding = rounded(model.recogniser.architecture.state_dict(), run)
    evaluation = evaluate(model, int8_weights.unpack(load(content)))
    one_fold = len(figures["folds"]) == 1
    tolerance = MAX_DIFFERENCE if one_fold else MAX_SDS * figures["accuracy_sd"]
    if figures["run"] != run or abs(figures["accuracy"] - evaluation.before) > tolerance:
        allowed = f"{run} with {evaluation.before:.4f}"
        received = f"{figures['run']} with accuracy {figures['accuracy']:.4f}"
        refuse("the record of other weights", where=str(record), allowed=allowed, received=received)
    folder = into / run
    kind = KINDS[model.info["feature"]["name"]]
    folders = (path.parent for path in into.glob(f"*/{INFO}"))
    others = sorted(other.name for other in folders if other != folder and kind_of(other) == kind)
    if others:
        refuse("another run ships", where=str(into), allowed=f"one of kind {kind}: remove its folder", received=others)
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(folder / WEIGHTS) as temporary:
        temporary.write_bytes(content)
    info = model.info | {"licence": licence} | ({"ood": calibrated(model)} if model.info.get("ood") else {})
    write_json(folder / INFO, info)
    (folder / CARD).write_text(card(info, figures, record.stem, model, evaluation, rounding), encoding="utf-8")
    return folder


def rounded(weights: dict[str, torch.Tensor], run: str) -> tuple[bytes, str]:
    """Return the weights in the first format in which they are small enough, and its name. Raises `UserError`."""
    # The step counters of batch normalisation are whole numbers and stay.
    half = {name: values.half() if values.is_floating_point() else values for name, values in weights.items()}
    for name, stored in (("float16", half), ("int8", int8_weights.pack(weights))):
        content = save({key: values.contiguous() for key, values in stored.items()})
        if len(content) <= MAX_BYTES:
            return content, name
    allowed, received = f"{MAX_BYTES:,} bytes", f"{len(content):,} bytes in int8"
    return refuse("too large to ship", where=run, allowed=allowed, received=received)


@dataclass(frozen=True)
class Evaluation:
    """Accuracies on the test part: before and after rounding; after rounding without exact duplicates, of which there
    are `n_duplicates` in train or validation; and without test-time augmentation (None where the run has none)."""

    before: float
    after: float
    n_duplicates: int
    without_duplicates: float
    without_tta: float | None


def evaluate(model: TrainedModel, weights: dict[str, torch.Tensor]) -> Evaluation:
    """Evaluate the run before and after `weights`, its rounded ones, replace its own.

    `model` is left with the rounded weights and without test-time augmentation. Raises `UserError` without its data.
    """
    data = evaluation_data(model)
    if data is None:
        raise UserError(f"{model.info['run']}: allowed: a run whose prepared data are here, to measure the rounding")
    before = correct(model, data)
    model.recogniser.architecture.load_state_dict(weights)
    after = correct(model, data)
    with Store(data.dataset) as store:
        test = load_parts(data.split, store.sample_id)["test"]
        duplicated = np.isin(np.array(store.sample_id)[test], sorted(exact_duplicates(read_json(data.split))))
    without_tta = correct(model, data).mean() if disable_tta(model.recogniser.architecture) else None
    return Evaluation(before.mean(), after.mean(), int(duplicated.sum()), after[~duplicated].mean(), without_tta)


def calibrated(model: TrainedModel) -> dict[str, Any]:
    """Return the run's measure of novelty with a threshold that the test part reaches, too.

    The validation part alone may be too few speakers, so that every other speaker would be unlike the training data.
    """
    ood, data, served = model.info["ood"], evaluation_data(model), ServedRun(model)
    with Store(data.dataset) as store:
        test = load_parts(data.split, store.sample_id)["test"]
        samples, lengths = store.read_packed(test), store.length[test]
    layout = model.info["input"]["layout"]
    rows = [novelty.statistics(served.standardised((x, 0)), n, layout) for x, n in zip(samples, lengths, strict=True)]
    farthest = float(np.quantile([novelty.distance(row, ood) for row in rows], novelty.QUANTILE))
    return ood | {"threshold": max(ood["threshold"], novelty.MARGIN * farthest)}


def correct(model: TrainedModel, data: EvaluationData) -> np.ndarray:
    """Return for each test sample whether its prediction is correct."""
    batches = test_batches(data, batch_size(model))
    return np.concatenate([predict(model, packed, length).argmax(1) == label for packed, length, label in batches])


def exact_duplicates(split: dict[str, Any]) -> set[str]:
    """Return the test samples that the audit of the split also found in train or validation."""
    test = set(split["parts"]["test"])
    across = [set(ids) for ids in split["audit"]["duplicate_ids"]]
    return {name for ids in across if not ids <= test for name in ids & test}


def card(
    info: dict[str, Any], record: dict[str, Any], name: str, model: TrainedModel, evaluation: Evaluation, rounding: str
) -> str:
    """Return the model card in Markdown: what the weights are, their accuracy, the data, and what they are not for."""
    confusion = np.array(record["confusion"])
    predicted = np.where(confusion.sum(0) > 0, confusion.sum(0), np.nan)  # without predictions there is no precision
    recall, precision = confusion.diagonal() / confusion.sum(1), confusion.diagonal() / predicted
    classes = list(zip(info["classes"], recall, precision, confusion.sum(1), strict=True))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    state = model.recogniser.architecture.state_dict().values()
    parameters = sum(values.numel() for values in state if values.is_floating_point())
    kind = KINDS[info["feature"]["name"]]
    content = {"info": info, "record": record, "record_name": name, "evaluation": evaluation, "classes": classes}
    content |= {"kind": kind, "noun": NOUNS[kind], "pretrained": pretrained_parts(info), "rounding": rounding}
    return environment.get_template(TEMPLATE).render(**content, parameters=parameters)


def pretrained_parts(info: dict[str, Any]) -> list[Weights]:
    """Return the weights of others from which the run was trained, or which its feature uses."""
    model, names = info["model"], set()
    if model.get("pretrained", "none") != "none":
        names = {model.get("backbone", Path(model["pretrained"]).stem)}
    if info["feature"]["name"] == "speaker_embedding" or model.get("use_embedding"):
        names |= {"ge2e"}
    return [PUBLISHED[name] for name in sorted(names & PUBLISHED.keys())]


def read_record(path: Path) -> dict[str, Any]:
    """Return a reference record. Raises `UserError` where there is none, or not of one run."""
    records = {other.stem: read_json(other) for other in sorted(path.parent.glob("*.json"))}
    of_runs = [name for name, figures in records.items() if "confusion" in figures]
    if path.stem not in of_runs:
        refuse("not the record of one run", where="--record", allowed=", ".join(of_runs), received=path.stem)
    return records[path.stem]
