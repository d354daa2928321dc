"""A picture of samples beside bars of their probabilities: photos with boxes, mel-spectrograms, EEG."""

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

from stages.core.errors import printable
from stages.core.files import written_whole
from stages.evaluation.pictures import canvas
from stages.evaluation.pictures.canvas import INK, ORANGE, QUIET, short
from stages.features.eeg_de import BANDS_HZ
from stages.serving.inputs import read_samples
from stages.serving.predictions import UNCERTAIN, Prediction
from stages.serving.served_run import ServedRun

ROWS = 8  # at most, in a picture; its title gives the number left out
FACES = 6  # faces of one photo with bars
MAX_NUMBERED, MAX_NAMED = 40, 12  # faces of one photo; more labels would hide the faces
LABEL = {"color": "white", "backgroundcolor": ORANGE, "fontsize": 7, "va": "bottom", "clip_on": True}
PHOTO_PX = 900
WIDTH_IN, ROW_IN, BAR_IN = 8.6, 2.9, 0.21
BANDS = tuple(BANDS_HZ)
# Rows of feature speaker_embedding; the last is there with `use_level`.
STATISTICS = (*(f"layer {layer} {what}" for layer in (2, 3) for what in ("sd", "10 %", "90 %")), "level")
# The channels of SEED's cap in the order of its features (Liu et al. 2021, channel_62_pos.locs).
SEED_CHANNELS = (
    *("Fp1", "Fpz", "Fp2", "AF3", "AF4"),
    *("F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8"),
    *("FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8"),
    *("T7", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T8"),
    *("TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8"),
    *("P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8"),
    *("PO7", "PO5", "PO3", "POz", "PO4", "PO6", "PO8"),
    *("CB1", "O1", "Oz", "O2", "CB2"),
)


def draw_predictions(path: Path, run: ServedRun, predictions: list[Prediction]) -> None:
    """Draw one row for each of the first `ROWS` photos, clips or trials."""
    by_file = [list(group) for _, group in groupby(predictions, lambda prediction: prediction.query.file)]
    rows = by_file if run.kind == "image" else [[prediction] for prediction in predictions]
    what = "predictions" if len(rows) <= ROWS else f"predictions, the first {ROWS} of {len(rows)}"
    lines = [-(-min(len(row), FACES) // 2) for row in rows[:ROWS]]  # lines of bars, with two faces a line
    heights = [max(ROW_IN, count * (0.75 + BAR_IN * len(run.classes))) for count in lines]
    figure = canvas.titled_figure(caption(run, sum(map(len, rows[:ROWS]))), what, WIDTH_IN, sum(heights))
    names = distinct_names(row[0].query.file for row in rows[:ROWS])
    grid = figure.add_gridspec(len(heights), 2, width_ratios=(1.15, 1), height_ratios=heights)
    for number, row in enumerate(rows[:ROWS]):
        left = figure.add_subplot(grid[number, 0])
        if run.kind == "image":
            photo(left, row, run.classes)
        else:
            draw_prepared(left, run, row[0])
        left.set_title(title(row[0], run.kind, names), fontsize=8.5, color=INK, loc="left")
        _bars_beside(figure, grid[number, 1], row, run.classes)
    save_full_color(figure, path)


def save_full_color(figure: Figure, path: Path) -> None:
    """Write all colours: the picture holds a photo and is not kept in a repository, so its size matters little."""
    figure.canvas.draw()
    with written_whole(path) as temporary:
        Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3]).save(temporary, "PNG")


def caption(run: ServedRun, count: int) -> canvas.Caption:
    """Return the caption: run, training corpus, protocol."""
    info, where = run.info, f"trained on {run.info['name']}; your files"
    return canvas.Caption(info["run"], where, info["protocol"], count, info["synthetic"])


def distinct_names(files: Iterable[Path]) -> dict[Path, str]:
    """Return {file: name}; equal names get as many parent folders as make them distinct."""
    files = list(dict.fromkeys(files))
    names = {file: file.name for file in files}
    for depth in range(2, max((len(file.parts) for file in files), default=0) + 1):
        counts = Counter(names.values())
        names = {file: str(Path(*file.parts[-depth:])) if counts[name] > 1 else name for file, name in names.items()}
    return names


def title(prediction: Prediction, kind: str, names: dict[Path, str]) -> str:
    """Return file and part; the faces of a photo are named beside it."""
    part = f", {prediction.query.part}" if prediction.query.part and kind != "image" else ""
    return short(f"{printable(names[prediction.query.file])}{part}", 56)


def photo(axes: Axes, row: list[Prediction], classes: list[str]) -> None:
    """Draw the picture with a box around each face, its class and the number of its bars."""
    [sample] = read_samples(row[0].query.file, "image")
    image, _ = sample.load()
    factor = min(1.0, PHOTO_PX / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
    shown = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image
    axes.imshow(shown, cmap="gray", vmin=0, vmax=255, extent=(0, image.shape[1], image.shape[0], 0))
    axes.set_axis_off()
    for number, prediction in enumerate(row, start=1):
        box = prediction.query.box
        for color, linewidth in (("white", 2.6), (ORANGE, 1.4)):
            line = {"fill": False, "color": color, "linewidth": linewidth}
            rotation = {"angle": box.tilt_deg, "rotation_point": "center"}
            axes.add_patch(Rectangle((box.left, box.top), box.width, box.height, **rotation, **line))
        if len(row) <= MAX_NUMBERED:
            number_text = str(number) if len(row) > 1 else ""
            class_text = short(prediction.answer(classes)) if len(row) <= MAX_NAMED else ""
            axes.text(box.left, box.top, f"{number_text} {class_text}".strip(), **LABEL)


def draw_prepared(axes: Axes, run: ServedRun, prediction: Prediction) -> None:
    """Draw the input of the network: a spectrogram without padding, a speaker embedding, or channels and bands."""
    x, length = prediction.query.prepared
    if run.info["input"]["layout"][0] == "speed":
        embedding(axes, run.standardised((x, length)).mean(axis=0))
    elif run.kind == "audio":
        spectrogram(axes, run, x[:length])
    else:
        means = run.standardised((x, length))[:length].mean(axis=0)  # (features,) over the true steps
        channel_map(axes, channel_names(run.info), means, "standard deviations")


def embedding(axes: Axes, values: np.ndarray) -> None:
    """Draw (statistics, units) of the speaker encoder, the mean over the speeds, in standard deviations."""
    image = axes.imshow(values, aspect="auto", cmap="RdBu_r", vmin=-3, vmax=3, interpolation="nearest")
    axes.set_yticks(range(len(values)), STATISTICS[: len(values)])
    axes.set_xlabel("unit of the speaker encoder", fontsize=8, color=INK)
    axes.tick_params(labelsize=7.5, colors=QUIET)
    color_bar(axes, image, "standard deviations")


def spectrogram(axes: Axes, run: ServedRun, bands: np.ndarray) -> None:
    """Draw (frames, n_mels) in dB."""
    color_bar(axes, over_time(axes, run, bands, cmap="magma"), "dB")


def over_time(axes: Axes, run: ServedRun, values: np.ndarray, **options: Any) -> AxesImage:
    """Draw (frames, n_mels) with time on x and mel bands on y. `options`: of imshow."""
    extent = (0, len(values) / run.info["input"]["rate_hz"], 0, values.shape[1])
    trimmed = ", without leading silence" if run.info["feature"]["trim_db"] else ""
    axes.set_xlabel(f"time in s{trimmed}", fontsize=8, color=INK)
    axes.set_ylabel("mel band", fontsize=8, color=INK)
    axes.tick_params(labelsize=7.5, colors=QUIET)
    return axes.imshow(values.T, origin="lower", aspect="auto", extent=extent, **options)


def color_bar(axes: Axes, image: AxesImage, unit: str) -> None:
    """Draw the scale of a map's colours."""
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(unit, fontsize=7.5, color=INK)
    bar.ax.tick_params(labelsize=7, colors=QUIET)


def channel_map(axes: Axes, names: list[str], values: np.ndarray, unit: str) -> None:
    """Draw (features,) with channels on x and bands on y, blue below 0 and red above."""
    shown = over_bands(values).T  # (bands, channels)
    limit = max(float(np.abs(shown).max()), 1e-9)
    image = axes.imshow(shown, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit)
    axes.set_yticks(range(len(BANDS)), BANDS)
    step = max(1, -(-len(names) // 16))
    axes.set_xticks(range(0, len(names), step), [short(name, 8) for name in names[::step]], rotation=90)
    axes.tick_params(labelsize=7.5, colors=QUIET, labelcolor=INK)
    color_bar(axes, image, unit)


def channel_names(info: dict[str, Any]) -> list[str]:
    """Return the names of a run's channels in the order of its features; numbers where the names are unknown."""
    count = info["input"]["shape"][1] // len(BANDS)
    if info["feature"]["name"] == "eeg_de":
        return list(info["feature"]["channels"])
    return list(SEED_CHANNELS) if count == len(SEED_CHANNELS) else [str(number + 1) for number in range(count)]


def over_bands(values: np.ndarray) -> np.ndarray:
    """Reshape (…, features) to (…, channels, bands); the five bands of the first channel come first."""
    return values.reshape(*values.shape[:-1], -1, len(BANDS))


def _bars_beside(figure: Figure, place: SubplotSpec, row: list[Prediction], classes: list[str]) -> None:
    """Draw the bars of each face below its number in the photo and its note; the last counts those without bars."""
    shown, columns = row[:FACES], 2 if len(row) > 1 else 1
    grid = place.subgridspec(-(-len(shown) // columns), columns)
    for number, prediction in enumerate(shown):
        axes = figure.add_subplot(grid[divmod(number, columns)])
        bars(axes, prediction.probabilities, classes)
        more = f" (+ {len(row) - FACES} without bars)" if number == FACES - 1 and len(row) > FACES else ""
        texts = f"{number + 1}" if len(row) > 1 else "", UNCERTAIN if prediction.is_uncertain else ""
        texts = *texts, prediction.query.note.split(";")[0]
        axes.set_title(short(": ".join(filter(None, texts)) + more, 44), fontsize=8, color=INK, loc="left")


def bars(axes: Axes, probabilities: Iterable[float], classes: list[str]) -> None:
    """Draw a bar for each class, in the run's order from the top; the most probable one is dark."""
    values = np.asarray(probabilities)
    places, best = np.arange(len(classes))[::-1], int(values.argmax())
    colours = [canvas.BLUE if index == best else canvas.SKY for index in range(len(classes))]
    canvas.quiet_axes(axes)
    axes.grid(axis="y", visible=False)
    axes.barh(places, values, color=colours, height=0.72)
    for place, value, index in zip(places, values, range(len(values)), strict=True):
        weight = "bold" if index == best else "normal"
        axes.text(value + 0.02, place, f"{value:.2f}", va="center", fontsize=7.5, color=INK, weight=weight)
    axes.set_yticks(places, [short(name) for name in classes], fontsize=8)
    axes.set_xlim(0, 1.16)
    axes.set_xticks((0, 0.5, 1))
