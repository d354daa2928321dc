"""A training that takes a second: 120 images and the project's params.yaml with one run and small settings."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import yaml
from small_store import write_store

from stages.core.files import write_json
from stages.params.load import parse

PROJECT = Path(__file__).parents[1]
CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
RUN = "faces_custom_cnn"
MODEL = {"name": "custom_cnn", "widths": [4, 8], "hidden": 16, "dropout": 0.1, "hidden_dropout": 0.2}
MAX_EPOCHS = 12
SIGNAL = 130  # standard deviation of the class pattern; that of the noise is 40
SIZES = {"train": 84, "validation": 21, "test": 15}


def write_inputs(folder: Path) -> None:
    """Write params.yaml, faces.h5 and faces.json. The classes overlap, so that it takes epochs to learn them."""
    rng = np.random.default_rng(3)
    ids = np.array([f"s{number}" for number in range(sum(SIZES.values()))])
    label = np.arange(len(ids)) % 7
    patterns = rng.normal(0, SIGNAL, (7, 1, 16, 16))[label]
    x = np.clip(rng.normal(128, 40, patterns.shape) + patterns, 0, 255).astype(np.uint8)
    origin = {"classes": CLASSES, "name": "synthetic", "source": "synthetic", "synthetic": True}
    write_store(folder / "faces.h5", x, label=label, **origin)
    parts = map(list, np.split(ids, np.cumsum(list(SIZES.values()))[:-1]))
    write_json(folder / "faces.json", {"protocol": "official", "parts": dict(zip(SIZES, parts, strict=True))})
    params = parse((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params["studies"] = {}
    for section in ("corpora", "datasets", "splits"):
        params[section] = {"faces": params[section]["faces"]}
    params["machine"].update(threads=1, accelerator="cpu", devices=1, checkpoint_every_s=0)
    params["corpora"]["faces"].update(source="synthetic", classes=CLASSES)
    run = {
        "model": MODEL,
        "optimizer": {"name": "adam", "lr": 0.01},
        "schedule": {"name": "plateau", "factor": 0.5, "patience_epochs": 1},
        "augmentation": {"name": "faces", "horizontal_flip": 0.1, "rotation_deg": 2.0, "shift": 0.02},
        **{"batch_size": 16, "max_epochs": MAX_EPOCHS, "early_stopping": 3, "ema_decay": 0.5},
        **{"monitor": "validation_accuracy", "precision": "32-true", "loading": "memory"},
    }
    params["runs"] = {RUN: params["runs"][RUN] | run}
    params |= {"ensembles": {}, "distillations": {}}
    write_params(folder, params)


def write_params(folder: Path, params: dict) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def arguments(inputs: Path, output: Path) -> list[str]:
    """Return the arguments of `python -m stages.train`."""
    return [
        *(RUN, "--params", str(inputs / "params.yaml")),
        *("--dataset", str(inputs / "faces.h5"), "--split", str(inputs / "faces.json")),
        *("--checkpoints", str(output / "checkpoints"), "--logs", str(output / "logs")),
        *("--model", str(output / "model"), "--history", str(output / "history.csv")),
    ]


def results(output: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every file that must not depend on an interruption."""
    for name in ("model/best.safetensors", "model/final.safetensors", "model/model.json", "history.csv"):
        yield name, (output / name).read_bytes()
