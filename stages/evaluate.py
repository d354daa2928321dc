"""evaluate@<run>: the best weights scored once on the test part; predictions, figures and pictures."""

import csv
from dataclasses import replace

import numpy as np
import torch

from stages.core.checks import exit_with_one_line
from stages.core.command import arguments, item
from stages.core.files import write_json
from stages.core.params import load
from stages.datasets.grouping import groupings
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.evaluation import figures, pictures, predictions, rows
from stages.evaluation.basis_picture import draw_bases
from stages.training import model_folder
from stages.training.model_folder import TrainedModel

BATCH_SIZE = 256
JUDGED = ("validation", "test")
# What model.json says of a run that is repeated beside its figures.
ORIGIN = ("corpus", "name", "source", "synthetic", "protocol")


def main() -> None:
    args = arguments(__doc__, "dataset", "split", "model", "history", "predictions", "metrics", "plots")
    params = load(args.params)
    item(params.runs, args.key, "runs")
    torch.set_num_threads(params.machine.threads)
    model = model_folder.load(args.model)
    with Store(args.dataset) as store:
        parts = load_parts(args.split, store.sample_id)
        chosen = {part: predict(model, store, parts[part], part) for part in JUDGED}
        groups = groupings(store, parts["test"])
    columns = {name: np.concatenate([chosen[part][name] for part in JUDGED]) for name in chosen["test"]}
    origin = {name: model.info[name] for name in ORIGIN}
    told = {"run": args.key, **origin, "classes": model.info["classes"]}
    predictions.write(args.predictions, **columns, attributes=told)
    test = chosen["test"]
    scored = figures.compute(test["label"], test["probabilities"], groups, model.info["classes"], params.seed)
    sizes = {f"n_{part}": len(indices) for part, indices in parts.items()}
    weights = sum(weight.numel() for weight in model.recogniser.architecture.parameters())
    described = {"run": args.key, "model": model.info["model"]["name"], **origin, **sizes, "parameters": weights}
    write_json(args.metrics, described | scored)
    draw(args, model, test, scored)
    low, high = scored["accuracy_ci95"]
    print(f"{args.key}: test accuracy {scored['accuracy']:.4f} [{low:.4f}, {high:.4f}]")


def predict(model: TrainedModel, store: Store, indices: np.ndarray, part: str) -> dict[str, np.ndarray]:
    """Columns of the predictions file for one part."""
    batches = np.split(indices, range(BATCH_SIZE, len(indices), BATCH_SIZE))  # never all of a part in memory
    probabilities = [
        model.probabilities(torch.from_numpy(store.read_packed(batch)), torch.from_numpy(store.length[batch]))
        for batch in batches
    ]
    return {
        "sample_id": np.array(store.sample_id, dtype=object)[indices],
        "part": np.full(len(indices), part, dtype=object),
        "label": store.label[indices],
        "group": np.array(store.group, dtype=object)[indices],
        "probabilities": torch.cat(probabilities).numpy(),
    }


def draw(args, model: TrainedModel, test: dict[str, np.ndarray], scored: dict) -> None:
    """CSV rows for `dvc plots` and the pictures."""
    classes, info = model.info["classes"], model.info
    rows.write_all(args.plots, test["label"], test["probabilities"], classes, scored, info["name"])
    caption = pictures.Caption(args.key, info["name"], info["protocol"], len(test["label"]), info["synthetic"])
    pictures.draw_all(args.plots, caption, test["label"], test["probabilities"], classes, scored)
    draw_bases(args.plots / "bases.png", caption, model.recogniser.architecture)
    history = list(csv.DictReader(args.history.read_text(encoding="utf-8").splitlines()))
    pictures.draw_history(args.plots / "history.png", replace(caption, n=info["n_train"]), history, info["best_epoch"])


if __name__ == "__main__":
    exit_with_one_line(main)
