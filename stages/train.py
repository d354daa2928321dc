"""train@<run>: train one model and write `data/models/<run>/`; a killed training resumes at its last checkpoint."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import arguments, item
from stages.core.errors import exit_with_one_line
from stages.core.files import digest, md5, write_csv
from stages.core.seeding import derive
from stages.datasets import novelty
from stages.datasets.batches import LOADING, blocks
from stages.datasets.splits import load_parts, protocol_of
from stages.datasets.statistics import mean_and_sd
from stages.datasets.store import Store
from stages.params.schema import Params, Run
from stages.training import model_folder
from stages.training.devices import resolved_precision
from stages.training.fit import HISTORY_COLUMNS, class_weights, fit
from stages.training.temperature import validation_temperature

# Code that affects the weights, besides the model: a training resumes only if it is unchanged.
CODE = ("core/lookup.py", "core/seeding.py", "params/schema.py", "datasets/**/*.py", "training/*.py")


def main() -> None:
    args = arguments(__doc__, "dataset", "split", "checkpoints", "logs", "model", "history")
    params = load(args.params)
    run = item(params.runs, args.key, "runs")
    run = run.model_copy(update={"precision": resolved_precision(run.precision, params.machine.accelerator)})
    with Store(args.dataset) as store:
        parts = load_parts(args.split, store.sample_id)
        info = describe(args, params, run, store, parts)
        counts = np.bincount(store.label[parts["train"]], minlength=len(info["classes"]))
    patterns = (*CODE, f"models/{run.model['name']}.py")
    code = [path for pattern in patterns for path in sorted(Path(__file__).parent.glob(pattern))]
    torch.manual_seed(derive(params.seed, "initial weights"))
    recogniser = model_folder.build(info)
    result = fit(
        recogniser,
        lookup.build("datasets.augmentation", run.augmentation) if run.augmentation else None,
        LOADING[run.loading](args.dataset, parts["train"], run.batch_size, shuffle_seed=params.seed),
        LOADING[run.loading](args.dataset, parts["validation"], run.batch_size),
        run,
        classes=info["classes"],
        weights=class_weights(run.loss, info["classes"], counts),
        machine=params.machine,
        seed=params.seed,
        resume_folder=args.checkpoints / digest([info, run.model_dump()], code),
        log_folder=args.logs,
    )
    if result.is_global_zero:
        write_csv(args.history, (*HISTORY_COLUMNS, "corpus"), ([*row.values(), info["name"]] for row in result.history))
        with Store(args.dataset) as store:  # all of the part: the batches above are one device's share
            every = blocks(store, parts["validation"]), store.label[parts["validation"]]
            temperature = validation_temperature(args.key, recogniser, result.best_weights, *every)
        info |= {"best_epoch": result.best_epoch, "epochs": len(result.history), "temperature": temperature}
        model_folder.save(args.model, info, {"best": result.best_weights, "final": result.final_weights})
        shutil.rmtree(args.checkpoints, ignore_errors=True)  # a short training has none


def describe(args, params: Params, run: Run, store: Store, parts: dict[str, np.ndarray]) -> dict:
    """Return the content of model.json that is known before training."""
    train, of = parts["train"], store.description
    mean, sd = mean_and_sd(store, train)
    dataset, normaliser = asdict(of) | {"shape": store.sample_shape}, {"mean": mean.tolist(), "sd": sd.tolist()}
    more = {"protocol": protocol_of(args.split, of), "seed": params.seed, "max_epochs": run.max_epochs}
    more |= {"n_train": len(train), "n_rejected": len(of.rejected), "n_cut": of.cut, "longest_steps": of.longest}
    more |= {"threads": params.machine.threads, "ood": novelty.fit(store, train, parts["validation"], mean, sd)}
    more |= {"inputs": {path.as_posix(): md5(path) for path in (args.dataset, args.split)}, "teachers": of.teachers}
    return model_folder.describe(args.key, run, dataset, normaliser, **more)


if __name__ == "__main__":
    exit_with_one_line(main)
