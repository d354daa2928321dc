"""Pictures of one run. They draw the metrics and curves computed elsewhere."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator

from stages.evaluation import curves
from stages.evaluation.intervals import wilson
from stages.evaluation.pictures import canvas
from stages.evaluation.pictures.canvas import BLUE, GRID, INK, ORANGE, QUIET, SKY, Caption

_ROW_IN = 0.23
_BARS = {"align": "edge", "width": 1 / curves.CALIBRATION_BINS, "facecolor": SKY, "edgecolor": "white"}


def draw_all(
    folder: Path, caption: Caption, labels: np.ndarray, probabilities: np.ndarray, classes: list[str], metrics: dict
) -> None:
    """Draw `confusion_{counts,normalized}`, `roc`, `reliability`, `coverage`, `per_group` (.png) of the test part."""
    confusion = np.array(metrics["confusion"])
    draw_confusion(folder / "confusion_counts.png", caption, confusion, classes, normalized=False)
    draw_confusion(folder / "confusion_normalized.png", caption, confusion, classes, normalized=True)
    _draw_roc(folder / "roc.png", caption, curves.one_vs_rest(labels, probabilities, classes), classes)
    _draw_reliability(folder / "reliability.png", caption, curves.calibration(labels, probabilities), metrics["ece"])
    _draw_coverage(folder / "coverage.png", caption, curves.coverage(labels, probabilities))
    _draw_groups(folder / "per_group.png", caption, metrics)


def draw_confusion(
    path: Path, caption: Caption, confusion: np.ndarray, classes: list[str], *, normalized: bool
) -> None:
    """Draw the confusion matrix, as counts or normalised by row; rows are true classes, labelled with their support."""
    support = confusion.sum(axis=1, keepdims=True)  # (C, 1)
    shares = np.where(support, confusion / np.maximum(support, 1), np.nan)
    values, top = (shares, 1.0) if normalized else (np.where(support, confusion, np.nan), confusion.max())
    side_in = max(3.2, 0.52 * len(classes))
    what = "confusion matrix, share of each true class" if normalized else "confusion matrix, number of test samples"
    figure = canvas.titled_figure(caption, what, side_in + 2.1, side_in + 1.1)
    axes = figure.add_subplot()
    axes.imshow(values, cmap=colormaps["Blues"].with_extremes(bad="#eaecef"), vmin=0, vmax=top)
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else format(value, ".2f" if normalized else ",.0f")
        colour = "white" if value > 0.6 * top else INK if value > 0 else QUIET
        size = 9 if len(classes) <= 7 else 8
        cell = axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
        cell.set_in_layout(False)  # the layout need not measure text within a cell
    names = [canvas.short(name) for name in classes]
    slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 5 else {}
    axes.set_xticks(range(len(names)), names, **slant)
    axes.set_yticks(range(len(names)), [f"{name}  ({n:,})" for name, n in zip(names, support.ravel(), strict=True)])
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true (samples)", color=INK)
    axes.tick_params(length=0, labelsize=8.5, labelcolor=INK)
    axes.spines[:].set_color(GRID)
    canvas.save(figure, path)


def _draw_roc(path: Path, caption: Caption, roc_curves: list[curves.Roc], classes: list[str]) -> None:
    """Draw the ROC curve of each class and their mean, with the areas under them in the legend."""
    figure = canvas.titled_figure(caption, "ROC curves, one class against the rest", 7.0, 4.4)
    axes = canvas.quiet_axes(figure.add_subplot(aspect="equal", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01)))
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=":")
    styles = {
        name: {"color": canvas.PALETTE[index % 10], "linestyle": canvas.LINES[index // 5 % 2], "linewidth": 1.4}
        for index, name in enumerate(classes)
    }
    by_name = {curve.name: curve for curve in roc_curves}
    for name, style in (styles | {"macro": {"color": "#8b949e", "linewidth": 4.5, "zorder": 1.9}}).items():
        curve, shown = by_name.get(name), "macro mean" if name == "macro" else canvas.short(name)
        if curve is None:  # a class without a curve gets a legend entry only
            axes.plot([], [], label=f"–        {shown} (no curve)", **style)
        else:
            axes.plot(curve.fpr, curve.tpr, label=f"{curve.area:.3f}  {shown}", **style)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.legend(title="area under curve", loc="upper left", bbox_to_anchor=(1.03, 1), frameon=False, fontsize=8.5)
    canvas.save(figure, path)


def _draw_reliability(path: Path, caption: Caption, bins: list[curves.Bin], ece: float) -> None:
    """Draw accuracy against confidence, with its gap as an orange outline; below, the number of samples in each bin."""
    figure = canvas.titled_figure(caption, "reliability diagram", 5.6, 5.0)
    upper, lower = map(canvas.quiet_axes, figure.subplots(2, 1, sharex=True, height_ratios=(3, 1)))
    low, accuracy = [b.low for b in bins], [b.accuracy for b in bins]
    gaps = [b.confidence - b.accuracy for b in bins]
    outline = _BARS | {"facecolor": "none", "edgecolor": ORANGE, "hatch": "////", "linewidth": 0.8}
    upper.bar(low, accuracy, label="accuracy", **_BARS)
    upper.bar(low, gaps, bottom=accuracy, label="gap to confidence", **outline)
    upper.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--", label="perfectly calibrated")
    upper.set(ylim=(0, 1), ylabel="accuracy")
    upper.legend(loc="upper left", bbox_to_anchor=(0, 0.9), frameon=False, fontsize=8)
    upper.text(0.03, 0.95, f"ECE {ece:.3f}", transform=upper.transAxes, va="top", fontsize=11, weight="bold", color=INK)
    lower.bar(low, [b.n for b in bins], **_BARS)
    lower.set(xlim=(0, 1), xlabel="confidence in the predicted class", ylabel="samples")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    figure.align_ylabels()
    canvas.save(figure, path)


def _draw_coverage(path: Path, caption: Caption, answered: list[curves.Answered]) -> None:
    """Draw the accuracy among answered samples against their share, with marks at four thresholds."""
    figure = canvas.titled_figure(caption, "accuracy by coverage", 5.6, 3.6)
    axes = canvas.quiet_axes(figure.add_subplot())
    accuracies = [row.accuracy for row in answered]
    axes.plot([row.coverage for row in answered], accuracies, color=BLUE, linewidth=1.6)
    marked = [row for row in answered if round(100 * row.threshold) % 20 == 0 and row.threshold > 0]
    axes.plot([row.coverage for row in marked], [row.accuracy for row in marked], "o", color=BLUE, markersize=4.5)
    style = {"xytext": (3, 5), "textcoords": "offset points", "fontsize": 8, "color": INK}
    for row in marked:
        axes.annotate(f"p ≥ {row.threshold:.1f}", (row.coverage, row.accuracy), **style)
    axes.set(xlim=(0, 1.1), ylim=(max(0.0, min(accuracies) - 0.1), 1.03), xticks=np.linspace(0, 1, 6))
    axes.set_yticks([tick for tick in axes.get_yticks() if tick <= 1])
    axes.set_xlabel("share of samples answered: those with this probability or more")
    axes.set_ylabel("accuracy among them")
    canvas.save(figure, path)


def draw_history(path: Path, caption: Caption, history_rows: list[dict], best_epoch: int) -> None:
    """Draw loss and accuracy by epoch, from the rows of `history.csv`, and a line at `best_epoch`."""
    figure = canvas.titled_figure(caption, "learning curves", 7.6, 3.3)
    epochs = [int(row["epoch"]) for row in history_rows]
    marker = "o" if len(epochs) <= 30 else ""
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        canvas.quiet_axes(axes)
        for part, colour, line in (("train", ORANGE, canvas.LINES[1]), ("validation", BLUE, canvas.LINES[0])):
            values = [float(row[f"{part}_{quantity}"] or "nan") for row in history_rows]  # empty: no validation
            axes.plot(epochs, values, color=colour, linestyle=line, marker=marker, markersize=3.5, label=part)
        axes.set(xlabel="epoch", ylabel=quantity, xlim=(epochs[0] - 0.5, epochs[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.axvline(best_epoch, color=QUIET, linewidth=1, linestyle="--", label=f"selected: epoch {best_epoch}")
    axes.set_ylim(0, 1)  # the range of an accuracy
    handles, _ = axes.get_legend_handles_labels()
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=8.5)
    canvas.save(figure, path)


def _draw_groups(path: Path, caption: Caption, metrics: dict) -> None:
    """Draw a dot with its 95 % interval for every class and group, and a line at the accuracy of all test samples."""
    # {kind: [(name, accuracy, samples)]}; the accuracy of a class is its recall
    panels = {"class": [(row["class"], row["recall"], row["support"]) for row in metrics["per_class"]]}
    for row in metrics["per_group"]:
        panels.setdefault(row["by"], []).append((row["group"], row["accuracy"], row["n"]))
    heights = [len(rows) + 1.5 for rows in panels.values()]
    figure = canvas.titled_figure(caption, "accuracy by class and group", 6.4, _ROW_IN * sum(heights) + 0.6)
    axes = figure.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for panel, (by, rows) in zip(map(canvas.quiet_axes, axes), panels.items(), strict=True):
        panel.grid(axis="y", visible=False)
        panel.axvline(metrics["accuracy"], color=QUIET, linewidth=1, linestyle="--")
        for place, (_, accuracy, n) in enumerate(rows):
            if accuracy is not None:
                interval = wilson(round(accuracy * n), n)
                panel.plot(interval, [place, place], color=SKY, linewidth=4, solid_capstyle="butt")
                panel.plot([accuracy], [place], color=BLUE, marker="o", markersize=4.5)
        panel.set_yticks(range(len(rows)), [f"{canvas.short(name)}  ({n:,})" for name, _, n in rows])
        panel.set_ylim(len(rows) - 0.4, -0.6)
        panel.tick_params(axis="y", length=0)
        panel.spines["left"].set_color(GRID)
        panel.set_title(f"by {by}", loc="left", fontsize=9, color=INK, weight="bold")
    axes[-1].set_xlabel("accuracy with 95 % interval (Wilson)", color=INK, fontsize=8.5)
    axes[-1].set_xlim(-0.02, 1.02)
    canvas.save(figure, path)
