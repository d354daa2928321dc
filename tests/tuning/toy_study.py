"""A search of seconds: the toy run on 120 tiny faces, its rate, batch size and activation varied."""

from pathlib import Path

import yaml
from toy_run import RUN, write_inputs

from stages.params.load import parse

STUDY = "faces"
TRIALS, EPOCHS = 4, 2
SPACE = {
    "optimizer": {"lr": {"type": "log_float", "low": 1e-3, "high": 0.1}},
    "model": {"activation": {"type": "categorical", "choices": ["relu", "elu"]}},
    "batch_size": {"type": "categorical", "choices": [16, 32]},
}


def write(folder: Path, **changes) -> Path:
    """params.yaml with the study, faces.h5 and faces.json in `folder`."""
    write_inputs(folder)
    change(folder, **changes)
    return folder


def change(folder: Path, *, space=SPACE, storage_url=None, trials=TRIALS, epochs=EPOCHS, run=None, **study) -> None:
    """Other settings of the study, the machine or the run in params.yaml."""
    path = folder / "params.yaml"
    params = parse(path.read_text(encoding="utf-8"))
    params["machine"]["storage_url"] = storage_url
    for section in ("corpora", "datasets", "splits"):
        params[section] = {"faces": params[section]["faces"]}
    params["runs"] = {RUN: params["runs"][RUN] | (run or {})}
    told = {"run": RUN, "corpus": "faces", "dataset": "faces", "model": "custom_cnn", "recipe": "faces_custom"}
    told |= {"space": space, "n_trials": trials, "max_epochs": epochs}
    told |= {"objective": "validation_accuracy", "train_samples": None, "sampler": {"name": "tpe"}}
    params["studies"] = {STUDY: told | {"pruner": {"name": "none"}, "timeout_s": None} | study}
    with path.open("w", encoding="utf-8") as stream:
        yaml.safe_dump(params, stream, sort_keys=False)


def arguments(inputs: Path, output: Path) -> list[str]:
    """What follows `python -m stages.tune`."""
    return [
        *(STUDY, "--params", str(inputs / "params.yaml")),
        *("--dataset", str(inputs / "faces.h5"), "--split", str(inputs / "faces.json")),
        *("--journal", str(output / "faces.journal")),
        *("--metrics", str(output / "faces.json"), "--plots", str(output / "plots")),
    ]


def outputs(output: Path) -> dict[str, bytes]:
    """What DVC would keep: metrics, tables and pictures."""
    paths = [output / "faces.json", *sorted((output / "plots").iterdir())]
    return {path.name: path.read_bytes() for path in paths}
