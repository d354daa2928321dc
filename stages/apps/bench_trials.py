"""Part of `make bench`: what a trial of a search costs beyond its epochs."""

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


def against_their_epochs(params: Params) -> None:
    """What each search adds to the training of its trials."""
    for key, study in params.studies.items():
        dataset = Path("data/prepared") / f"{study.dataset}.h5"
        if dataset.exists():
            print(f"{key}: a trial takes {seconds_beyond_epochs(key, params, dataset):.2f} s beyond its epochs")
        else:
            warn(f"{key}: no {dataset}; run `make repro` first")


def seconds_beyond_epochs(key: str, params: Params, dataset: Path) -> float:
    """Median over trials: values drawn and recorded, network and trainer built, all torn down again.

    The first trial, which imports what the others share, is left out, and early stopping is.
    """
    study = params.studies[key].model_copy(update={"pruner": {"name": "none"}, "timeout_s": None})
    run = params.runs[study.run].model_copy(update={"early_stopping": None})
    trials, ends, beyond = shared(run, study.run, params, dataset), [], []

    def train(values: search.Values, report: search.Report) -> float:
        def told(row: dict[str, float]) -> None:
            report(row["epoch"], row[study.objective])
            ends.append(time.perf_counter())

        return trials.fit(Run.model_validate(replaced(run.model_dump(), values)), told)[study.objective]

    with tempfile.TemporaryDirectory() as folder, storage.opened(Path(folder) / "journal", None) as kept:
        found = search.open_study(kept, f"{key}/bench", study, EPOCHS, params.seed)
        for number in range(1, TRIALS + 1):
            start = time.perf_counter()
            search.run(found, study, number, train, alone=True)
            whole, epoch = time.perf_counter() - start, (ends[-1] - ends[-EPOCHS]) / (EPOCHS - 1)
            beyond.append(whole - EPOCHS * epoch)
    return statistics.median(beyond[1:])


def shared(run: Run, key: str, params: Params, dataset: Path) -> Trials:
    """Few samples, since only what does not grow with them is measured."""
    with Store(dataset) as store:
        chosen = np.arange(min(SAMPLES, len(store)))
        of = store.description
        told = asdict(of) | {"shape": store.sample_shape, "mean": 0.0, "sd": 1.0}
        counts = np.bincount(store.label, minlength=len(of.classes))
    batches = [MemoryBatches(dataset, chosen, run.batch_size, shuffle_seed=seed) for seed in (params.seed, None)]
    machine = params.machine.model_copy(update={"accelerator": "cpu"})
    return Trials(key, told, counts, *batches, EPOCHS, machine, params.seed)
