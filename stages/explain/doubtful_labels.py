"""Labels that are probably wrong: copies of one sample with different labels, and samples that all runs contradict.

The copies come from the audit of the split (`stages.datasets.splits`), the predictions of the validation and test parts
from `evaluate`. A contradicted label is doubtful, not proven wrong: look at the sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.errors import UserError
from stages.evaluation.ensemble import Member
from stages.evaluation.pictures import canvas
from stages.evaluation.pictures.canvas import Caption, short

COLUMNS, SIDE_IN = 8, 1.15
AUDIT = ("label_conflict_ids", "near_label_conflict_ids")


@dataclass(frozen=True)
class Doubtful:
    """A sample with a doubtful label. Samples of one `set_number` belong together: they are copies of one another."""

    set_number: int
    sample_id: str
    part: str
    label: str
    reason: str


def require_current(split: dict, predicted: set[str], known: set[str], corpus: str) -> None:
    """Raise `UserError` for a split or predictions of another version, or of other params."""
    if not set(AUDIT) <= set(split["audit"]) or not predicted <= known:
        raise UserError(f"{corpus}: the split or the predictions are older than params.yaml; `dvc repro` renews them")


def conflicts(split: dict[str, Any], label_of: dict[str, str]) -> Iterator[Doubtful]:
    """Yield the copies that the audit found under several labels; samples of other classes are left out."""
    part_of = {name: part for part, names in split["parts"].items() for name in names}
    part_of |= dict.fromkeys(split["dropped"], "dropped")
    for number, names in enumerate(_merged([names for key in AUDIT for names in split["audit"][key]]), start=1):
        known = [name for name in names if name in label_of]
        reason = f"copies are labelled {' and '.join(sorted({label_of[name] for name in known}))}"
        for name in known:
            yield Doubtful(number, name, part_of.get(name, "unused"), label_of[name], reason)


def _merged(sets: list[list[str]]) -> list[list[str]]:
    """Return the sets with those that share a sample joined: the same copies can be equal bytes and nearly equal."""
    joined: list[list[str]] = []
    for names in sets:
        overlapping = [other for other in joined if not set(names).isdisjoint(other)]
        joined = [other for other in joined if other not in overlapping]
        joined.append(list(dict.fromkeys(name for one in (*overlapping, names) for name in one)))
    return joined


def contradicted(members: dict[str, Member], classes: list[str], threshold: float, first: int) -> Iterator[Doubtful]:
    """Yield the samples for which all runs agree on another class, with a mean probability of `threshold` or more.

    The most probable first; their sets have one sample each, with numbers from `first` on.
    """
    columns = next(iter(members.values())).columns
    every = np.stack([member.columns["probabilities"] for member in members.values()])  # (runs, N, classes)
    answers, mean = every.argmax(axis=2), every.mean(axis=0)  # (runs, N), (N, classes)
    agreed = (answers == answers[0]).all(axis=0) & (answers[0] != columns["label"])
    probability = mean[np.arange(len(mean)), answers[0]]
    rows = np.flatnonzero(agreed & (probability >= threshold))
    for number, row in enumerate(rows[np.argsort(-probability[rows], kind="stable")], start=first):
        label, answer = classes[columns["label"][row]], classes[answers[0][row]]
        reason = f"all runs answer {answer} ({probability[row]:.2f})"
        yield Doubtful(number, columns["sample_id"][row], columns["part"][row], label, reason)


def draw(path: Path, caption: Caption, shown: list[Doubtful], images: dict[str, np.ndarray]) -> None:
    """Write a contact sheet of the images {sample id: (H, W) or (H, W, 3) uint8}; copies follow each other."""
    rows = -(-len(shown) // COLUMNS)
    figure = canvas.titled_figure(caption, "doubtful labels", COLUMNS * SIDE_IN, rows * (SIDE_IN + 0.45))
    grid = figure.add_gridspec(rows, COLUMNS)
    for number, one in enumerate(shown):
        axes = figure.add_subplot(grid[divmod(number, COLUMNS)])
        axes.imshow(images[one.sample_id], cmap="gray", vmin=0, vmax=255)
        axes.set_xticks([])
        axes.set_yticks([])
        is_copy = one.reason.startswith("copies")
        axes.set_title(short(one.label), fontsize=8, color=canvas.INK)
        below = f"set {one.set_number}" if is_copy else one.reason.removeprefix("all runs answer ")
        axes.set_xlabel(short(below), fontsize=7.5, color=canvas.QUIET if is_copy else canvas.WARNING)
    canvas.save(figure, path)
