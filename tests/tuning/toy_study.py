"""A search that takes seconds: the toy run with varied learning rate, batch size and activation."""

from pathlib import Path

from toy_run import RUN, write_inputs, write_params

from stages.params.load import parse

STUDY = "faces"
TRIALS, EPOCHS = 4, 2
SPACE = {
    "optimizer": {"lr": {"type": "log_float", "low": 1e-3, "high": 0.1}},
    "model": {"activation": {"type": "categorical", "choices": ["relu", "elu"]}},
    "batch_size": {"type": "categorical", "choices": [16, 32]},
}


def write(folder: Path, **changes) -> Path:
    """Write params.yaml with the study, faces.h5 and faces.json to `folder`."""
    write_inputs(folder)
    change(folder, **changes)
    return folder


def change(folder: Path, *, space=SPACE, storage_url=None, trials=TRIALS, epochs=EPOCHS, run=None, **study) -> None:
    """Change settings of the study, the machine or the run in params.yaml."""
    params = parse((folder / "params.yaml").read_text(encoding="utf-8"))
    params["machine"]["storage_url"] = storage_url
    params["runs"][RUN] |= run or {}
    settings = {"run": RUN, "corpus": "faces", "dataset": "faces", "model": "custom_cnn", "recipe": "faces_custom"}
    settings |= {"space": space, "n_trials": trials, "max_epochs": epochs}
    settings |= {"objective": "validation_accuracy", "train_samples": None, "sampler": {"name": "tpe"}}
    params["studies"] = {STUDY: settings | {"pruner": {"name": "none"}, "timeout_s": None} | study}
    write_params(folder, params)


def arguments(inputs: Path, output: Path) -> list[str]:
    """Return the arguments of `python -m stages.tune`."""
    return [
        *(STUDY, "--params", str(inputs / "params.yaml")),
        *("--dataset", str(inputs / "faces.h5"), "--split", str(inputs / "faces.json")),
        *("--journal", str(output / "faces.journal")),
        *("--metrics", str(output / "faces.json"), "--plots", str(output / "plots")),
    ]


def outputs(output: Path) -> dict[str, bytes]:
    """Return {name: content} of the metrics, tables and plots."""
    paths = [output / "faces.json", *sorted((output / "plots").iterdir())]
    return {path.name: path.read_bytes() for path in paths}
