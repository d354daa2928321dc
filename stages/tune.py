"""tune@<study>: search the values of a run that are best on the validation part; `--worker` joins a running search."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from stages.checks.params import load
from stages.core.command import arguments, item
from stages.core.errors import UserError, exit_with_one_line
from stages.core.files import write_json
from stages.datasets.batches import LOADING
from stages.datasets.splits import load_parts, protocol_of, stratified_subset
from stages.datasets.statistics import mean_and_sd
from stages.datasets.store import Store
from stages.evaluation.pictures import study as study_pictures
from stages.params.schema import Params, Run
from stages.params.space import dimensions, replaced
from stages.training.trial import Trials
from stages.tuning import results, search, storage


def main() -> None:
    args = arguments(__doc__, "dataset", "split", "journal", "metrics", "plots", switches=("worker",))
    params = load(args.params)
    study, url = item(params.studies, args.key, "studies"), params.machine.storage_url
    if args.worker and not url:
        raise UserError("--worker: allowed: with machine.storage_url, the database that all workers share")
    trials, origin = prepare_trials(args, params)
    run, n_trials = params.runs[study.run], study.n_trials

    def train(values: search.Values, report: search.Report) -> float:
        trial_run = Run.model_validate(replaced(run.model_dump(), values))
        return trials.fit(trial_run, lambda row: report(row["epoch"], row[study.objective]))[study.objective]

    # A search continues only if its data and this code are unchanged.
    code = [path for room in ("datasets", "training") for path in sorted((Path(__file__).parent / room).rglob("*.py"))]
    inputs = [args.dataset, args.split, Path(__file__).parent / "models" / f"{study.model}.py", *code]
    name = search.name_of(args.key, study, run, [params.seed, trials.max_epochs], inputs)
    with storage.opened(args.journal, url) as database:
        optuna_study = search.open_study(database, name, study, trials.epochs_of(run), params.seed)
        search.run(optuna_study, study, n_trials, train, alone=not url)
        if not args.worker:
            rows = results.rows(optuna_study, n_trials, "the study in the database" if url else str(args.journal))
            shares = results.importance(optuna_study, n_trials)
            metrics = origin | results.summary(study.objective, rows)
            write_json(args.metrics, metrics)
            results.write_tables(args.plots, rows, shares, study.objective, metrics["name"])
            study_pictures.draw_all(args.plots, metrics, rows, shares, dict(dimensions(study.space)))
            print(f"{args.key}: best {study.objective} {metrics['best_value']:.4f}, trial {metrics['best_trial']}")


def prepare_trials(args, params: Params) -> tuple[Trials, dict]:
    """Return the training and validation data that all trials share, and a description of them for the metrics."""
    study, where = params.studies[args.key], f"studies.{args.key}"
    with Store(args.dataset) as store:
        parts, of = load_parts(args.split, store.sample_id), store.description
        train = stratified_subset(parts["train"], store.label, study.train_samples, params.seed, where)
        mean, sd = mean_and_sd(store, train)
        dataset = asdict(of) | {"shape": store.sample_shape, "mean": mean.tolist(), "sd": sd.tolist()}
        counts = np.bincount(store.label[train], minlength=len(of.classes))
    run = params.runs[study.run]
    batches = LOADING[run.loading](args.dataset, train, run.batch_size, shuffle_seed=params.seed)
    validation = LOADING[run.loading](args.dataset, parts["validation"], run.batch_size)
    trials = Trials(study.run, dataset, counts, batches, validation, study.max_epochs, params.machine, params.seed)
    origin = {"study": args.key, "run": study.run, "model": study.model, "dataset": study.dataset}
    origin |= {name: dataset[name] for name in ("corpus", "name", "source", "synthetic")}
    sizes = {"n_train": len(train), "n_validation": len(parts["validation"])}
    return trials, origin | {"protocol": protocol_of(args.split, of)} | sizes


if __name__ == "__main__":
    exit_with_one_line(main)
