"""The pictures of one search for hyperparameters: what it came to, which values mattered, how they go together."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import MaxNLocator

from stages.evaluation.canvas import (
    BLUE,
    GRID,
    INK,
    ORANGE,
    QUIET,
    SKY,
    Caption,
    plain,
    quiet_axes,
    save,
    short,
    titled_figure,
)

Row = dict[str, Any]  # of a trial: trial, end, value, epochs, values {dotted path: value}

_NAMES = {"validation_accuracy": "validation accuracy", "validation_loss": "validation loss"}
_SHADES = 9
_FEW = 20  # finished trials of which an importance says little, as the report says
_MARKS = {"done": ("o", BLUE), "pruned": ("x", QUIET)}


def draw_all(
    folder: Path, told: dict[str, Any], rows: Sequence[Row], shares: dict[str, float], space: dict[str, dict]
) -> None:
    """`history.png`, `importance.png` and `parallel.png`.

    `told`: the study's metrics; `shares` {dotted path: importance}, falling; `space` {dotted path: range or choices}.
    """
    caption = Caption(f"study {told['study']}", told["name"], told["protocol"], told["n_validation"], told["synthetic"])
    objective = told["objective"]
    draw_history(folder / "history.png", caption, rows, objective)
    draw_importance(folder / "importance.png", caption, shares, told["n_done"])
    draw_parallel(folder / "parallel.png", caption, rows, objective, {path: space[path] for path in shares})


def draw_history(path: Path, caption: Caption, rows: Sequence[Row], objective: str) -> None:
    """Every trial's figure in the order of trials, and the best so far; failed trials stand on the lower edge."""
    figure = titled_figure(caption, f"{_NAMES[objective]} of each trial", 6.4, 3.2)
    axes = figure.add_subplot()
    quiet_axes(axes)
    for end, (marker, colour) in _MARKS.items():
        chosen = [(row["trial"], row["value"]) for row in rows if row["end"] == end and row["value"] is not None]
        if chosen:
            axes.scatter(*zip(*chosen, strict=True), marker=marker, color=colour, s=26, label=f"{end} ({len(chosen)})")
    failed = [row["trial"] for row in rows if row["end"] == "failed"]
    if failed:
        marks = {"marker": "|", "color": ORANGE, "s": 60, "clip_on": False, "transform": axes.get_xaxis_transform()}
        axes.scatter(failed, [0] * len(failed), label=f"failed ({len(failed)})", **marks)
    values = [row["value"] if row["end"] == "done" else math.nan for row in rows]
    best = (np.fmax if objective == "validation_accuracy" else np.fmin).accumulate(values)  # nan until one is done
    axes.step([row["trial"] for row in rows], best, where="post", color=SKY, label="best so far", zorder=1)
    axes.set(xlabel="trial", ylabel=_NAMES[objective])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    save(figure, path)


def draw_importance(path: Path, caption: Caption, shares: dict[str, float], n_done: int) -> None:
    """A bar per varied value, the most important on top."""
    few = ", too few to tell" if n_done < _FEW else ""
    figure = titled_figure(caption, f"what mattered in {n_done} finished trials{few}", 6.4, 0.32 * len(shares) + 0.8)
    axes = figure.add_subplot()
    quiet_axes(axes)
    axes.grid(axis="y", visible=False)
    bars = axes.barh([plain(name) for name in shares], list(shares.values()), color=BLUE, height=0.6)
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8.5, color=INK)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.08), xlabel="importance (PED-ANOVA), of 1 in all")
    axes.tick_params(axis="y", length=0)
    save(figure, path)


def draw_parallel(path: Path, caption: Caption, rows: Sequence[Row], objective: str, space: dict[str, dict]) -> None:
    """A line per trial through its values, coloured by its figure; pruned and failed ones are grey and dotted."""
    dotted = ", dotted: not finished" if any(row["end"] != "done" for row in rows) else ""
    figure = titled_figure(caption, f"the trials' values{dotted}", 1.0 * (len(space) + 1) + 1.4, 3.3)
    axes = figure.add_subplot(xlim=(-0.1, len(space) - 0.9), ylim=(-0.04, 1.04))
    done = [row for row in rows if row["end"] == "done"]
    scale, falls = Normalize(*_ends([row["value"] for row in done])), objective == "validation_loss"
    # The best is dark, and drawn on top; few shades, which a palette PNG keeps.
    colours = colormaps["viridis" if falls else "viridis_r"].resampled(_SHADES)
    for row in (row for row in rows if row["end"] != "done" and row["values"].keys() >= space.keys()):
        axes.plot(_heights(row, space), color="#9aa5b1", linestyle=":", linewidth=0.9)
    for row in sorted(done, key=lambda row: row["value"], reverse=falls):
        axes.plot(_heights(row, space), color=colours(scale(row["value"])), linewidth=1.6)
    for place, dimension in enumerate(space.values()):
        _draw_scale(axes, place, dimension)
    axes.set_xticks(range(len(space)), [_broken(name) for name in space], fontsize=8)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=axes, pad=0.06)
    bar.set_label(_NAMES[objective], fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    save(figure, path)


def _ends(values: list[float]) -> tuple[float, float]:
    return (min(values), max(values)) if min(values) < max(values) else (values[0] - 0.5, values[0] + 0.5)


def _heights(row: Row, space: dict[str, dict]) -> list[float]:
    return [_height(dimension, row["values"][name]) for name, dimension in space.items()]


def _height(dimension: dict[str, Any], value: Any) -> float:
    """Where a value lies on its scale, from 0 to 1."""
    if dimension["type"] == "categorical":
        return dimension["choices"].index(value) / (len(dimension["choices"]) - 1)
    low, high = dimension["low"], dimension["high"]
    if dimension["type"] == "log_float":
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _draw_scale(axes: Axes, place: int, dimension: dict[str, Any]) -> None:
    """A vertical line with its ends, or its choices, written beside it."""
    axes.axvline(place, color=GRID, linewidth=1, zorder=0)
    for value in dimension.get("choices") or (dimension["low"], dimension["high"]):
        text = f"{value:.3g}" if isinstance(value, float) else short(str(value), 12)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
        axes.text(place + 0.03, _height(dimension, value), text, fontsize=7.5, color=INK, va="center", bbox=box)


def _broken(path: str) -> str:
    """optimizer.lr on two lines."""
    return plain(path).replace(".", ".\n")
