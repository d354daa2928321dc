"""Declared = effective: whatever `-S` can change in a run is what its training receives."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.utils.hydra import apply_overrides
from small_store import write_store

from stages import train
from stages.checks.params import load
from stages.core.files import write_json
from stages.params.options import options_of
from stages.params.schema import Loss

COMMITTED = Path(__file__).parents[1] / "params.yaml"
PARAMS = load(COMMITTED)
IMAGE = ["channel", "height", "width"]
SAMPLES = {
    "faces": ((1, 24, 24), IMAGE),
    "portraits": ((3, 24, 24), IMAGE),
    "speech": ((188, 64), ["time", "mel"]),
    "eeg": ((74, 310), ["time", "feature"]),
}
# What a training compares its settings with, or looks up by: changed in other tests.
NAMES = ("corpus", "dataset", "recipe", "model.name", "optimizer.name", "schedule.name", "augmentation.name")
OTHER_WORDS = {
    "monitor": "validation_loss", "precision": "bf16-mixed", "loading": "stream", "loss.class_weights": "balanced",
    "early_stopping": 3, "ema_decay": 0.5, "gradient_clip_norm": 0.25, "loss.mixup": 0.5,
    "model.backbone": "resnet18", "model.pretrained": "weights.pth", "model.total_stride": 8, "model.views": 10,
    "model.activation": "elu", "model.spatial_kernel": 5, "model.transformer_heads": 2, "model.heads": 2,
    "schedule.step_epochs": 3, "model.n_bands": 2,
}  # fmt: skip


def leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def other(path: str, value: Any) -> Any:
    """A value of the same kind that a run may have as well."""
    if path in OTHER_WORDS:
        return "none" if OTHER_WORDS[path] == value else OTHER_WORDS[path]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value
    return [2 * width for width in value] if isinstance(value, list) else value / 2 + 0.0013


def changes_of(run: str) -> dict[str, Any]:
    """{path: other value} of every setting of a resolved run; its augmentation's own options as well."""
    settings = PARAMS.runs[run].model_dump()
    settings["loss"] |= dict.fromkeys(Loss.model_fields.keys() - settings["loss"].keys())
    if settings["augmentation"] is None:
        del settings["augmentation"]
    else:
        options = options_of("datasets.augmentation", settings["augmentation"]["name"])
        defaults = {name: default for name, (_, default) in options.items() if default is not ...}
        settings["augmentation"] = defaults | settings["augmentation"]
    return {path: other(path, value) for path, value in leaves(settings) if path not in NAMES}


class Received(Exception):
    """Raised in the place of a training, with what it was given."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    for corpus, (shape, layout) in SAMPLES.items():
        classes = PARAMS.corpora[corpus].classes
        x = np.random.default_rng(0).integers(0, 255, (4 * len(classes), *shape)).astype(np.uint8)
        label = np.arange(len(x)) % len(classes)
        write_store(folder / f"{corpus}.h5", x, label=label, classes=classes, corpus=corpus, layout=layout)
        ids = np.array([f"s{number}" for number in range(len(x))])
        parts = dict(
            zip(("train", "validation", "test"), np.split(ids, (2 * len(classes), 3 * len(classes))), strict=True)
        )
        content = {"protocol": "official", "parts": {name: part.tolist() for name, part in parts.items()}}
        write_json(folder / f"{corpus}.json", content)
    return folder


def received(run: str, params: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The settings with which `train@<run>` calls the training loop, and with which it has built the network."""

    def fit(recogniser, augmentation, train_batches, validation_batches, settings, **more):
        raise Received(settings.model_dump())

    built, build = {}, train.model_folder.build
    corpus = PARAMS.runs[run].corpus
    paths = {"dataset": inputs / f"{corpus}.h5", "split": inputs / f"{corpus}.json", "params": params}
    paths |= {name: params.parent / name for name in ("checkpoints", "logs", "model", "history")}
    with monkeypatch.context() as patch:
        patch.setattr(train, "fit", fit)
        patch.setattr(train.model_folder, "build", lambda info: built.update(info["model"]) or build(info))
        patch.setattr("sys.argv", ["train", run, *(f"--{name}={path}" for name, path in paths.items())])
        with pytest.raises(Received) as caught:
            train.main()
    return caught.value.args[0] | {"model": built}


CASES = [(run, None) for run in PARAMS.runs]
# By itself: of the parts of AdaFNN's network, one must stay.
CASES += [(run, "model.use_ffnn") for run, found in PARAMS.runs.items() if "use_ffnn" in found.model]


@pytest.mark.parametrize(("run", "alone"), CASES)
def test_every_setting_of_a_run_reaches_its_training(run, alone, inputs, tmp_path, monkeypatch):
    changes = {path: value for path, value in changes_of(run).items() if (path == alone) == (alone is not None)}
    changes = changes if alone else {path: value for path, value in changes.items() if path != "model.use_ffnn"}
    before = dict(leaves(PARAMS.runs[run].model_dump()))
    params = tmp_path / "params.yaml"
    shutil.copyfile(COMMITTED, params)
    apply_overrides(params, [f"++runs.{run}.{path}={value}".replace("None", "null") for path, value in changes.items()])
    after = dict(leaves(received(run, params, inputs, monkeypatch)))
    assert {path: after[path] for path in changes} == changes
    assert [path for path in changes if after[path] == before.get(path)] == []


@pytest.mark.parametrize("recipe", [key for key in PARAMS.recipes if not key.endswith("_published")])
def test_a_recipe_reaches_the_training_of_each_of_its_runs(recipe, inputs, tmp_path, monkeypatch):
    params = tmp_path / "params.yaml"
    shutil.copyfile(COMMITTED, params)
    apply_overrides(params, [f"recipes.{recipe}.optimizer.lr=0.0123", f"recipes.{recipe}.max_epochs=3"])
    for run in (key for key, found in PARAMS.runs.items() if found.recipe == recipe):
        found = received(run, params, inputs, monkeypatch)
        assert (found["optimizer"]["lr"], found["max_epochs"]) == (0.0123, 3), run
