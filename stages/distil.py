"""distil@<dataset>: mix the answers of a trained run, the teacher, into the training labels of a dataset.

A student that learns from them learns more than from the classes alone: what the teacher finds similar, and where a
label is doubtful (Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from stages.checks.params import load
from stages.core.calibration import tempered
from stages.core.command import arguments, item
from stages.core.errors import exit_with_one_line, refuse, warn
from stages.core.files import md5
from stages.datasets.batches import blocks
from stages.datasets.splits import load_parts
from stages.datasets.store import Store, create
from stages.training import model_folder
from stages.training.model_folder import TrainedModel


def main() -> None:
    args = arguments(__doc__, "dataset", "teacher_dataset", "split", "teacher", "output")
    params = load(args.params)
    settings, where = item(params.distillations, args.key, "distillations"), f"distillations.{args.key}"
    torch.set_num_threads(params.machine.threads)
    teacher = model_folder.load(args.teacher)
    require_own_inputs(teacher, args.teacher_dataset, args.split, where)
    with Store(args.dataset) as store, Store(args.teacher_dataset) as seen:
        if teacher.info["classes"] != store.description.classes:
            allowed = f"the classes of its dataset, {', '.join(store.description.classes)}"
            refuse("a teacher of other classes", where=where, allowed=allowed, received=teacher.info["classes"])
        train = load_parts(args.split, store.sample_id)["train"]
        taught, answers = answers_of(teacher, seen, np.array(store.sample_id, dtype=object)[train])
        if unseen := int((~taught).sum()):
            warn(f"{where}: {unseen} samples keep their labels, which are damaged in {args.teacher_dataset}")
        soft_label = store.soft_label if store.soft_label is not None else np.eye(answers.shape[1])[store.label]
        own, rows = settings.weight, train[taught]
        soft_label[rows] = (1 - own) * soft_label[rows] + own * tempered(answers, settings.temperature)
        note = f"{settings.teacher}: weight {own}, temperature {settings.temperature}"
        with create(args.output) as writer:
            writer.copy(store, soft_label)
            writer.describe(replace(store.description, teachers=[*store.description.teachers, note]))
    agrees = (answers.argmax(1) == store.label[rows]).mean()
    print(f"{args.output}: {note}; the teacher agrees with {agrees:.1%} of the labels of {len(rows):,} samples")


def require_own_inputs(teacher: TrainedModel, dataset: Path, split: Path, where: str) -> None:
    """Raise `UserError` for a teacher that was trained on another dataset or split: it may have seen test samples."""
    for path in (dataset, split):
        if md5(path) not in teacher.info["inputs"].values():
            allowed = f"a teacher trained on {path} as it is now; `dvc repro` renews it"
            refuse("a teacher of other data", where=where, allowed=allowed, received=teacher.info["run"])


def answers_of(teacher: TrainedModel, seen: Store, sample_id: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the samples (N,) the teacher's dataset has, and its probabilities (M, n_classes) of those."""
    row = {name: index for index, name in enumerate(seen.sample_id)}
    taught = np.array([name in row for name in sample_id])
    indices = np.array([row[name] for name in sample_id[taught]], dtype=np.int64)
    return taught, torch.cat([teacher.probabilities(*block) for block in blocks(seen, indices)]).numpy()


if __name__ == "__main__":
    exit_with_one_line(main)
