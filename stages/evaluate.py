"""evaluate@<run>: evaluate the best weights once on the test part; write predictions, metrics and pictures."""

import numpy as np
import torch

from stages.checks.params import load
from stages.core.command import arguments, item
from stages.core.errors import exit_with_one_line
from stages.core.files import write_json
from stages.datasets.batches import blocks
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.evaluation import predictions
from stages.evaluation.cost import flops
from stages.evaluation.metrics import compute_metrics
from stages.evaluation.pictures import gallery
from stages.training import model_folder
from stages.training.model_folder import TrainedModel

# Keys of model.json that are repeated in the metrics.
ORIGIN = ("corpus", "name", "source", "synthetic", "protocol")


def main() -> None:
    args = arguments(__doc__, "dataset", "split", "model", "history", "predictions", "metrics", "plots")
    params = load(args.params)
    item(params.runs, args.key, "runs")
    torch.set_num_threads(params.machine.threads)
    model = model_folder.load(args.model)
    info = model.info
    with Store(args.dataset) as store:
        parts = load_parts(args.split, store.sample_id)
        predicted = {part: predict(model, store, parts[part], part) for part in predictions.PARTS}
        groups, test = store.groupings(parts["test"]), predicted["test"]
        every_group = store.groupings(np.concatenate([parts[part] for part in predictions.PARTS]))
        shown = gallery.choose(test, info["seed"])
        samples = torch.from_numpy(store.read(parts["test"][shown]))
    columns = {name: np.concatenate([predicted[part][name] for part in predictions.PARTS]) for name in test}
    origin = {"run": args.key, **{name: info[name] for name in (*ORIGIN, "classes")}}
    content = test["label"], test["probabilities"], groups, origin["classes"]
    metrics = compute_metrics(*content, info["seed"], model.temperature)
    x = torch.zeros(1, *info["input"]["shape"])
    described = {"run": args.key, "model": info["model"]["name"]} | {name: info[name] for name in ORIGIN}
    described |= {f"n_{part}": len(indices) for part, indices in parts.items()}
    described["parameters"] = sum(weight.numel() for weight in model.recogniser.architecture.parameters())
    described["flops"] = flops(model.recogniser, x, torch.tensor([x.shape[1]]))
    described |= {"teachers": info["teachers"]} if info.get("teachers") else {}
    of_network = {name: described[name] for name in ("n_train", "parameters", "flops", "teachers") if name in described}
    predictions.write(args.predictions, columns, every_group, origin | of_network)
    write_json(args.metrics, described | metrics)
    gallery.draw(args.plots, test, metrics, origin, args.history, info)
    gallery.draw_inside(args.plots, test, origin, model.recogniser, shown, samples)
    low, high = metrics["accuracy_ci95"]
    interval = f"[{low:.4f}, {high:.4f}] (95 %, {metrics['accuracy_ci95_method']})"
    print(f"{args.key}: test accuracy {metrics['accuracy']:.4f} {interval}")


def predict(model: TrainedModel, store: Store, indices: np.ndarray, part: str) -> dict[str, np.ndarray]:
    """Return the columns of the predictions file for one part."""
    probabilities = [model.probabilities(*block) for block in blocks(store, indices)]
    return {
        "sample_id": np.array(store.sample_id, dtype=object)[indices],
        "part": np.full(len(indices), part, dtype=object),
        "label": store.label[indices],
        "group": np.array(store.group, dtype=object)[indices],
        "probabilities": torch.cat(probabilities).numpy(),
    }


if __name__ == "__main__":
    exit_with_one_line(main)
