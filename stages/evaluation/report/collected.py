"""What the page shows of each run and ensemble, read from the files of the stages before it."""

from argparse import Namespace
from typing import Any

import yaml

from stages.core.files import md5, read_json
from stages.evaluation import ensemble, predictions
from stages.evaluation.predictions import Columns
from stages.evaluation.report.page import pictures_in
from stages.params.schema import Params

SAMPLES = ("n_rejected", "n_cut", "longest_steps")  # keys of model.json about the samples of the prepared dataset


def run_view(key: str, args: Namespace, params: Params) -> dict[str, Any]:
    """Return what the page shows about one run."""
    run, model = params.runs[key], read_json(args.models / key / "model.json")
    predicted = args.predictions / f"{key}.h5"
    chosen = {
        "seed": params.seed,
        # without `source`, since outputs must not contain paths
        "corpora": {run.corpus: params.corpora[run.corpus].model_dump(exclude={"source", "checksum"})},
        "datasets": {run.dataset: params.datasets[params.prepared(run.dataset)].model_dump()},
        "splits": {run.corpus: params.splits[run.corpus].model_dump()},
        "runs": {key: run.model_dump()},
    }
    return {
        "chosen": chosen["runs"][key],
        "dataset": chosen["datasets"][run.dataset],
        "metrics": read_json(args.metrics / f"{key}.json"),
        "samples": {name: model[name] for name in SAMPLES} | {"steps": model["input"]["shape"][0]},
        "pictures": pictures_in(args.plots / key),
        "params": _as_yaml(chosen),
        "versions": model["versions"],
        "md5": model["inputs"] | {predicted.as_posix(): md5(predicted)},
    }


def ensemble_view(key: str, args: Namespace, params: Params) -> dict[str, Any]:
    """Return what the page shows about one ensemble."""
    chosen = params.ensembles[key].model_dump()
    inputs = [args.predictions / f"{name}.h5" for name in chosen["members"]]
    return {
        "metrics": read_json(args.ensembles / f"{key}.json"),
        "samples": dict.fromkeys((*SAMPLES, "steps"), 0),
        "pictures": pictures_in(args.ensemble_plots / key),
        "params": _as_yaml({"seed": params.seed, "ensembles": {key: chosen}}),
        "versions": {},
        "md5": {path.as_posix(): md5(path) for path in inputs},
    }


def all_predictions(args: Namespace, params: Params, ensembles: list[dict[str, Any]]) -> dict[str, Columns]:
    """Return {name: columns} of every run and ensemble."""
    found = {key: predictions.read(args.predictions / f"{key}.h5") for key in params.runs}
    for metrics in (view["metrics"] for view in ensembles):
        key, corpus = metrics["run"], metrics["corpus"]
        members = ensemble.read(args.predictions, params.ensembles[key].members, corpus, f"ensembles.{key}")
        fitted = dict(metrics["weights"]), metrics["calibration"][0]["temperature"]
        found[key] = ensemble.combined(members, fitted)
    return found


def _as_yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
