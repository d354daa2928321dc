"""evaluate@<run>: the best weights scored once on the test part; predictions, figures and pictures."""

from math import prod

import numpy as np
import torch

from stages.checks.params import load
from stages.core.command import arguments, item
from stages.core.errors import exit_with_one_line
from stages.core.files import write_json
from stages.datasets.grouping import groupings
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.evaluation import figures, gallery, predictions
from stages.evaluation.cost import flops
from stages.training import model_folder
from stages.training.model_folder import TrainedModel

BATCH_SIZE, BATCH_VALUES = 256, 8_000_000  # samples at once, fewer of large ones
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
        groups, test = groupings(store, parts["test"]), chosen["test"]
        shown = gallery.choose(test["label"], test["probabilities"], model.info["seed"])
        samples = torch.from_numpy(store.read(parts["test"][shown]))
    columns = {name: np.concatenate([chosen[part][name] for part in JUDGED]) for name in test}
    told = {"run": args.key, **{name: model.info[name] for name in (*ORIGIN, "classes")}}
    predictions.write(args.predictions, **columns, attributes=told)
    scored = figures.compute(test["label"], test["probabilities"], groups, told["classes"], model.info["seed"])
    write_json(args.metrics, describe(args.key, model, {f"n_{part}": len(at) for part, at in parts.items()}) | scored)
    judged = gallery.Judged(test["label"], test["probabilities"], scored)
    gallery.draw(args.plots, told, judged, args.history, model.info["best_epoch"], model.info["n_train"])
    gallery.look_inside(args.plots, told, judged, model.recogniser, shown, samples)
    low, high = scored["accuracy_ci95"]
    interval = f"[{low:.4f}, {high:.4f}] (95 %, {scored['accuracy_ci95_method']})"
    print(f"{args.key}: test accuracy {scored['accuracy']:.4f} {interval}")


def describe(key: str, model: TrainedModel, sizes: dict[str, int]) -> dict:
    """What stands before the figures: which run on which samples, and what it costs."""
    weights = sum(weight.numel() for weight in model.recogniser.architecture.parameters())
    x = torch.zeros(1, *model.info["input"]["shape"])
    operations = flops(model.recogniser, x, torch.tensor([x.shape[1]]))
    named = {"run": key, "model": model.info["model"]["name"]} | {name: model.info[name] for name in ORIGIN}
    return named | sizes | {"parameters": weights, "flops": operations}


def predict(model: TrainedModel, store: Store, indices: np.ndarray, part: str) -> dict[str, np.ndarray]:
    """Columns of the predictions file for one part."""
    size = max(1, min(BATCH_SIZE, BATCH_VALUES // prod(store.sample_shape)))
    batches = np.split(indices, range(size, len(indices), size))  # never all of a part in memory
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


if __name__ == "__main__":
    exit_with_one_line(main)
