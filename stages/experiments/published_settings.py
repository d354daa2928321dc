"""The published full-size settings, which replace the small ones of the default run on a real corpus."""

import json
import re
from collections.abc import Iterator
from typing import Any

from stages.checks.params import PUBLISHED
from stages.params.options import options_of
from stages.params.schema import Params, Run

# What the default run reduces: image sizes and options of models, by model; settings of recipes, splits and studies.
SIZE_PX = {"keras_cnn": 48, "custom_cnn": 48, "compact_resnet": 48, "dual_attention": 224}
OPTIONS = {
    "compact_resnet": ("widths", "blocks", "tta_views"),
    "dual_attention": ("backbone", "pretrained", "total_stride", "lstm_hidden", "lstm_layers"),
}
RECIPES = {
    "faces_keras": {"max_epochs": 30},
    "faces_custom": {"max_epochs": 30},
    "speech": {"max_epochs": 40},
    "eeg": {"max_epochs": 50, "early_stopping": 10},
}
RUNS = {"speech_ge2e": {"max_epochs": 80}}  # settings of a run instead of its recipe's
FEATURES = {"speaker_embedding": {"speeds": [0.9, 1.0, 1.1]}}
FOLDS = {"speech": 6}  # number of folds in splits.<corpus>
# Text that Hydra reads as it is, without quotes.
PLAIN = re.compile(r"(?!(?:true|false|null|inf|nan)$)[a-z_/][\w.:/-]*", re.IGNORECASE | re.ASCII)
TRIALS = {"faces_custom_cnn": 100, "eeg_dnn_average": 50}  # n_trials of studies, whose trials are as long as a run


def published(params: Params, own: dict[str, Any], corpus: str) -> Iterator[tuple[str, Any]]:
    """Yield (dotted path, published value) of each setting that differs, for the runs and studies on `corpus`.

    `own` {run: its block in params.yaml}: a setting that stands there is changed there, else in the recipe.
    """
    runs = {key: run for key, run in params.runs.items() if run.corpus == corpus}
    yield from _of_datasets(params, list(runs.values()))
    for key, run in runs.items():
        for option, value in published_model(run.model).items():
            if run.model.get(option, value) != value:
                yield f"runs.{key}.model.{option}", value
        if f"{run.recipe}{PUBLISHED}" in params.recipes:
            yield f"runs.{key}.recipe", f"{run.recipe}{PUBLISHED}"
        for name, value in (RECIPES.get(run.recipe, {}) | RUNS.get(key, {})).items():
            yield f"{f'runs.{key}' if name in own[key] else f'recipes.{run.recipe}'}.{name}", value
    if corpus in FOLDS and params.splits[corpus].folds is not None:
        yield f"splits.{corpus}.folds", FOLDS[corpus]
    for key in (key for key in TRIALS if key in params.studies and params.studies[key].corpus == corpus):
        yield f"studies.{key}.n_trials", TRIALS[key]
        yield f"studies.{key}.max_epochs", None


def _of_datasets(params: Params, runs: list[Run]) -> Iterator[tuple[str, Any]]:
    sizes = {params.prepared(run.dataset): SIZE_PX[run.model["name"]] for run in runs if run.model["name"] in SIZE_PX}
    yield from ((f"datasets.{dataset}.feature.size_px", size) for dataset, size in sizes.items())
    for dataset in dict.fromkeys(params.prepared(run.dataset) for run in runs):
        for option, value in FEATURES.get(params.datasets[dataset].feature["name"], {}).items():
            yield f"datasets.{dataset}.feature.{option}", value


def published_model(model: dict[str, Any]) -> dict[str, Any]:
    """Return `model` with the published values of the options that the default run reduces."""
    options = options_of("models", model["name"])
    return model | {option: options[option][1] for option in OPTIONS.get(model["name"], ()) if option in model}


def exp_run(settings: dict[str, Any], *more: str) -> list[str]:
    """Return the words of the `dvc exp run` line with these settings, and those in `more`, written already."""
    written = [*(f"{path}={hydra(value)}" for path, value in settings.items()), *more]
    return ["dvc", "exp", "run", *(word for setting in written for word in ("-S", setting))]


def hydra(value: Any) -> str:
    """Return a value in the grammar of Hydra's overrides, without rounding; text that it would misread is quoted."""
    if not isinstance(value, str):
        return json.dumps(value, separators=(",", ":"))
    if PLAIN.fullmatch(value):
        return value
    # Hydra: a backslash escapes a quote, and backslashes before a quote
    escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + found[2].replace('"', r"\""), value)
    return f'"{escaped}"'
