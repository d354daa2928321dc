"""What all pictures share: a header that is never cropped, colours, and small deterministic PNG files.

Only matplotlib's object API is used, so no global state is touched and no display is needed.
"""

import io
import textwrap
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from PIL import Image

from stages.core.files import written_whole

DPI = 110
SIZE_LIMIT_BYTES = 45_000
PHOTO_COLOURS = 256
INK, QUIET, GRID = "#1b1f24", "#59636e", "#d8dee4"
BLUE, SKY, ORANGE = "#0072b2", "#56b4e9", "#d55e00"
# Paul Tol's "muted" scheme (safe for all common colour blindness), strong colours first, and one more for a tenth class
PALETTE = ["#332288", "#cc6677", "#117733", "#88ccee", "#882255", "#44aa99", "#aa4499", "#999933", "#ddaa33", "#6699cc"]
LINES = ("-", (0, (4, 1.5)))  # the sixth to tenth class are dashed as well

_TITLE = FontProperties(family="DejaVu Sans", size=11, weight="bold")
_BODY = FontProperties(family="DejaVu Sans", size=8.5)
_BADGE = FontProperties(family="DejaVu Sans", size=8.5, weight="bold")
_MARGIN_IN = 0.15


@dataclass(frozen=True)
class Caption:
    """What every picture says of itself. `n` counts the samples it is about, `name` is the corpus ("FER-2013")."""

    run: str
    name: str
    protocol: str
    n: int
    synthetic: bool


def titled_figure(caption: Caption, what: str, width_in: float, body_in: float) -> Figure:
    """A figure whose header is as tall as its wrapped text needs; axes are laid out in the rest by matplotlib."""
    lines = _header(caption, what, width_in - 2 * _MARGIN_IN)
    header_in = _MARGIN_IN + sum(_line_height_in(font) for _, font in lines)
    height_in = header_in + body_in
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, body_in / height_in), w_pad=0.1, h_pad=0.1)
    y_in = height_in - _MARGIN_IN
    for line, font in lines:
        figure.text(_MARGIN_IN / width_in, y_in / height_in, plain(line), fontproperties=font, va="top", **_look(font))
        y_in -= _line_height_in(font)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a palette PNG without date or software name, whole or not at all, with fewer colours if it would be big."""
    figure.canvas.draw()
    packed, found = _colours(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    for colours in (256, 128, 64, 32):
        content = io.BytesIO()
        _with_palette(packed, found, colours).save(content, format="PNG")
        if content.tell() <= SIZE_LIMIT_BYTES:
            break
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getvalue())


def save_photos(figure: Figure, path: Path) -> None:
    """As `save`, for pictures of many colours, which are mixed into fewer."""
    figure.canvas.draw()
    image = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    content = io.BytesIO()
    mixed = image.quantize(PHOTO_COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    mixed.save(content, "PNG")
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getvalue())


def _colours(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(height, width) colours as one number each, and those that occur (n, 3), the most frequent first."""
    packed = _packed(pixels)
    # Counted by Pillow, in a hash table: sorting the pixels, as np.unique does, takes as long as half a drawing.
    counted = Image.fromarray(pixels).getcolors(packed.size)
    ordered = sorted(counted, key=lambda item: (-item[0], item[1]))
    return packed, np.array([colour for _, colour in ordered])


def _packed(colours: np.ndarray) -> np.ndarray:
    """(…, 3) bytes → (…) one number each."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _with_palette(packed: np.ndarray, found: np.ndarray, limit: int) -> Image.Image:
    """The most frequent colours exactly as drawn; other pixels (edges of letters and lines) take the nearest of them.

    Pillow's own quantisers mix the colours of pale cells, or of thin lines, into averages that mean something else.
    """
    palette = found[:limit]
    index = np.zeros(1 << 24, dtype=np.uint8)  # of every colour there is: memory is only taken where it is written
    rest = found[limit:]
    nearest = [((palette - colour) ** 2).sum(axis=1).argmin() for colour in rest]
    index[_packed(found)] = np.concatenate([np.arange(len(palette)), nearest])
    image = Image.frombytes("P", packed.shape[::-1], index[packed].tobytes())
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image


def plain(text: str) -> str:
    """One line in which a dollar sign is a dollar sign, not the start of a formula."""
    return " ".join(str(text).split()).replace("$", r"\$")


def short(text: str, limit: int = 18) -> str:
    """A class name that leaves room for the plot."""
    text = " ".join(str(text).split())
    return plain(text if len(text) <= limit else text[: limit - 1] + "…")


def quiet_axes(axes: Axes) -> None:
    """Thin frame on two sides, light grid below the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8, colors=QUIET, labelcolor=INK)


def _header(caption: Caption, what: str, width_in: float) -> list[tuple[str, FontProperties]]:
    """Title, corpus, protocol and, on a line of its own, the warning that the corpus is drawn."""
    paragraphs = [
        (f"{caption.run}: {what}", _TITLE),
        (f"{caption.name}, n = {caption.n:,}", _BODY),
        (f"protocol: {caption.protocol}", _BODY),
    ]
    if caption.synthetic:
        paragraphs.append(("synthetic corpus: this figure says nothing about people", _BADGE))
    return [(line, font) for text, font in paragraphs for line in _wrapped(text, font, width_in)]


def _wrapped(text: str, font: FontProperties, width_in: float) -> list[str]:
    """Lines that fit, measured with the font; words too long for a line are broken."""
    for columns in range(160, 5, -3):
        lines = textwrap.wrap(" ".join(text.split()), columns)
        if max((_width_in(line, font) for line in lines), default=0) <= width_in:
            break
    return lines


def _width_in(line: str, font: FontProperties) -> float:
    return text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] / 72


def _line_height_in(font: FontProperties) -> float:
    return font.get_size_in_points() * 1.45 / 72


def _look(font: FontProperties) -> dict:
    """The warning is in a colour that means one; the rest is ink."""
    return {"color": "#a33b00" if font is _BADGE else INK if font is _TITLE else QUIET}
