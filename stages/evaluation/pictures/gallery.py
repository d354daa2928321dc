"""All CSV files and pictures of one run, written to the folder of its plots.

`test` are the columns of the predictions file for the test part; `origin` has the keys run, classes, name, protocol and
synthetic. matplotlib is imported only when something is drawn, so that a stage that fails early (wrong path, damaged
model) does not wait for the import.
"""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.files import write_csv, write_json
from stages.core.seeding import generator
from stages.evaluation import curves
from stages.evaluation.predictions import Columns

INSIDE = "inside"  # pictures that only some networks have: DVC has no optional files, so the folder is the output
N_FACES = 4  # as many recognised correctly as not


def choose(test: Columns, seed: int) -> np.ndarray:
    """Return up to 2 `N_FACES` random sample indices, correctly recognised samples first."""
    correct = test["probabilities"].argmax(axis=1) == test["label"]
    random = generator(seed, "faces to look at")
    return np.concatenate([random.permutation(np.flatnonzero(correct == kind))[:N_FACES] for kind in (True, False)])


def draw(
    folder: Path, test: Columns, metrics: dict, origin: dict, history: Path | None = None, info: dict | None = None
) -> None:
    """Write the CSV files for `dvc plots` and the pictures that every run has.

    `history` is the history.csv of the run, `info` the content of its model.json; an ensemble has neither.
    """
    from stages.evaluation.pictures import run as pictures

    content = test["label"], test["probabilities"], origin["classes"], metrics
    write_tables(folder, *content, origin["name"])
    caption = _caption(origin, len(test["label"]))
    pictures.draw_all(folder, caption, *content)
    if history is None:
        return
    epochs = list(csv.DictReader(history.read_text(encoding="utf-8").splitlines()))
    pictures.draw_history(folder / "history.png", replace(caption, n=info["n_train"]), epochs, info["best_epoch"])


def write_tables(
    folder: Path, labels: np.ndarray, probabilities: np.ndarray, classes: list[str], metrics: dict, corpus: str
) -> None:
    """Write `confusion.csv`, `per_class.csv`, `roc.csv` and `calibration.csv` of the test part.

    The last column repeats the name of the corpus ('synthetic', 'FER-2013'), so that plots can show it. DVC's confusion
    templates count the rows of `confusion.csv`, one per sample. `per_class.csv` ends with both averages, as in
    scikit-learn's report; cells of undefined metrics are empty.
    """
    pairs = zip(labels, probabilities.argmax(axis=1), strict=True)
    roc = curves.one_vs_rest(labels, probabilities, classes)
    columns = ("class", "precision", "recall", "f1", "support")
    per_class = [tuple(row[column] for column in columns) for row in metrics["per_class"]]
    n = len(labels)
    weighted_precision = sum(row[1] * row[-1] for row in per_class if row[-1]) / n
    per_class.append(("macro avg", *(metrics[f"{name}_macro"] for name in ("precision", "recall", "f1")), n))
    # recall weighted by support is accuracy: Σ_c (n_c / n) · (hits_c / n_c)
    per_class.append(("weighted avg", weighted_precision, metrics["accuracy"], metrics["f1_weighted"], n))
    tables = {
        "confusion": (("actual", "predicted"), ((classes[true], classes[predicted]) for true, predicted in pairs)),
        "per_class": (columns, per_class),
        "roc": (("class", "fpr", "tpr"), ((c.name, x, y) for c in roc for x, y in zip(c.fpr, c.tpr, strict=True))),
        "calibration": (
            ("bin_low", "bin_high", "confidence", "accuracy", "n"),
            curves.calibration(labels, probabilities),
        ),
    }
    for name, (header, rows) in tables.items():
        write_csv(folder / f"{name}.csv", (*header, "corpus"), ((*row, corpus) for row in rows))


def draw_inside(folder: Path, test: Columns, origin: dict, recogniser: Any, indices: np.ndarray, x: Any) -> None:
    """Write `inside/bases.png` and `inside/attention.png` if the network has them, and list them in a JSON file.

    Attention is shown for the samples `x` (n, …), which have the `indices` (n,) in the test part. The file
    `inside/pictures.json` always exists, because DVC warns of an output that is an empty folder.
    """
    from stages.evaluation.pictures.inside import draw_attention, draw_bases

    inside, caption = folder / INSIDE, _caption(origin, len(test["label"]))
    draw_bases(inside / "bases.png", caption, recogniser.architecture)
    shown = {name: test[name][indices] for name in ("label", "probabilities")}
    draw_attention(inside / "attention.png", caption, recogniser, x, shown, origin["classes"])
    write_json(inside / "pictures.json", {"pictures": sorted(path.name for path in inside.glob("*.png"))})


def _caption(origin: dict, n: int) -> Any:
    from stages.evaluation.pictures.canvas import Caption

    return Caption(**{name: origin[name] for name in ("run", "name", "protocol", "synthetic")}, n=n)
