"""All rows and pictures of one run, into the folder of its plots.

matplotlib is imported where something is drawn, after the figures are written: a stage that stops before (a wrong path,
a damaged model) need not wait for it.
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.core.files import write_json
from stages.core.seeding import generator
from stages.evaluation import rows

if TYPE_CHECKING:
    import torch

    from stages.evaluation.canvas import Caption

INSIDE = "inside"  # the folder of pictures that only some networks have: DVC has no optional files, but folders
FACES = 4  # of those recognised correctly, and of those not


@dataclass(frozen=True)
class Judged:
    """The test part: labels (N,), probabilities (N, C), and the figures computed from both."""

    labels: np.ndarray
    probabilities: np.ndarray
    figures: dict[str, Any]


def choose(labels: np.ndarray, probabilities: np.ndarray, seed: int) -> np.ndarray:
    """(≤ 2 `FACES`,) indices: seeded draws of samples recognised correctly, then of the others. (N,), (N, C)."""
    right = probabilities.argmax(axis=1) == labels
    draw = generator(seed, "faces to look at")
    return np.concatenate([draw.permutation(np.flatnonzero(right == kind))[:FACES] for kind in (True, False)])


def draw(folder: Path, told: dict[str, Any], judged: Judged, history: Path, best_epoch: int, n_train: int) -> None:
    """CSV rows for `dvc plots`, and the pictures every run has. `told`: run, classes, name, protocol, synthetic."""
    from stages.evaluation import pictures

    classes, caption = told["classes"], _caption(told, judged)
    rows.write_all(folder, judged.labels, judged.probabilities, classes, judged.figures, told["name"])
    pictures.draw_all(folder, caption, judged.labels, judged.probabilities, classes, judged.figures)
    epochs = list(csv.DictReader(history.read_text(encoding="utf-8").splitlines()))
    pictures.draw_history(folder / "history.png", replace(caption, n=n_train), epochs, best_epoch)


def look_inside(
    folder: Path, told: dict[str, Any], judged: Judged, recogniser: Any, at: np.ndarray, x: "torch.Tensor"
) -> None:
    """`inside/bases.png` and `inside/attention.png`, of networks that have them; `inside/pictures.json` lists them.

    Attention is shown over the samples `x` (n, …), numbers `at` (n,) of the test part. The list is there in any case:
    DVC warns of an output that is an empty folder.
    """
    from stages.evaluation.attention_picture import draw_attention
    from stages.evaluation.basis_picture import draw_bases

    inside, caption = folder / INSIDE, _caption(told, judged)
    draw_bases(inside / "bases.png", caption, recogniser.architecture)
    seen = judged.labels[at], judged.probabilities[at]
    draw_attention(inside / "attention.png", caption, recogniser, x, *seen, told["classes"])
    write_json(inside / "pictures.json", {"pictures": sorted(path.name for path in inside.glob("*.png"))})


def _caption(told: dict[str, Any], judged: Judged) -> "Caption":
    from stages.evaluation.canvas import Caption

    return Caption(told["run"], told["name"], told["protocol"], len(judged.labels), told["synthetic"])
