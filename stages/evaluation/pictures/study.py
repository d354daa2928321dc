"""Pictures of one hyperparameter search: its history, the importance of the hyperparameters, the trials' values."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from stages.evaluation.pictures import canvas
from stages.evaluation.pictures.canvas import BLUE, GRID, INK, ORANGE, QUIET, SKY, Caption

Row = dict[str, Any]  # one trial: trial, end, value, epochs, values {dotted path: value}

_NAMES = {"validation_accuracy": "validation accuracy", "validation_loss": "validation loss"}
_FEW_TRIALS = 20  # importance from fewer finished trials is unreliable; the report says so as well
_MARKS = {"done": ("o", BLUE), "pruned": ("x", QUIET)}


def draw_all(
    folder: Path, metrics: dict[str, Any], rows: Sequence[Row], shares: dict[str, float], space: dict[str, dict]
) -> None:
    """Draw `history.png`, `importance.png` and `parallel.png`.

    `metrics` are those of the study, `shares` {dotted path: importance} in falling order, `space` {dotted path: range
    or choices}.
    """
    name, protocol, n, synthetic = (metrics[key] for key in ("name", "protocol", "n_validation", "synthetic"))
    caption, objective = Caption(f"study {metrics['study']}", name, protocol, n, synthetic), metrics["objective"]
    _draw_history(folder / "history.png", caption, rows, objective)
    _draw_importance(folder / "importance.png", caption, shares, metrics["n_done"])
    _draw_parallel(folder / "parallel.png", caption, rows, objective, {path: space[path] for path in shares})


def _draw_history(path: Path, caption: Caption, rows: Sequence[Row], objective: str) -> None:
    """Draw the objective of each trial and the best value so far; failed trials are marked on the lower edge."""
    figure = canvas.titled_figure(caption, f"{_NAMES[objective]} of each trial", 6.4, 3.2)
    axes = canvas.quiet_axes(figure.add_subplot())
    for end, (marker, colour) in _MARKS.items():
        chosen = [(row["trial"], row["value"]) for row in rows if row["end"] == end and row["value"] is not None]
        if chosen:
            axes.scatter(*zip(*chosen, strict=True), marker=marker, color=colour, s=26, label=f"{end} ({len(chosen)})")
    failed = [row["trial"] for row in rows if row["end"] == "failed"]
    if failed:
        marks = {"marker": "|", "color": ORANGE, "s": 60, "clip_on": False, "transform": axes.get_xaxis_transform()}
        axes.scatter(failed, [0] * len(failed), label=f"failed ({len(failed)})", **marks)
    values = [row["value"] if row["end"] == "done" else math.nan for row in rows]
    best = (np.fmax if objective == "validation_accuracy" else np.fmin).accumulate(values)  # NaN until a trial is done
    axes.step([row["trial"] for row in rows], best, where="post", color=SKY, label="best so far", zorder=1)
    axes.set(xlabel="trial", ylabel=_NAMES[objective])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    canvas.save(figure, path)


def _draw_importance(path: Path, caption: Caption, shares: dict[str, float], n_done: int) -> None:
    """Draw a bar per hyperparameter, the most important on top."""
    what = f"importance in {n_done} finished trials{' (unreliable: few trials)' if n_done < _FEW_TRIALS else ''}"
    figure = canvas.titled_figure(caption, what, 6.4, 0.32 * len(shares) + 0.8)
    axes = canvas.quiet_axes(figure.add_subplot())
    axes.grid(axis="y", visible=False)
    bars = axes.barh([canvas.plain(name) for name in shares], list(shares.values()), color=BLUE, height=0.6)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8.5, color=INK)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.08), xlabel="importance (PED-ANOVA), sum 1")
    axes.tick_params(axis="y", length=0)
    canvas.save(figure, path)


def _draw_parallel(path: Path, caption: Caption, rows: Sequence[Row], objective: str, space: dict[str, dict]) -> None:
    """Draw a line per trial through its values, coloured by its objective; unfinished trials are grey and dotted."""
    dotted = " (dotted: not finished)" if any(row["end"] != "done" for row in rows) else ""
    figure = canvas.titled_figure(caption, f"values of the trials{dotted}", 1.0 * (len(space) + 1) + 1.4, 3.3)
    axes = figure.add_subplot(xlim=(-0.1, len(space) - 0.9), ylim=(-0.04, 1.04))
    done = [row for row in rows if row["end"] == "done"]
    values, falls = [row["value"] for row in done], objective == "validation_loss"
    scale = Normalize(*((min(values), max(values)) if len(set(values)) > 1 else (values[0] - 0.5, values[0] + 0.5)))
    colours = colormaps["viridis" if falls else "viridis_r"]  # the best trial is dark and drawn on top
    for row in (row for row in rows if row["end"] != "done" and row["values"].keys() >= space.keys()):
        axes.plot(_heights(row, space), color="#9aa5b1", linestyle=":", linewidth=0.9)
    for row in sorted(done, key=lambda row: row["value"], reverse=falls):
        axes.plot(_heights(row, space), color=colours(scale(row["value"])), linewidth=1.6)
    for place, dimension in enumerate(space.values()):  # writes its limits or choices beside the axis
        axes.axvline(place, color=GRID, linewidth=1, zorder=0)
        for value in dimension.get("choices") or (dimension["low"], dimension["high"]):
            text = f"{value:.3g}" if isinstance(value, float) else canvas.short(str(value), 12)
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            axes.text(place + 0.03, _height(dimension, value), text, fontsize=7.5, color=INK, va="center", bbox=box)
    axes.set_xticks(range(len(space)), [canvas.plain(name).replace(".", ".\n") for name in space], fontsize=8)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=axes, pad=0.06)
    bar.set_label(_NAMES[objective], fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    canvas.save(figure, path)


def _heights(row: Row, space: dict[str, dict]) -> list[float]:
    return [_height(dimension, row["values"][name]) for name, dimension in space.items()]


def _height(dimension: dict[str, Any], value: Any) -> float:
    """Return the position of a value on its axis, from 0 to 1."""
    if dimension["type"] == "categorical":
        return dimension["choices"].index(value) / (len(dimension["choices"]) - 1)
    low, high = dimension["low"], dimension["high"]
    if dimension["type"] == "log_float":
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)
