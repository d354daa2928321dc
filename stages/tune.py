"""tune@<study>: the values of a run that do best on the validation part; `--worker` helps another's search along."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from stages.checks.params import load
from stages.core.command import arguments, item
from stages.core.errors import UserError, exit_with_one_line
from stages.core.files import write_json
from stages.datasets.batches import LOADING
from stages.datasets.splits import load_parts, protocol_of
from stages.datasets.statistics import mean_and_sd
from stages.datasets.store import Store
from stages.datasets.subset import stratified
from stages.evaluation import study_pictures
from stages.params.schema import Params, Run, Study
from stages.params.space import dimensions, replaced
from stages.training.trial import Trials
from stages.tuning import results, search, storage


def main() -> None:
    args = arguments(__doc__, "dataset", "split", "journal", "metrics", "plots", switches=("worker",))
    params = load(args.params)
    study, url = item(params.studies, args.key, "studies"), params.machine.storage_url
    if args.worker and not url:
        raise UserError("--worker: allowed: with machine.storage_url, the database that all workers share")
    trials, origin = shared(args, params)
    run, n_trials = params.runs[study.run], study.n_trials

    def train(values: search.Values, report: search.Report) -> float:
        tried = Run.model_validate(replaced(run.model_dump(), values))
        return trials.fit(tried, lambda row: report(row["epoch"], row[study.objective]))[study.objective]

    # With the model's, the code that a search that goes on must find unchanged.
    code = [path for room in ("datasets", "training") for path in sorted((Path(__file__).parent / room).rglob("*.py"))]
    read = [args.dataset, args.split, Path(__file__).parent / "models" / f"{study.model}.py", *code]
    name = search.name_of(args.key, study, run, [params.seed, trials.max_epochs], read)
    with storage.opened(args.journal, url) as kept:
        found = search.open_study(kept, name, study, trials.epochs_of(run), params.seed)
        search.run(found, study, n_trials, train, alone=not url)
        if not args.worker:
            rows = results.rows(found, n_trials, "the study there" if url else str(args.journal))
            write(args, study, origin, rows, results.importance(found, n_trials))


def shared(args, params: Params) -> tuple[Trials, dict]:
    """The samples all trials train with and are judged on, never the test part; and where they come from."""
    study, where = params.studies[args.key], f"studies.{args.key}"
    with Store(args.dataset) as store:
        parts, of = load_parts(args.split, store.sample_id), store.description
        train = stratified(parts["train"], store.label, study.train_samples, params.seed, where)
        mean, sd = mean_and_sd(store, train)
        dataset = asdict(of) | {"shape": store.sample_shape, "mean": mean.tolist(), "sd": sd.tolist()}
        counts = np.bincount(store.label[train], minlength=len(of.classes))
    run = params.runs[study.run]
    batches = LOADING[run.loading](args.dataset, train, run.batch_size, shuffle_seed=params.seed)
    judged = LOADING[run.loading](args.dataset, parts["validation"], run.batch_size)
    trials = Trials(study.run, dataset, counts, batches, judged, study.max_epochs, params.machine, params.seed)
    origin = {"study": args.key, "run": study.run, "model": study.model, "dataset": study.dataset}
    origin |= {name: dataset[name] for name in ("corpus", "name", "source", "synthetic")}
    origin |= {"protocol": protocol_of(args.split, of), "n_train": len(train)}
    return trials, origin | {"n_validation": len(parts["validation"])}


def write(args, study: Study, origin: dict, rows: list[results.Row], shares: dict[str, float]) -> None:
    """Metrics, tables and pictures."""
    told = origin | results.summary(study.objective, rows)
    write_json(args.metrics, told)
    results.write_tables(args.plots, rows, shares, study.objective, told["name"])
    study_pictures.draw_all(args.plots, told, rows, shares, dict(dimensions(study.space)))
    print(f"{args.key}: best {study.objective} {told['best_value']:.4f}, trial {told['best_trial']}")


if __name__ == "__main__":
    exit_with_one_line(main)
