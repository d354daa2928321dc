"""The basis functions that an AdaFNN has learnt (Yao, Mueller, Wang 2021, figure 4): where in time it looks."""

from pathlib import Path
from typing import Any

import numpy as np

from stages.evaluation.canvas import INK, LINES, PALETTE, QUIET, Caption, quiet_axes, save, titled_figure

POINTS = 201
WIDEST = 5.0  # line, in points


def draw_bases(path: Path, caption: Caption, architecture: Any) -> None:
    """Draw what `architecture.bases(n)` gives; of a network that has none, remove what an earlier one left."""
    found = architecture.bases(POINTS) if hasattr(architecture, "bases") else None
    if found is None:
        path.unlink(missing_ok=True)
    else:
        _draw(path, caption, *(tensor.numpy() for tensor in found))


def _draw(path: Path, caption: Caption, times: np.ndarray, values: np.ndarray) -> None:
    """`times` (n,) in [0, 1], `values` (n, K): each basis scaled to norm 1, so that shapes can be compared."""
    norms = np.sqrt(np.trapezoid(values**2, times, axis=0))  # (K,)
    figure = titled_figure(caption, "learnt basis functions", 6.4, 3.2)
    axes = figure.add_subplot()
    quiet_axes(axes)
    axes.axhline(0, color=QUIET, linewidth=0.8)
    for index, curve in enumerate((values / np.maximum(norms, 1e-6)).T):
        # Bases may come to be the same: each is drawn thinner than the one it lies on.
        style = {"color": PALETTE[index % 10], "linestyle": LINES[index // 5 % 2]}
        axes.plot(times, curve, label=f"basis {index + 1}", linewidth=WIDEST * 0.72**index, **style)
    axes.set_xlim(0, 1)
    axes.set_xlabel("time within the clip, 0 = start, 1 = end", color=INK)
    axes.set_ylabel("weight (norm 1)", color=INK)
    figure.legend(loc="outside lower center", ncols=min(6, values.shape[1]), frameon=False, fontsize=8.5)
    save(figure, path)
