"""report: all runs on one page, and a few columns over all of them."""

from argparse import Namespace

import yaml

from stages.checks.params import load
from stages.core.command import arguments
from stages.core.errors import exit_with_one_line
from stages.core.files import md5, read_json, write_json, written_whole
from stages.evaluation import ablation, padding, predictions
from stages.evaluation.report import pictures_in, render
from stages.params.schema import Params

COLUMNS = ("accuracy", "balanced_accuracy", "f1_macro", "parameters", "n_test")


def main() -> None:
    paths = ("metrics", "plots", "predictions", "models", "studies", "study_plots", "summary", "ablation", "page")
    args = arguments(__doc__, *paths, key=None)
    params = load(args.params)
    # The runs of params, not the files of the folder: a run taken out of params leaves its metrics behind.
    runs = [collect(key, args, params) for key in params.runs]
    metrics = [run["metrics"] for run in runs]
    summary = {found["run"]: {name: found[name] for name in COLUMNS} for found in metrics}
    synthetic = [found["run"] for found in metrics if found["synthetic"]]
    write_json(args.summary, {"runs": summary, "synthetic": synthetic})
    produced = {"Command": "dvc repro", "Seed": params.seed, "Runs": len(runs)}
    said = {key: predictions.read(args.predictions / f"{key}.h5") for key in params.runs}
    ablations, paddings = (room.tables(runs, said, params.seed) for room in (ablation, padding))
    write_json(args.ablation, {"steps": [step for table in ablations for step in table["steps"]]})
    studies = [searched(key, args) for key in params.studies]
    page = render(runs, produced, bool(synthetic), ablations, paddings, studies, said, params.seed)
    with written_whole(args.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    for found in metrics:
        interval = "[{:.4f}, {:.4f}] {}".format(*found["accuracy_ci95"], found["accuracy_ci95_method"])
        print(f"{found['run']:<28} {found['name']:<12} {found['accuracy']:.4f} {interval}  {found['protocol']}")
    print(f"{args.page}: {len(runs)} runs")


def collect(key: str, args: Namespace, params: Params) -> dict:
    """What the page shows of one run."""
    model, metrics = read_json(args.models / key / "model.json"), read_json(args.metrics / f"{key}.json")
    said = args.predictions / f"{key}.h5"
    return {
        "chosen": params.runs[key].model_dump(),
        "dataset": params.datasets[params.runs[key].dataset].model_dump(),
        "metrics": metrics,
        "pictures": pictures_in(args.plots / key),
        "params": chosen_params(key, params),
        "versions": model["versions"],
        "md5": model["inputs"] | {said.as_posix(): md5(said)},
    }


def searched(key: str, args: Namespace) -> dict:
    """What the page shows of one study."""
    return {"metrics": read_json(args.studies / f"{key}.json"), "pictures": pictures_in(args.study_plots / key)}


def chosen_params(key: str, params: Params) -> str:
    """The part of params.yaml that made one run, as YAML, without `source`: outputs hold no path."""
    run = params.runs[key]
    corpus = params.corpora[run.corpus].model_dump(exclude={"source", "checksum"})
    chosen = {
        "seed": params.seed,
        "corpora": {run.corpus: corpus},
        "datasets": {run.dataset: params.datasets[run.dataset].model_dump()},
        "splits": {run.corpus: params.splits[run.corpus].model_dump()},
        "runs": {key: run.model_dump()},
    }
    return yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True)


if __name__ == "__main__":
    exit_with_one_line(main)
