"""A training of a second: 120 tiny faces, the project's own params.yaml made small."""

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
MAX_EPOCHS = 12
SIGNAL = 100  # of the hint, beside a noise of 40
SIZES = {"train": 84, "validation": 21, "test": 15}


def write_inputs(folder: Path) -> None:
    """params.yaml, faces.h5 and faces.json. The pictures tell a little of the label: figures rise, then waver."""
    rng = np.random.default_rng(3)
    ids = [f"s{number}" for number in range(sum(SIZES.values()))]
    label = np.arange(len(ids)) % 7
    hints = rng.normal(0, SIGNAL, (7, 1, 48, 48))[label]
    x = np.clip(rng.normal(128, 40, hints.shape) + hints, 0, 255).astype(np.uint8)
    write_store(
        folder / "faces.h5", x, label=label, classes=CLASSES, name="synthetic", source="synthetic", synthetic=True
    )
    parts = np.split(np.array(ids), np.cumsum(list(SIZES.values()))[:-1])
    write_json(
        folder / "faces.json", {"protocol": "official", "parts": dict(zip(SIZES, map(list, parts), strict=True))}
    )
    _write_params(folder / "params.yaml")


def _write_params(path: Path) -> None:
    params = parse((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params["studies"] = {}  # of runs that are others here
    params["machine"].update(threads=1, accelerator="cpu", devices=1, checkpoint_every_s=0)
    params["corpora"]["faces"].update(source="synthetic", classes=CLASSES)
    params["runs"][RUN].update(
        model={"name": "custom_cnn", "widths": [4, 8], "hidden": 16, "dropout": 0.1, "hidden_dropout": 0.2},
        optimizer={"name": "adam", "lr": 0.01},
        schedule={"name": "plateau", "factor": 0.5, "patience_epochs": 1},
        early_stopping=3,
        monitor="validation_accuracy",
        batch_size=16,
        max_epochs=MAX_EPOCHS,
        augmentation={"name": "faces", "horizontal_flip": 0.1, "rotation_deg": 2.0, "shift": 0.02},
        precision="32-true",
        loading="memory",
        ema_decay=0.5,
    )
    with path.open("w", encoding="utf-8") as stream:
        yaml.safe_dump(params, stream, sort_keys=False)


def arguments(inputs: Path, output: Path) -> list[str]:
    """What follows `python -m stages.train`."""
    return [
        *(RUN, "--params", str(inputs / "params.yaml")),
        *("--dataset", str(inputs / "faces.h5"), "--split", str(inputs / "faces.json")),
        *("--checkpoints", str(output / "checkpoints"), "--logs", str(output / "logs")),
        *("--model", str(output / "model"), "--history", str(output / "history.csv")),
    ]


def results(output: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that must not depend on whether the run was interrupted."""
    for name in ("model/best.safetensors", "model/final.safetensors", "model/model.json", "history.csv"):
        yield name, (output / name).read_bytes()
