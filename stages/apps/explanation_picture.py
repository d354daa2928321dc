"""Samples beside what in them speaks for the class that was answered."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from stages.apps import explanation
from stages.apps.answer_picture import (
    bars,
    caption,
    channel_map,
    color_bar,
    over_time,
    save_true,
    spectrogram,
    title,
    told_apart,
)
from stages.apps.answers import Answer
from stages.apps.electrodes import BANDS, channel_names, over_bands, positions
from stages.apps.serving import ServedRun
from stages.evaluation.attention_picture import covered
from stages.evaluation.canvas import INK, QUIET, short, titled_figure

ROWS = 6
WIDTH_IN = 9.4
ROW_IN = {"image": 2.5, "audio": 3.2, "windows": 4.6, "recording": 4.6}
FEWEST_ELECTRODES = 4  # from which a head is drawn
WHAT = {
    "image": "Grad-CAM: where the face shows the class",
    "audio": "what speaks for the class, over time and mel bands",
    "windows": "what speaks for the class, over channels and bands",
    "recording": "what speaks for the class, over channels and bands",
}


def draw_explanations(path: Path, run: ServedRun, answers: list[Answer]) -> None:
    """One row for each face, clip or trial, explaining its most probable class; `answers` hold what was asked."""
    rows, kind = answers[:ROWS], run.kind
    left_out = f", the first {ROWS} of {len(answers)}" if len(answers) > ROWS else ""
    figure = titled_figure(caption(run, len(rows)), WHAT[kind] + left_out, WIDTH_IN, ROW_IN[kind] * len(rows))
    names = told_apart(answer.asked.file for answer in rows)
    grid = figure.add_gridspec(len(rows), 1)
    draw = {"image": _face, "audio": _clip}.get(kind, _trial)
    for number, answer in enumerate(rows):
        draw(figure, grid[number], run, answer, title(answer, kind, names))
    save_true(figure, path)


def _said(run: ServedRun, answer: Answer) -> str:
    target = int(answer.probabilities.argmax())
    return f"{short(run.classes[target])} {answer.probabilities[target]:.2f}"


def _face(figure: Figure, place: SubplotSpec, run: ServedRun, answer: Answer, named: str) -> None:
    left, middle, right = (figure.add_subplot(spot) for spot in place.subgridspec(1, 3, width_ratios=(1, 1, 1.2)))
    found = explanation.grad_cam(run, answer.asked.prepared, int(answer.probabilities.argmax()))
    face = _in_colour(answer.asked.prepared[0])
    part = f", {answer.asked.part}" if answer.asked.part else ""
    _tile(left, face, f"{named}{part}")
    _tile(middle, covered(face, found), f"for {_said(run, answer)}")
    middle.set_xlabel(f"{found.min():.2g} (violet) to {found.max():.2g} (yellow)", fontsize=7, color=QUIET)
    bars(right, answer.probabilities, run.classes)


def _in_colour(x: np.ndarray) -> np.ndarray:
    """(1 or 3, height, width) uint8 → (height, width, 3) in 0..1."""
    return np.broadcast_to(x.transpose(1, 2, 0) / 255, (*x.shape[1:], 3))


def _tile(axes: Axes, picture: np.ndarray, said: str) -> None:
    axes.imshow(picture, interpolation="nearest", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(said, fontsize=8, color=INK, loc="left")


def _clip(figure: Figure, place: SubplotSpec, run: ServedRun, answer: Answer, named: str) -> None:
    """The spectrogram above, contributions below on the same axes, and what each mel band adds in all."""
    grid = place.subgridspec(2, 2, width_ratios=(3.2, 1))
    above, below = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    x, length = answer.asked.prepared
    found = explanation.contributions(run, answer.asked.prepared, int(answer.probabilities.argmax()))
    spectrogram(above, run, x[:length])
    above.set_xlabel("")
    above.set_title(named, fontsize=8.5, color=INK, loc="left")
    limit = max(float(np.percentile(np.abs(found), 99.5)), 1e-9)
    color_bar(below, over_time(below, run, found, cmap="RdBu_r", vmin=-limit, vmax=limit), "logit")
    below.set_title(f"for (red) and against (blue) {_said(run, answer)}", fontsize=8.5, color=INK, loc="left")
    bars(figure.add_subplot(grid[0, 1]), answer.probabilities, run.classes)
    _band_sums(figure.add_subplot(grid[1, 1], sharey=below), found.sum(axis=0))


def _band_sums(axes: Axes, sums: np.ndarray) -> None:
    """(n_mels,) in logits."""
    axes.barh(np.arange(len(sums)) + 0.5, sums, height=1.0, color=np.where(sums >= 0, "#b2182b", "#2166ac"))
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_xlabel("logit, summed over time", fontsize=8, color=INK)
    axes.tick_params(labelsize=7.5, colors=QUIET)
    axes.tick_params(axis="y", labelleft=False)


def _trial(figure: Figure, place: SubplotSpec, run: ServedRun, answer: Answer, named: str) -> None:
    """A head for each band, above the same values as a map, which also has channels of unknown place."""
    found = explanation.contributions(run, answer.asked.prepared, int(answer.probabilities.argmax())).sum(axis=0)
    names = channel_names(run.info)
    grid = place.subgridspec(2, 1, height_ratios=(1.1, 1))
    said = f"{named}: for (red) and against (blue) {_said(run, answer)}"
    _heads(figure, grid[0], names, over_bands(found), said)
    lower = grid[1].subgridspec(1, 2, width_ratios=(2.4, 1))
    channel_map(figure.add_subplot(lower[0, 0]), names, found, "logit, summed over time")
    right = figure.add_subplot(lower[0, 1])
    bars(right, answer.probabilities, run.classes)


def _heads(figure: Figure, place: SubplotSpec, names: list[str], values: np.ndarray, said: str) -> None:
    """(channels, bands) over MNE's head, of those channels whose place is known. No colour is beyond its outline."""
    from mne.viz import plot_topomap

    places, known = positions(names)
    limit = max(float(np.abs(values).max()), 1e-9)
    levels = [limit * third / 3 for third in (-2, -1, 1, 2)]  # a line at zero would follow noise
    rim = 1.02 * np.linalg.norm(places, axis=1).max(initial=1.0)  # SEED's cap reaches below the ears' height
    for number, (spot, band) in enumerate(zip(place.subgridspec(1, len(BANDS)), BANDS, strict=True)):
        axes = figure.add_subplot(spot)
        if len(known) < FEWEST_ELECTRODES:
            axes.text(0.5, 0.5, "places of channels\nnot known", ha="center", va="center", fontsize=7, color=QUIET)
            axes.set_axis_off()
        else:
            options = {"sphere": (0, 0, 0, rim), "cmap": "RdBu_r", "vlim": (-limit, limit), "contours": levels}
            plot_topomap(values[known, number], places, axes=axes, show=False, **options)
        axes.set_title(band, fontsize=8, color=INK)
        if not number:
            axes.set_title(f"{said}\n", fontsize=8, color=INK, loc="left")
