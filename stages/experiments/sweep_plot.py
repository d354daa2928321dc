"""The plot of accuracy over a swept param: a line for each run and other difference, error bars of one sd."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from stages.evaluation.pictures import canvas
from stages.evaluation.pictures.canvas import INK, Caption, plain
from stages.experiments.completed_experiments import as_setting

MARKERS = ("o", "s", "^", "D", "v")
LOG_ABOVE = 20  # the axis is logarithmic above this ratio of largest to smallest value
MAX_TICKS = 8  # at most this number of values is written below the axis
OFFSET_POINTS = 3  # shift between lines, so that error bars do not overlap


class Point(NamedTuple):
    """A row of the table; `accuracy_sd` is None for one experiment."""

    line: str
    x: Any
    accuracy: float
    accuracy_sd: float | None


def draw(path: Path, caption: Caption, points: list[Point], param: str) -> None:
    """Draw the points over numbers, on a log axis for a wide range, or over words in the order of `sort_key`."""
    values = sorted({_hashable(point.x): point.x for point in points}.values(), key=sort_key)
    positions = {_hashable(value): value if are_numbers(values) else at for at, value in enumerate(values)}
    lines = list(dict.fromkeys(point.line for point in points))
    figure = canvas.titled_figure(caption, f"accuracy by {param}", 6.4, 3.5)
    axes = figure.add_subplot()
    canvas.quiet_axes(axes)
    for index, name in enumerate(lines):
        on_line = [(positions[_hashable(point.x)], point) for point in points if point.line == name]
        offset = OFFSET_POINTS * (index - (len(lines) - 1) / 2)
        errorbars = _draw_line(axes, index, name, sorted(on_line, key=lambda pair: pair[0]), offset)
        if not are_numbers(values):  # names have no values between them
            errorbars.lines[0].set_linestyle("none")
    _label_axes(axes, values, param)
    if len(lines) > 1:
        figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=1 if len(lines) < 4 else 2)
    canvas.save(figure, path)


def _draw_line(
    axes: Axes, index: int, name: str, points: list[tuple[float, Point]], offset: float
) -> ErrorbarContainer:
    x = [at for at, _ in points]
    accuracy = [100 * point.accuracy for _, point in points]
    sd = [100 * point.accuracy_sd if point.accuracy_sd is not None else np.nan for _, point in points]
    look = {
        "color": canvas.PALETTE[index % 10],
        "linestyle": canvas.LINES[index // 5 % 2],
        "marker": MARKERS[index % 5],
    }
    errorbars = axes.errorbar(x, accuracy, yerr=sd, label=plain(name), linewidth=1.4, markersize=5, capsize=3.5, **look)
    for part in errorbars.get_children():  # moved afterwards, so that the axis limits are those of the data
        part.set_transform(part.get_transform() + ScaledTranslation(offset / 72, 0, axes.figure.dpi_scale_trans))
    return errorbars


def _label_axes(axes: Axes, values: list, param: str) -> None:
    if are_numbers(values):
        if min(values) > 0 and max(values) / min(values) > LOG_ABOVE:
            axes.set_xscale("log")
        if len(values) <= MAX_TICKS:
            axes.set_xticks(values, [f"{value:g}" for value in values])
            axes.xaxis.set_minor_locator(NullLocator())
    else:
        names = [canvas.short(as_setting(value), 24) for value in values]
        slant = {"rotation": 25, "ha": "right", "rotation_mode": "anchor"} if sum(map(len, names)) > 60 else {}
        axes.set_xticks(range(len(names)), names, **slant)
        axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_xlabel(plain(param), fontsize=9, color=INK)
    axes.set_ylabel("test accuracy, %", fontsize=9, color=INK)


def are_numbers(values: list) -> bool:
    """Return whether all values are numbers; true and false are not."""
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def sort_key(value: Any) -> tuple:
    """Sort numbers by size, before words."""
    return (0, value, "") if are_numbers([value]) else (1, 0, as_setting(value))


def _hashable(value: Any) -> Any:
    return value if are_numbers([value]) else as_setting(value)
