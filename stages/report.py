"""report: write one HTML page over all runs and ensembles, a summary of their metrics, and the ablation table."""

from stages.checks.params import load
from stages.core.command import arguments
from stages.core.errors import exit_with_one_line
from stages.core.files import read_json, write_json, written_whole
from stages.evaluation.report import ablation, padding
from stages.evaluation.report.collected import all_predictions, ensemble_view, run_view
from stages.evaluation.report.page import pictures_in, render

COLUMNS = ("accuracy", "balanced_accuracy", "f1_macro", "parameters", "n_test")
PATHS = ("metrics", "plots", "predictions", "models", "studies", "study_plots", "ensembles", "ensemble_plots")
OUTPUTS = ("summary", "ablation", "page")


def main() -> None:
    args = arguments(__doc__, *PATHS, *OUTPUTS, has_key=False)
    params = load(args.params)
    # The runs in params.yaml, not the files in the folder: a deleted run leaves its metrics file behind.
    runs = [run_view(key, args, params) for key in params.runs]
    ensembles = [ensemble_view(key, args, params) for key in params.ensembles]
    figures = [
        {view["metrics"]["run"]: {name: view["metrics"][name] for name in COLUMNS} for view in views}
        for views in (runs, ensembles)
    ]
    all_metrics = [view["metrics"] for view in (*runs, *ensembles)]
    synthetic = [metrics["run"] for metrics in all_metrics if metrics["synthetic"]]
    write_json(args.summary, {"runs": figures[0], "ensembles": figures[1], "synthetic": synthetic})
    by_run = all_predictions(args, params, ensembles)
    ablations, paddings = (module.tables(runs, by_run, params.seed) for module in (ablation, padding))
    write_json(args.ablation, {"steps": [step for table in ablations for step in table["steps"]]})
    studies = [
        {"metrics": read_json(args.studies / f"{key}.json"), "pictures": pictures_in(args.study_plots / key)}
        for key in params.studies
    ]
    produced = {"Command": "dvc repro", "Seed": params.seed, "Runs": len(runs), "Ensembles": len(ensembles)}
    page = render([*runs, *ensembles], produced, ablations, paddings, studies, by_run, params.seed)
    with written_whole(args.page) as temporary:
        temporary.write_text(page, encoding="utf-8")
    for metrics in all_metrics:
        interval = "[{:.4f}, {:.4f}] {}".format(*metrics["accuracy_ci95"], metrics["accuracy_ci95_method"])
        print(f"{metrics['run']:<28} {metrics['name']:<12} {metrics['accuracy']:.4f} {interval}  {metrics['protocol']}")
    print(f"{args.page}: {len(runs)} runs, {len(ensembles)} ensemble{'s' if len(ensembles) != 1 else ''}")


if __name__ == "__main__":
    exit_with_one_line(main)
