"""Samples beside bars of their probabilities: photos with boxes, mel-spectrograms, EEG over channels and bands."""

from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from PIL import Image

from stages.apps.answers import Answer
from stages.apps.electrodes import BANDS, channel_names, over_bands
from stages.apps.inputs import read_samples
from stages.apps.serving import ServedRun
from stages.core.errors import printable
from stages.core.files import written_whole
from stages.evaluation.canvas import (
    BLUE,
    INK,
    ORANGE,
    QUIET,
    SKY,
    Caption,
    quiet_axes,
    short,
    titled_figure,
)

ROWS = 8  # of a picture; how many were left out is said
FACES = 6  # of one photo that get bars
NUMBERED, NAMED = 40, 12  # faces of one photo: from here on their labels hide them
LABEL = {"color": "white", "backgroundcolor": ORANGE, "fontsize": 7, "va": "bottom", "clip_on": True}
PHOTO_PX = 900
WIDTH_IN, ROW_IN, BAR_IN = 8.6, 2.9, 0.21


def draw_answers(path: Path, run: ServedRun, answers: list[Answer]) -> None:
    """One row for each photo, clip or trial; the first `ROWS` of `answers` hold what was asked."""
    by_file = [list(group) for _, group in groupby(answers, lambda answer: answer.asked.file)]
    rows = by_file if run.kind == "image" else [[answer] for answer in answers]
    what = "answers" if len(rows) <= ROWS else f"answers, the first {ROWS} of {len(rows)}"
    heights = [row_height_in(row, run) for row in rows[:ROWS]]
    figure = titled_figure(caption(run, sum(map(len, rows[:ROWS]))), what, WIDTH_IN, sum(heights))
    names = told_apart(row[0].asked.file for row in rows[:ROWS])
    grid = figure.add_gridspec(len(heights), 2, width_ratios=(1.15, 1), height_ratios=heights)
    for number, row in enumerate(rows[:ROWS]):
        left = figure.add_subplot(grid[number, 0])
        if run.kind == "image":
            photo(left, row, run.classes)
        else:
            draw_prepared(left, run, row[0])
        left.set_title(title(row[0], run.kind, names), fontsize=8.5, color=INK, loc="left")
        _bars_beside(figure, grid[number, 1], row, run.classes)
    save_true(figure, path)


def save_true(figure: Figure, path: Path) -> None:
    """In all its colours, whole or not at all: someone's photo, which no repository has to hold."""
    figure.canvas.draw()
    with written_whole(path) as temporary:
        Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]).save(temporary, "PNG")


def caption(run: ServedRun, count: int) -> Caption:
    """Whose answers these are."""
    info = run.info
    return Caption(info["run"], f"trained on {info['name']}; your files", info["protocol"], count, info["synthetic"])


def row_height_in(row: list[Answer], run: ServedRun) -> float:
    """Room for a group of bars for each face."""
    bars = min(len(row), FACES)
    lines = -(-bars // 2) if bars > 1 else 1
    return max(ROW_IN, lines * (0.75 + BAR_IN * len(run.classes)))


def told_apart(files: Iterable[Path]) -> dict[Path, str]:
    """Their names, of those that share one with as much of their folders as tells one from another."""
    files = list(dict.fromkeys(files))
    names = {file: file.name for file in files}
    for depth in range(2, max((len(file.parts) for file in files), default=0) + 1):
        counts = Counter(names.values())
        names = {file: str(Path(*file.parts[-depth:])) if counts[said] > 1 else said for file, said in names.items()}
    return names


def title(answer: Answer, kind: str, names: dict[Path, str]) -> str:
    """File and part; a photo's faces are told beside it."""
    part = f", {answer.asked.part}" if answer.asked.part and kind != "image" else ""
    return short(f"{printable(names[answer.asked.file])}{part}", 56)


def photo(axes: Axes, row: list[Answer], classes: list[str]) -> None:
    """The picture with a box round each face: class, and the number that it has beside the picture."""
    [sample] = read_samples(row[0].asked.file, "image")
    image, _ = sample.load()
    factor = min(1.0, PHOTO_PX / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=(0, image.shape[1], image.shape[0], 0))
    axes.set_axis_off()
    for number, answer in enumerate(row, start=1):
        box = answer.asked.box
        for color, linewidth in (("white", 2.6), (ORANGE, 1.4)):
            line = {"fill": False, "color": color, "linewidth": linewidth}
            leaning = {"angle": box.tilt_deg, "rotation_point": "center"}
            axes.add_patch(Rectangle((box.left, box.top), box.width, box.height, **leaning, **line))
        if len(row) <= NUMBERED:
            axes.text(box.left, box.top, _label(number, row, classes), **LABEL)


def _label(number: int, row: list[Answer], classes: list[str]) -> str:
    """On a face: of several its number, of not too many its class."""
    named = str(number) if len(row) > 1 else ""
    said = short(classes[int(row[number - 1].probabilities.argmax())]) if len(row) <= NAMED else ""
    return " ".join(filter(None, (named, said)))


def draw_prepared(axes: Axes, run: ServedRun, answer: Answer) -> None:
    """What the network was given: a spectrogram over its true time, or a trial's channels and bands."""
    x, length = answer.asked.prepared
    if run.kind == "audio":
        spectrogram(axes, run, x[:length])
    else:
        means = run.standardised((x, length))[:length].mean(axis=0)  # (features,) over the true steps
        channel_map(axes, channel_names(run.info), means, "standard deviations")


def spectrogram(axes: Axes, run: ServedRun, bands: np.ndarray) -> None:
    """(frames, n_mels) in dB."""
    drawn = over_time(axes, run, bands, cmap="magma")
    color_bar(axes, drawn, "dB")


def over_time(axes: Axes, run: ServedRun, values: np.ndarray, **options: Any) -> AxesImage:
    """(frames, n_mels), the time to the right and the bands upward. `options` of imshow."""
    extent = (0, len(values) / run.info["input"]["rate_hz"], 0, values.shape[1])
    trimmed = ", from the first sound" if run.info["feature"]["trim_db"] else ""
    axes.set_xlabel(f"time in s{trimmed}", fontsize=8, color=INK)
    axes.set_ylabel("mel band", fontsize=8, color=INK)
    axes.tick_params(labelsize=7.5, colors=QUIET)
    return axes.imshow(values.T, origin="lower", aspect="auto", extent=extent, **options)


def color_bar(axes: Axes, drawn: AxesImage, unit: str) -> None:
    """What the colours of a map are."""
    bar = axes.figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(unit, fontsize=7.5, color=INK)
    bar.ax.tick_params(labelsize=7, colors=QUIET)


def channel_map(axes: Axes, names: list[str], values: np.ndarray, unit: str) -> None:
    """(features,): bands upward, channels to the right, blue below 0 and red above."""
    shown = over_bands(values).T  # (bands, channels)
    limit = max(float(np.abs(shown).max()), 1e-9)
    drawn = axes.imshow(shown, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_yticks(range(len(BANDS)), BANDS)
    step = max(1, -(-len(names) // 16))
    axes.set_xticks(range(0, len(names), step), [short(name, 8) for name in names[::step]], rotation=90)
    axes.tick_params(labelsize=7.5, colors=QUIET, labelcolor=INK)
    color_bar(axes, drawn, unit)


def _bars_beside(figure: Figure, place: SubplotSpec, row: list[Answer], classes: list[str]) -> None:
    shown = row[:FACES]
    columns = 2 if len(shown) > 1 else 1
    grid = place.subgridspec(-(-len(shown) // columns), columns)
    for number, answer in enumerate(shown):
        axes = figure.add_subplot(grid[divmod(number, columns)])
        bars(axes, answer.probabilities, classes)
        axes.set_title(_said(number, row), fontsize=8, color=INK, loc="left")


def _said(number: int, row: list[Answer]) -> str:
    """The number in the photo, what is odd about the face, and of the last how many more there are."""
    more = f" (+ {len(row) - FACES} without bars)" if number == FACES - 1 and len(row) > FACES else ""
    note = row[number].asked.note.split(";")[0]
    named = f"{number + 1}" if len(row) > 1 else ""
    return short(": ".join(filter(None, (named, note))) + more, 44)


def bars(axes: Axes, probabilities: Iterable[float], classes: list[str]) -> None:
    """One for each class, in the run's order from above; the most probable one is dark."""
    values = np.asarray(probabilities)
    places, best = np.arange(len(classes))[::-1], int(values.argmax())
    colours = [BLUE if index == best else SKY for index in range(len(classes))]
    quiet_axes(axes)
    axes.grid(axis="y", visible=False)
    axes.barh(places, values, color=colours, height=0.72)
    for place, value, index in zip(places, values, range(len(values)), strict=True):
        weight = "bold" if index == best else "normal"
        axes.text(value + 0.02, place, f"{value:.2f}", va="center", fontsize=7.5, color=INK, weight=weight)
    axes.set_yticks(places, [short(name) for name in classes], fontsize=8)
    axes.set_xlim(0, 1.16)
    axes.set_xticks((0, 0.5, 1))
