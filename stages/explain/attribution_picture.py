"""A picture of samples beside the attribution of their predicted class."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from stages.evaluation.pictures.canvas import INK, QUIET, short, titled_figure
from stages.evaluation.pictures.inside import covered
from stages.explain import attribution
from stages.explain import prediction_picture as picture
from stages.explain.prediction_picture import BANDS
from stages.serving.predictions import Prediction
from stages.serving.served_run import ServedRun

ROWS = 6
WIDTH_IN = 9.4
ROW_IN = {"image": 2.5, "audio": 3.2, "windows": 4.6, "recording": 4.6}
MIN_ELECTRODES = 4  # fewer electrodes do not make a head map
WHAT = {
    "image": "Grad-CAM: which parts of the face support the class",
    "audio": "attribution over time and mel bands",
    "windows": "attribution over channels and bands",
    "recording": "attribution over channels and bands",
}
# Older names, and the nearest positions of the two channels of SEED's cap that the 10-05 system lacks.
_ALIASES = {"CB1": "PO9", "CB2": "PO10", "T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


def draw_attributions(path: Path, run: ServedRun, predictions: list[Prediction]) -> None:
    """Draw one row for each of the first `ROWS` faces, clips or trials: the attribution of its most probable class."""
    rows, kind = predictions[:ROWS], run.kind
    left_out = f", the first {ROWS} of {len(predictions)}" if len(predictions) > ROWS else ""
    is_embedding = run.info["input"]["layout"][0] == "speed"
    what = ("attribution over layers of the speaker encoder" if is_embedding else WHAT[kind]) + left_out
    figure = titled_figure(picture.caption(run, len(rows)), what, WIDTH_IN, ROW_IN[kind] * len(rows))
    names = picture.distinct_names(prediction.query.file for prediction in rows)
    grid = figure.add_gridspec(len(rows), 1)
    draw = _embedding if is_embedding else {"image": _face, "audio": _clip}.get(kind, _trial)
    for number, prediction in enumerate(rows):
        draw(figure, grid[number], run, prediction, picture.title(prediction, kind, names))
    picture.save_full_color(figure, path)


def _class_text(run: ServedRun, prediction: Prediction) -> str:
    target = int(prediction.probabilities.argmax())
    uncertain = ", uncertain" if prediction.is_uncertain else ""
    return f"{short(run.classes[target])} {prediction.probabilities[target]:.2f}{uncertain}"


def _face(figure: Figure, place: SubplotSpec, run: ServedRun, prediction: Prediction, name: str) -> None:
    left, middle, right = (figure.add_subplot(spot) for spot in place.subgridspec(1, 3, width_ratios=(1, 1, 1.2)))
    found = attribution.grad_cam(run, prediction.query.prepared, int(prediction.probabilities.argmax()))
    x = prediction.query.prepared[0]
    face = np.broadcast_to(x.transpose(1, 2, 0) / 255, (*x.shape[1:], 3))  # (1 or 3, H, W) → (H, W, 3) in 0..1
    part = f", {prediction.query.part}" if prediction.query.part else ""
    _tile(left, face, f"{name}{part}")
    _tile(middle, covered(face, found), f"for {_class_text(run, prediction)}")
    middle.set_xlabel(f"{found.min():.2g} (violet) to {found.max():.2g} (yellow)", fontsize=7, color=QUIET)
    picture.bars(right, prediction.probabilities, run.classes)


def _tile(axes: Axes, image: np.ndarray, title: str) -> None:
    axes.imshow(image, interpolation="nearest", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_title(title, fontsize=8, color=INK, loc="left")


def _clip(figure: Figure, place: SubplotSpec, run: ServedRun, prediction: Prediction, name: str) -> None:
    """Draw the spectrogram, below it the attributions on the same axes, and their sum for each mel band."""
    grid = place.subgridspec(2, 2, width_ratios=(3.2, 1))
    above, below = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[1, 0])
    x, length = prediction.query.prepared
    found = attribution.attributions(run, prediction.query.prepared, int(prediction.probabilities.argmax()))
    picture.spectrogram(above, run, x[:length])
    above.set_xlabel("")
    above.set_title(name, fontsize=8.5, color=INK, loc="left")
    limit = max(float(np.percentile(np.abs(found), 99.5)), 1e-9)
    picture.color_bar(below, picture.over_time(below, run, found, cmap="RdBu_r", vmin=-limit, vmax=limit), "logit")
    below.set_title(f"for (red) and against (blue) {_class_text(run, prediction)}", fontsize=8.5, color=INK, loc="left")
    picture.bars(figure.add_subplot(grid[0, 1]), prediction.probabilities, run.classes)
    _band_sums(figure.add_subplot(grid[1, 1], sharey=below), found.sum(axis=0))


def _embedding(figure: Figure, place: SubplotSpec, run: ServedRun, prediction: Prediction, name: str) -> None:
    """Draw what the statistics of each layer of the speaker encoder add to the class: its units have no names."""
    grid = place.subgridspec(1, 2, width_ratios=(2.2, 1))
    left = figure.add_subplot(grid[0, 0])
    found = attribution.attributions(run, prediction.query.prepared, int(prediction.probabilities.argmax()))
    sums = found.sum(axis=(0, 2))  # (speeds, statistics, units) → (statistics,)
    left.barh(picture.STATISTICS[: len(sums)], sums, color=np.where(sums >= 0, "#b2182b", "#2166ac"))
    left.axvline(0, color=QUIET, linewidth=0.8)
    left.invert_yaxis()
    left.set_xlabel("logit, summed over the units of the speaker encoder", fontsize=8, color=INK)
    left.tick_params(labelsize=7.5, colors=QUIET)
    heading = f"{name}: for (red) and against (blue) {_class_text(run, prediction)}"
    left.set_title(heading, fontsize=8.5, color=INK, loc="left")
    picture.bars(figure.add_subplot(grid[0, 1]), prediction.probabilities, run.classes)


def _band_sums(axes: Axes, sums: np.ndarray) -> None:
    """Draw (n_mels,) sums in logits."""
    axes.barh(np.arange(len(sums)) + 0.5, sums, height=1.0, color=np.where(sums >= 0, "#b2182b", "#2166ac"))
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_xlabel("logit, summed over time", fontsize=8, color=INK)
    axes.tick_params(labelsize=7.5, colors=QUIET)
    axes.tick_params(axis="y", labelleft=False)


def _trial(figure: Figure, place: SubplotSpec, run: ServedRun, prediction: Prediction, name: str) -> None:
    """Draw a head map for each band, and below all channels, also those of unknown position."""
    found = attribution.attributions(run, prediction.query.prepared, int(prediction.probabilities.argmax())).sum(axis=0)
    names = picture.channel_names(run.info)
    grid = place.subgridspec(2, 1, height_ratios=(1.1, 1))
    heading = f"{name}: for (red) and against (blue) {_class_text(run, prediction)}"
    _heads(figure, grid[0], names, picture.over_bands(found), heading)
    lower = grid[1].subgridspec(1, 2, width_ratios=(2.4, 1))
    picture.channel_map(figure.add_subplot(lower[0, 0]), names, found, "logit, summed over time")
    picture.bars(figure.add_subplot(lower[0, 1]), prediction.probabilities, run.classes)


def _heads(figure: Figure, place: SubplotSpec, names: list[str], values: np.ndarray, heading: str) -> None:
    """Draw (channels, bands) with MNE's head map, for the channels whose position is known."""
    from mne.viz import plot_topomap

    places, known = positions(names)
    limit = max(float(np.abs(values).max()), 1e-9)
    levels = [limit * third / 3 for third in (-2, -1, 1, 2)]  # a contour at zero would follow noise
    rim = 1.02 * np.linalg.norm(places, axis=1).max(initial=1.0)  # SEED's cap reaches below the height of the ears
    for number, (spot, band) in enumerate(zip(place.subgridspec(1, len(BANDS)), BANDS, strict=True)):
        axes = figure.add_subplot(spot)
        if len(known) < MIN_ELECTRODES:
            axes.text(0.5, 0.5, "channel positions\nunknown", ha="center", va="center", fontsize=7, color=QUIET)
            axes.set_axis_off()
        else:
            options = {"sphere": (0, 0, 0, rim), "cmap": "RdBu_r", "vlim": (-limit, limit), "contours": levels}
            plot_topomap(values[known, number], places, axes=axes, show=False, **options)
        axes.set_title(band, fontsize=8, color=INK)
        if not number:
            axes.set_title(f"{heading}\n", fontsize=8, color=INK, loc="left")


def positions(names: list[str]) -> tuple[np.ndarray, list[int]]:
    """Return positions (n, 2), to the right and to the front of a head of radius 1, and their indices in `names`.

    Channels outside the 10-05 system and repeated positions are left out. The head is seen from above: the azimuth is
    kept, the distance from the crown is measured along the scalp (azimuthal equidistant projection).
    """
    import mne  # takes a second to import; only head maps need it

    montage = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    positions_m = {name.lower(): position for name, position in montage.items()}
    plain = [name.removeprefix("EEG ").strip().split("-")[0] for name in names]  # 'Fp1' of 'EEG Fp1-Ref'
    plain = [_ALIASES.get(name.upper(), name).lower() for name in plain]
    known = [index for index, name in enumerate(plain) if name in positions_m and name not in plain[:index]]
    if not known:
        return np.empty((0, 2)), []
    center = np.mean([positions_m[name] for name in ("fpz", "oz", "t7", "t8")], axis=0)  # centre of the cap's rim
    xyz = np.stack([positions_m[plain[index]] for index in known]) - center  # (n, 3)
    from_crown = np.arccos(xyz[:, 2] / np.linalg.norm(xyz, axis=1)) / (np.pi / 2)  # 1 at the rim
    azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
    return np.stack([from_crown * np.cos(azimuth), from_crown * np.sin(azimuth)], axis=1), known
