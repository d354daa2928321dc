"""Parts that all pictures share: the header, colours, axes, and writing of small, reproducible PNG files.

Only matplotlib's object interface is used, so that no global state changes and no display is needed.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import color_sequences
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from stages.core.files import written_whole

DPI = 110
INK, QUIET, GRID = "#1b1f24", "#59636e", "#d8dee4"
BLUE, SKY, ORANGE, WARNING = "#0072b2", "#56b4e9", "#d55e00", "#a33b00"
PALETTE = [to_hex(color) for color in color_sequences["petroff10"]]  # distinct for all common colour blindness
LINES = ("-", (0, (4, 1.5)))  # the sixth to tenth class are dashed as well

_MARGIN_IN, _LINE_HEIGHT, _LETTER_WIDTH = 0.15, 1.45, 0.63  # the last two in units of the font size


@dataclass(frozen=True)
class Caption:
    """Facts in the header of every picture. `n` is the number of samples, `name` the corpus ("FER-2013")."""

    run: str
    name: str
    protocol: str
    n: int
    synthetic: bool


def titled_figure(caption: Caption, what: str, width_in: float, body_in: float) -> Figure:
    """Return a figure with a header of wrapped text, above a body of height `body_in` for the axes."""
    lines = _header_lines(caption, what, width_in - 2 * _MARGIN_IN)
    heights_in = [style["fontsize"] * _LINE_HEIGHT / 72 for _, style in lines]
    height_in = body_in + _MARGIN_IN + sum(heights_in)
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, body_in / height_in), w_pad=0.1, h_pad=0.1)
    y_in = height_in - _MARGIN_IN
    for (line, style), line_in in zip(lines, heights_in, strict=True):
        figure.text(_MARGIN_IN / width_in, y_in / height_in, plain(line), va="top", **style)
        y_in -= line_in
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of 256 colours atomically, without date or software name: equal figures give equal bytes."""
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    reduced = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    with written_whole(path) as temporary:
        reduced.save(temporary, "PNG")


def plain(text: str) -> str:
    """Return the text on one line, with dollar signs escaped, which otherwise start a formula."""
    return " ".join(str(text).split()).replace("$", r"\$")


def short(text: str, limit: int = 18) -> str:
    """Return the text on one line, cut to `limit` letters."""
    text = " ".join(str(text).split())
    return plain(text if len(text) <= limit else text[: limit - 1] + "…")


def quiet_axes(axes: Axes) -> Axes:
    """Give the axes a thin frame on two sides and a light grid below the data, and return them."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=QUIET, labelcolor=INK)
    return axes


def _header_lines(caption: Caption, what: str, width_in: float) -> list[tuple[str, dict[str, Any]]]:
    """Return (line, text properties) of title, corpus, protocol and, for synthetic data, a warning."""
    body = {"fontsize": 8.5, "color": QUIET}
    paragraphs = [
        (f"{caption.run}: {what}", {"fontsize": 11, "color": INK, "weight": "bold"}),
        (f"{caption.name}, n = {caption.n:,}", body),
        (f"protocol: {caption.protocol}", body),
    ]
    if caption.synthetic:
        warning = "synthetic corpus: this figure says nothing about people"
        paragraphs.append((warning, body | {"color": WARNING, "weight": "bold"}))
    columns = {style["fontsize"]: int(72 * width_in / (_LETTER_WIDTH * style["fontsize"])) for _, style in paragraphs}
    return [(line, style) for text, style in paragraphs for line in textwrap.wrap(text, columns[style["fontsize"]])]
