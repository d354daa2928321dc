"""report: write one HTML page over all runs, a summary of their metrics, and the ablation table."""

from argparse import Namespace

import yaml

from stages.checks.params import load
from stages.core.command import arguments
from stages.core.errors import exit_with_one_line
from stages.core.files import md5, read_json, write_json, written_whole
from stages.evaluation import predictions
from stages.evaluation.report import ablation, padding
from stages.evaluation.report.page import pictures_in, render
from stages.params.schema import Params

COLUMNS = ("accuracy", "balanced_accuracy", "f1_macro", "parameters", "n_test")
SAMPLES = ("n_rejected", "n_cut", "longest_steps")  # keys of model.json about the samples of the prepared dataset


def main() -> None:
    paths = ("metrics", "plots", "predictions", "models", "studies", "study_plots", "summary", "ablation", "page")
    args = arguments(__doc__, *paths, has_key=False)
    params = load(args.params)
    # The runs in params.yaml, not the files in the folder: a deleted run leaves its metrics file behind.
    runs = [collect(key, args, params) for key in params.runs]
    all_metrics = [run["metrics"] for run in runs]
    summary = {metrics["run"]: {name: metrics[name] for name in COLUMNS} for metrics in all_metrics}
    synthetic = [metrics["run"] for metrics in all_metrics if metrics["synthetic"]]
    write_json(args.summary, {"runs": summary, "synthetic": synthetic})
    by_run = {key: predictions.read(args.predictions / f"{key}.h5") for key in params.runs}
    ablations, paddings = (module.tables(runs, by_run, params.seed) for module in (ablation, padding))
    write_json(args.ablation, {"steps": [step for table in ablations for step in table["steps"]]})
    studies = [
        {"metrics": read_json(args.studies / f"{key}.json"), "pictures": pictures_in(args.study_plots / key)}
        for key in params.studies
    ]
    produced = {"Command": "dvc repro", "Seed": params.seed, "Runs": len(runs)}
    page = render(runs, produced, ablations, paddings, studies, by_run, params.seed)
    with written_whole(args.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    for metrics in all_metrics:
        interval = "[{:.4f}, {:.4f}] {}".format(*metrics["accuracy_ci95"], metrics["accuracy_ci95_method"])
        print(f"{metrics['run']:<28} {metrics['name']:<12} {metrics['accuracy']:.4f} {interval}  {metrics['protocol']}")
    print(f"{args.page}: {len(runs)} runs")


def collect(key: str, args: Namespace, params: Params) -> dict:
    """Return what the page shows about one run."""
    run, model = params.runs[key], read_json(args.models / key / "model.json")
    predicted = args.predictions / f"{key}.h5"
    chosen = {
        "seed": params.seed,
        # without `source`, since outputs must not contain paths
        "corpora": {run.corpus: params.corpora[run.corpus].model_dump(exclude={"source", "checksum"})},
        "datasets": {run.dataset: params.datasets[run.dataset].model_dump()},
        "splits": {run.corpus: params.splits[run.corpus].model_dump()},
        "runs": {key: run.model_dump()},
    }
    return {
        "chosen": chosen["runs"][key],
        "dataset": chosen["datasets"][run.dataset],
        "metrics": read_json(args.metrics / f"{key}.json"),
        "samples": {name: model[name] for name in SAMPLES} | {"steps": model["input"]["shape"][0]},
        "pictures": pictures_in(args.plots / key),
        "params": yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True),
        "versions": model["versions"],
        "md5": model["inputs"] | {predicted.as_posix(): md5(predicted)},
    }


if __name__ == "__main__":
    exit_with_one_line(main)
