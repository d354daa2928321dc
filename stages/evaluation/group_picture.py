"""One picture of who and what is recognised how well: per class, and per speaker, gender, … where the corpus tells."""

from pathlib import Path

from matplotlib.axes import Axes

from stages.evaluation.canvas import BLUE, GRID, INK, QUIET, SKY, Caption, quiet_axes, save, short, titled_figure
from stages.evaluation.intervals import wilson

_ROW_IN = 0.23


def draw_groups(path: Path, caption: Caption, figures: dict) -> None:
    """A dot with its 95 % interval for every class and group; the line is the accuracy over all test samples."""
    panels = _panels(figures)
    heights = [len(rows) + 1.5 for rows in panels.values()]
    figure = titled_figure(caption, "who is recognised how well", 6.4, _ROW_IN * sum(heights) + 0.6)
    axes = figure.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for panel, (by, rows) in zip(axes, panels.items(), strict=True):
        _draw_panel(panel, by, rows, figures["accuracy"])
    axes[-1].set_xlabel("share recognised, with 95 % interval (Wilson)", color=INK, fontsize=8.5)
    axes[-1].set_xlim(-0.02, 1.02)
    save(figure, path)


def _panels(figures: dict) -> dict[str, list[tuple[str, float, int]]]:
    """{kind: [(name, accuracy, samples)]}; a class's accuracy is its recall."""
    panels = {"class": [(row["class"], row["recall"], row["support"]) for row in figures["per_class"]]}
    for row in figures["per_group"]:
        panels.setdefault(row["by"], []).append((row["group"], row["accuracy"], row["n"]))
    return panels


def _draw_panel(axes: Axes, by: str, rows: list[tuple[str, float | None, int]], overall: float) -> None:
    quiet_axes(axes)
    axes.grid(axis="y", visible=False)
    axes.axvline(overall, color=QUIET, linewidth=1, linestyle="--")
    for place, (_, accuracy, n) in enumerate(rows):
        if accuracy is not None:
            axes.plot(wilson(round(accuracy * n), n), [place, place], color=SKY, linewidth=4, solid_capstyle="butt")
            axes.plot([accuracy], [place], color=BLUE, marker="o", markersize=4.5)
    axes.set_yticks(range(len(rows)), [f"{short(name)}  ({n:,})" for name, _, n in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_color(GRID)
    axes.set_title(f"by {by}", loc="left", fontsize=9, color=INK, weight="bold")
