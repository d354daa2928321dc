"""Prints the `dvc exp run` line that puts a real corpus through its runs at the published settings.

    python -m stages.apps.published faces /data/fer2013.zip --name FER-2013

params.yaml holds small values, so that the default run works anywhere. The line puts the published ones in their place:
the recipe `<recipe>_published` where there is one, image sizes, options of models, epochs and trials.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.checks.params import PUBLISHED, load
from stages.core.command import item
from stages.core.errors import exit_with_one_line
from stages.params.load import parse
from stages.params.options import options_of
from stages.params.schema import Params, source_kind

# What the default run makes smaller. Of models: the size of their images, and the options that are cut down.
SIZE_PX = {"keras_cnn": 48, "custom_cnn": 48, "compact_resnet": 48, "dual_attention": 224}
OPTIONS = {
    "compact_resnet": ("widths", "blocks", "views"),
    "dual_attention": ("backbone", "pretrained", "total_stride", "lstm_hidden", "lstm_layers"),
}
RECIPES = {
    "faces_keras": {"max_epochs": 30},
    "faces_custom": {"max_epochs": 30},
    "speech": {"max_epochs": 40},
    "eeg": {"max_epochs": 50, "early_stopping": 10},
}
FOLDS = {"speech": 6}  # of splits
TRIALS = {"faces_custom_cnn": 100, "eeg_dnn_average": 50}  # of studies, each trial as long as a run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", help="a key of corpora in params.yaml, such as faces")
    parser.add_argument("source", help="path of a zip, tar, folder or csv, an https address, or kaggle:<owner>/<slug>")
    parser.add_argument("--name", help="shown with every figure (default: taken from the source)")
    parser.add_argument("--apply", action="store_true", help="run the line instead of printing it")
    parser.add_argument("-S", dest="more", action="append", default=[], help="a further setting, as of dvc exp run")
    args = parser.parse_args()
    params = load(Path("params.yaml"))
    item(params.corpora, args.corpus, "corpora")
    source = args.source if source_kind(args.source) in ("url", "kaggle") else str(Path(args.source).resolve())
    chosen = {f"corpora.{args.corpus}.source": source}
    chosen |= {f"corpora.{args.corpus}.name": args.name or Path(source.rstrip("/")).name.partition(".")[0]}
    own = parse(Path("params.yaml").read_text(encoding="utf-8"))["runs"]
    chosen |= dict(published(params, own, args.corpus)) | {"machine.threads": len(os.sched_getaffinity(0))}
    settings = [f"{path}={hydra(value)}" for path, value in chosen.items()] + args.more
    command = ["dvc", "exp", "run", *(word for setting in settings for word in ("-S", setting))]
    if not args.apply:
        print(shlex.join(command))
        return
    sys.exit(subprocess.run(command).returncode)


def published(params: Params, own: dict[str, Any], corpus: str) -> Iterator[tuple[str, Any]]:
    """(dotted path, published value) of each setting that differs, of the runs and studies on `corpus`.

    `own` {run: what it states itself in params.yaml}: a setting is changed there or in its recipe.
    """
    runs = {key: run for key, run in params.runs.items() if run.corpus == corpus}
    sizes = {run.dataset: SIZE_PX[run.model["name"]] for run in runs.values() if run.model["name"] in SIZE_PX}
    yield from ((f"datasets.{dataset}.feature.size_px", size) for dataset, size in sizes.items())
    for key, run in runs.items():
        for option, value in published_model(run.model).items():
            if run.model[option] != value:
                yield f"runs.{key}.model.{option}", value
        if f"{run.recipe}{PUBLISHED}" in params.recipes:
            yield f"runs.{key}.recipe", f"{run.recipe}{PUBLISHED}"
        for name, value in RECIPES.get(run.recipe, {}).items():
            yield f"{f'runs.{key}' if name in own[key] else f'recipes.{run.recipe}'}.{name}", value
    if corpus in FOLDS and params.splits[corpus].folds is not None:
        yield f"splits.{corpus}.folds", FOLDS[corpus]
    for key in (key for key in TRIALS if key in params.studies and params.studies[key].corpus == corpus):
        yield f"studies.{key}.n_trials", TRIALS[key]
        yield f"studies.{key}.max_epochs", None


def published_model(model: dict[str, Any]) -> dict[str, Any]:
    """`model` with the published values of the options that the default run cuts down."""
    options = options_of("models", model["name"])
    return model | {option: options[option][1] for option in OPTIONS.get(model["name"], ())}


def hydra(value: Any) -> str:
    """A value in the grammar of Hydra's overrides; text is quoted where it holds blanks, commas, parentheses, …"""
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z_/][\w.:/-]*", value, re.ASCII):
        # a backslash escapes nothing but a quote, and others of its kind before one
        escaped = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + found[2].replace('"', r"\""), value)
        return f'"{escaped}"'
    return "null" if value is None else str(value).replace(" ", "") if isinstance(value, list) else str(value)


if __name__ == "__main__":
    exit_with_one_line(main)
