"""All rows and pictures of one run, into the folder of its plots."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.evaluation import pictures, rows
from stages.evaluation.attention_picture import draw_attention
from stages.evaluation.basis_picture import draw_bases
from stages.evaluation.canvas import Caption


@dataclass(frozen=True)
class Judged:
    """The test part: labels (N,), probabilities (N, C), and the figures computed from both."""

    labels: np.ndarray
    probabilities: np.ndarray
    figures: dict[str, Any]


def draw(folder: Path, told: dict[str, Any], judged: Judged, history: Path, best_epoch: int, n_train: int) -> Caption:
    """CSV rows for `dvc plots`, and the pictures every run has. `told`: run, classes, name, protocol, synthetic."""
    classes = told["classes"]
    caption = Caption(told["run"], told["name"], told["protocol"], len(judged.labels), told["synthetic"])
    rows.write_all(folder, judged.labels, judged.probabilities, classes, judged.figures, told["name"])
    pictures.draw_all(folder, caption, judged.labels, judged.probabilities, classes, judged.figures)
    epochs = list(csv.DictReader(history.read_text(encoding="utf-8").splitlines()))
    pictures.draw_history(folder / "history.png", replace(caption, n=n_train), epochs, best_epoch)
    return caption


def look_inside(
    folder: Path, caption: Caption, recogniser: Any, judged: Judged, at: np.ndarray, x: torch.Tensor, classes: list[str]
) -> None:
    """The pictures only some networks have: bases, and attention over the samples `x` (n, …), numbers `at` (n,)."""
    draw_bases(folder / "bases.png", caption, recogniser.architecture)
    seen = judged.labels[at], judged.probabilities[at]
    draw_attention(folder / "attention.png", caption, recogniser, x, *seen, classes)
