"""Part of `make bench`: the time of a search's trial beyond its epochs."""

import statistics
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from stages.core.errors import warn
from stages.datasets.batches import MemoryBatches
from stages.datasets.store import Store
from stages.params.schema import Params, Run
from stages.params.space import replaced
from stages.training.trial import Trials
from stages.tuning import search, storage

EPOCHS, TRIALS, SAMPLES = 3, 6, 256


def print_overheads(params: Params) -> None:
    """Print for each study the time that it adds to the training of a trial."""
    for key, study in params.studies.items():
        dataset = Path("data/prepared") / f"{study.dataset}.h5"
        if dataset.exists():
            print(f"{key}: a trial takes {overhead_s(key, params, dataset):.2f} s beyond its epochs")
        else:
            warn(f"{key}: no {dataset}; run `make repro` first")


def overhead_s(key: str, params: Params, dataset: Path) -> float:
    """Return the median time of a trial beyond its epochs, without the first, which imports what the others share."""
    study = params.studies[key].model_copy(update={"pruner": {"name": "none"}, "timeout_s": None})
    run = params.runs[study.run].model_copy(update={"early_stopping": None})
    trials, epoch_ends, overheads = shared_trials(run, study.run, params, dataset), [], []

    def train(values: search.Values, report: search.Report) -> float:
        def after_epoch(row: dict[str, float]) -> None:
            report(row["epoch"], row[study.objective])
            epoch_ends.append(time.perf_counter())

        return trials.fit(Run.model_validate(replaced(run.model_dump(), values)), after_epoch)[study.objective]

    with tempfile.TemporaryDirectory() as folder, storage.opened(Path(folder) / "journal", None) as journal:
        optuna_study = search.open_study(journal, f"{key}/bench", study, EPOCHS, params.seed)
        for number in range(1, TRIALS + 1):
            start = time.perf_counter()
            search.run(optuna_study, study, number, train, alone=True)
            trial_s, epoch_s = time.perf_counter() - start, (epoch_ends[-1] - epoch_ends[-EPOCHS]) / (EPOCHS - 1)
            overheads.append(trial_s - EPOCHS * epoch_s)
    return statistics.median(overheads[1:])


def shared_trials(run: Run, key: str, params: Params, dataset: Path) -> Trials:
    """Return the shared part of the trials, with few samples: the overhead does not grow with them."""
    with Store(dataset) as store:
        indices = np.arange(min(SAMPLES, len(store)))
        attributes = asdict(store.description) | {"shape": store.sample_shape, "mean": 0.0, "sd": 1.0}
        counts = np.bincount(store.label, minlength=len(store.description.classes))
    batches = [MemoryBatches(dataset, indices, run.batch_size, shuffle_seed=seed) for seed in (params.seed, None)]
    machine = params.machine.model_copy(update={"accelerator": "cpu"})
    return Trials(key, attributes, counts, *batches, EPOCHS, machine, params.seed)
