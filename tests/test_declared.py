"""Declared = effective: every setting of a run that `-S` can change reaches its training."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import ROOT
from dvc.utils.hydra import apply_overrides
from small_store import write_store

from stages import train
from stages.checks.params import load
from stages.core.files import write_json
from stages.params.load import parse
from stages.params.options import options_of
from stages.params.schema import Loss

PARAMS = load(ROOT / "params.yaml")
IMAGE = ["channel", "height", "width"]
SAMPLES = {
    "faces": ((1, 24, 24), IMAGE),
    "portraits": ((3, 24, 24), IMAGE),
    "speech": ((188, 40), ["time", "mel"]),
    "speech_embedding": ((2, 6, 256), ["speed", "statistic", "unit"]),
    **dict.fromkeys(("eeg_zero", "eeg_average"), ((74, 310), ["time", "feature"])),
}
# Names by which a training looks up its other settings; they are changed in other tests.
NAMES = ("corpus", "dataset", "recipe", "model.name", "optimizer.name", "schedule.name", "augmentation.name")
OTHER_VALUES = {
    "monitor": "validation_loss", "precision": "bf16-mixed", "loading": "stream", "loss.class_weights": "balanced",
    "early_stopping": 3, "ema_decay": 0.5, "gradient_clip_norm": 0.25, "loss.mixup": 0.5,
    "model.backbone": "resnet18", "model.pretrained": "weights.pth", "model.total_stride": 8,
    "model.activation": "elu", "model.spatial_kernel": 5, "model.transformer_heads": 2, "model.heads": 2,
    "schedule.step_epochs": 3, "model.n_bands": 2,
}  # fmt: skip


def leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted path and the value of every setting."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def other_value(path: str, value: Any) -> Any:
    """Return another valid value of the same kind."""
    if path in OTHER_VALUES:
        return "none" if OTHER_VALUES[path] == value else OTHER_VALUES[path]
    if path == "model.tta_views":
        return 3 - value  # 1 or 2
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value
    return [2 * width for width in value] if isinstance(value, list) else value / 2 + 0.0013


def changes_of(run: str) -> dict[str, Any]:
    """Return {path: other value} of every setting of a resolved run and of the options of its augmentation."""
    settings = PARAMS.runs[run].model_dump()
    settings["loss"] |= dict.fromkeys(Loss.model_fields.keys() - settings["loss"].keys())
    if settings["augmentation"] is None:
        del settings["augmentation"]
    else:
        options = options_of("datasets.augmentation", settings["augmentation"]["name"])
        defaults = {name: default for name, (_, default) in options.items() if default is not ...}
        settings["augmentation"] = defaults | settings["augmentation"]
    return {path: other_value(path, value) for path, value in leaves(settings) if path not in NAMES}


def write_params(path: Path, run: str) -> Path:
    """Write the committed params with this run only, since the whole file takes seconds to change and to load."""
    params, chosen = parse((ROOT / "params.yaml").read_text(encoding="utf-8")), PARAMS.runs[run]
    kept = {"corpora": chosen.corpus, "splits": chosen.corpus, "datasets": chosen.dataset, "recipes": chosen.recipe}
    for section, key in (kept | {"runs": run}).items():
        params[section] = {key: params[section][key]}
    path.write_text(yaml.safe_dump(params | {"studies": {}, "ensembles": {}, "distillations": {}}), encoding="utf-8")
    return path


class TrainingCalled(Exception):
    """Raised in place of a training, with the settings that it received."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small dataset of every kind, and its split."""
    folder = tmp_path_factory.mktemp("inputs")
    for dataset, (shape, layout) in SAMPLES.items():
        corpus = PARAMS.datasets[dataset].corpus
        classes = PARAMS.corpora[corpus].classes
        x = np.random.default_rng(0).integers(0, 255, (4 * len(classes), *shape)).astype(np.uint8)
        label = np.arange(len(x)) % len(classes)
        write_store(folder / f"{dataset}.h5", x, label=label, classes=classes, corpus=corpus, layout=layout)
        ids = np.array([f"s{number}" for number in range(len(x))])
        parts = np.split(ids, (2 * len(classes), 3 * len(classes)))
        named = {name: part.tolist() for name, part in zip(("train", "validation", "test"), parts, strict=True)}
        write_json(folder / f"{dataset}.json", {"protocol": "official", "parts": named})
    return folder


def received(run: str, params: Path, inputs: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the settings with which `train@<run>` calls the training loop, and those of the model it has built."""

    def fit(recogniser, augmentation, train_batches, validation_batches, settings, **more):
        raise TrainingCalled(settings.model_dump())

    built, build = {}, train.model_folder.build
    dataset = PARAMS.runs[run].dataset
    paths = {"dataset": inputs / f"{dataset}.h5", "split": inputs / f"{dataset}.json", "params": params}
    paths |= {name: params.parent / name for name in ("checkpoints", "logs", "model", "history")}
    with monkeypatch.context() as patch:
        patch.setattr(train, "fit", fit)
        patch.setattr(train.model_folder, "build", lambda info: built.update(info["model"]) or build(info))
        patch.setattr("sys.argv", ["train", run, *(f"--{name}={path}" for name, path in paths.items())])
        with pytest.raises(TrainingCalled) as caught:
            train.main()
    return caught.value.args[0] | {"model": built}


CASES = [(run, None) for run in PARAMS.runs]
# Changed alone: AdaFNN must keep at least one of its branches.
CASES += [(run, "model.use_ffnn") for run, settings in PARAMS.runs.items() if "use_ffnn" in settings.model]


@pytest.mark.parametrize(("run", "alone"), CASES)
def test_every_setting_of_a_run_reaches_its_training(run, alone, inputs, tmp_path, monkeypatch):
    changes = changes_of(run)
    apart = changes.pop("model.use_ffnn", None)
    changes = {alone: apart} if alone else changes
    before = dict(leaves(PARAMS.runs[run].model_dump()))
    params = write_params(tmp_path / "params.yaml", run)
    apply_overrides(params, [f"++runs.{run}.{path}={value}".replace("None", "null") for path, value in changes.items()])
    after = dict(leaves(received(run, params, inputs, monkeypatch)))
    assert {path: after[path] for path in changes} == changes
    assert [path for path in changes if after[path] == before.get(path)] == []


def test_a_changed_recipe_changes_all_of_its_runs(tmp_path):
    """What a run sets itself stays. The test above shows that the settings of a run reach its training."""
    params = tmp_path / "params.yaml"
    params.write_bytes((ROOT / "params.yaml").read_bytes())
    settings = {"optimizer.lr": 0.0123, "max_epochs": 3}
    recipes = {run.recipe for run in PARAMS.runs.values()}
    apply_overrides(params, [f"recipes.{key}.{path}={settings[path]}" for key in recipes for path in settings])
    changed = {key: dict(leaves(run.model_dump())) for key, run in load(params).runs.items()}
    runs = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))["runs"]
    own = {key: {path: value for path, value in leaves(run) if path in settings} for key, run in runs.items()}
    assert {key: {path: run[path] for path in settings} for key, run in changed.items()} == {
        key: settings | own[key] for key in runs
    }
