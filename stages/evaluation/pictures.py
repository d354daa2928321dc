"""The PNG pictures of one run. Each draws what the figures and rows already say; nothing is computed only here."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.ticker import MaxNLocator

from stages.evaluation import curves
from stages.evaluation.canvas import (
    BLUE,
    GRID,
    INK,
    LINES,
    ORANGE,
    PALETTE,
    QUIET,
    SKY,
    Caption,
    quiet_axes,
    save,
    short,
    titled_figure,
)
from stages.evaluation.group_picture import draw_groups


def draw_all(
    folder: Path, caption: Caption, labels: np.ndarray, probabilities: np.ndarray, classes: list[str], figures: dict
) -> None:
    """`confusion_{counts,normalized}.png`, `roc.png`, `reliability.png` and `per_group.png` of the test part."""
    confusion = np.array(figures["confusion"])
    draw_confusion(folder / "confusion_counts.png", caption, confusion, classes, normalized=False)
    draw_confusion(folder / "confusion_normalized.png", caption, confusion, classes, normalized=True)
    draw_roc(folder / "roc.png", caption, curves.one_vs_rest(labels, probabilities, classes), classes)
    draw_reliability(folder / "reliability.png", caption, curves.calibration(labels, probabilities), figures["ece"])
    draw_groups(folder / "per_group.png", caption, figures)


def draw_confusion(
    path: Path, caption: Caption, confusion: np.ndarray, classes: list[str], *, normalized: bool
) -> None:
    """Rows are true classes with their support; normalised by row, or counts."""
    support = confusion.sum(axis=1, keepdims=True)  # (C, 1)
    shares = np.where(support, confusion / np.maximum(support, 1), np.nan)
    values, top = (shares, 1.0) if normalized else (np.where(support, confusion, np.nan), confusion.max())
    side_in = max(3.2, 0.52 * len(classes))
    what = "confusion, share of each true class" if normalized else "confusion, test samples counted"
    figure = titled_figure(caption, what, side_in + 2.1, side_in + 1.1)
    axes = figure.add_subplot()
    axes.imshow(values, cmap=_sequential(), vmin=0, vmax=top)
    _write_cells(axes, values, top, ".2f" if normalized else ",.0f")
    _label_matrix(axes, classes, support.ravel())
    save(figure, path)


def _sequential() -> Colormap:
    """White to blue; grey where a class has no test sample."""
    return colormaps["Blues"].with_extremes(bad="#eaecef")


def _write_cells(axes: Axes, values: np.ndarray, top: float, form: str) -> None:
    """The number in each cell, light on dark and dark on light; zeros stay quiet."""
    size = 9 if len(values) <= 7 else 8
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else format(value, form)
        colour = "white" if value > 0.6 * top else INK if value > 0 else QUIET
        cell = axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
        cell.set_in_layout(False)  # it lies within its cell: the layout need not measure it


def _label_matrix(axes: Axes, classes: list[str], support: np.ndarray) -> None:
    names = [short(name) for name in classes]
    slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 5 else {}
    axes.set_xticks(range(len(names)), names, **slant)
    axes.set_yticks(range(len(names)), [f"{name}  ({n:,})" for name, n in zip(names, support, strict=True)])
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true (samples)", color=INK)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=INK)
    axes.spines[:].set_color(GRID)


def draw_roc(path: Path, caption: Caption, found: list[curves.Roc], classes: list[str]) -> None:
    """A curve per class and their mean; the legend, beside the plot, gives the areas under them."""
    figure = titled_figure(caption, "ROC, one class against the rest", 7.0, 4.4)
    axes = figure.add_subplot(aspect="equal", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    quiet_axes(axes)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
    by_name = {curve.name: curve for curve in found}
    for index, name in enumerate(classes):
        _roc_line(axes, by_name.get(name), short(name), color=PALETTE[index % 10], linestyle=LINES[index // 5 % 2])
    _roc_line(axes, by_name.get("macro"), "macro mean", color="#8b949e", linewidth=4.5, zorder=1.9)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.legend(title="area under curve", loc="upper left", bbox_to_anchor=(1.03, 1), frameon=False, fontsize=8.5)
    save(figure, path)


def _roc_line(axes: Axes, curve: curves.Roc | None, name: str, **style: object) -> None:
    """A class that has no curve still stands in the legend, so that it is not missed."""
    style = {"linewidth": 1.4} | style
    if curve is None:
        axes.plot([], [], label=f"–        {name} (no curve)", **style)
    else:
        axes.plot(curve.fpr, curve.tpr, label=f"{curve.area:.3f}  {name}", **style)


_BARS = {"align": "edge", "width": 1 / curves.CALIBRATION_BINS, "facecolor": SKY, "edgecolor": "white"}


def draw_reliability(path: Path, caption: Caption, bins: list[curves.Bin], ece: float) -> None:
    """Accuracy against confidence in 15 bins, above how many samples have that confidence."""
    figure = titled_figure(caption, "reliability, is the confidence deserved?", 5.6, 5.0)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for axes in (upper, lower):
        quiet_axes(axes)
    _reliability_bars(upper, bins)
    upper.text(0.03, 0.95, f"ECE {ece:.3f}", transform=upper.transAxes, va="top", fontsize=11, weight="bold", color=INK)
    lower.bar([b.low for b in bins], [b.n for b in bins], **_BARS)
    lower.set(xlim=(0, 1), xlabel="confidence in the predicted class", ylabel="samples")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    figure.align_ylabels()
    save(figure, path)


def _reliability_bars(axes: Axes, bins: list[curves.Bin]) -> None:
    """Blue is the accuracy; the orange outline shows how far the mean confidence is from it."""
    low = [b.low for b in bins]
    gaps = [b.confidence - b.accuracy for b in bins]
    accuracy = [b.accuracy for b in bins]
    outline = _BARS | {"facecolor": "none", "edgecolor": ORANGE, "hatch": "////", "linewidth": 0.8}
    axes.bar(low, accuracy, label="accuracy", **_BARS)
    axes.bar(low, gaps, bottom=accuracy, label="gap to confidence", **outline)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--", label="perfectly calibrated")
    axes.set(ylim=(0, 1), ylabel="accuracy")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.9), frameon=False, fontsize=8)


def draw_history(path: Path, caption: Caption, history_rows: list[dict], best_epoch: int | None = None) -> None:
    """Loss and accuracy by epoch, from the rows of `history.csv`; the line marks `best_epoch`, else the lowest loss."""
    columns = {name: np.array([_number(row.get(name)) for row in history_rows]) for name in ("epoch", *_HISTORY)}
    best, why = (best_epoch, "chosen") if best_epoch is not None else (_lowest(columns), "lowest validation loss")
    figure = titled_figure(caption, "learning curves, training and validation parts", 7.6, 3.3)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        quiet_axes(axes)
        _history_panel(axes, columns, quantity)
        if best is not None:
            axes.axvline(best, color=QUIET, linewidth=1, linestyle="--", label=f"{why}: epoch {best:g}")
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    save(figure, path)


_HISTORY = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


def _history_panel(axes: Axes, columns: dict[str, np.ndarray], quantity: str) -> None:
    epochs = columns["epoch"]
    marker = "o" if len(epochs) <= 30 else ""
    for part, colour, line in (("train", ORANGE, LINES[1]), ("validation", BLUE, LINES[0])):
        values = columns[f"{part}_{quantity}"]
        axes.plot(epochs, values, color=colour, linestyle=line, marker=marker, markersize=3.5, label=part)
    axes.set(xlabel="epoch", ylabel=quantity)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlim(np.nanmin(epochs) - 0.5, np.nanmax(epochs) + 0.5)
    if quantity == "accuracy":
        axes.set_ylim(0, 1)


def _lowest(columns: dict[str, np.ndarray]) -> float | None:
    loss = columns["validation_loss"]
    return None if np.isnan(loss).all() else float(columns["epoch"][np.nanargmin(loss)])


def _number(value: object) -> float:
    """A cell of history.csv; empty (no validation in that epoch) is no point."""
    return float("nan") if value in (None, "") else float(value)
