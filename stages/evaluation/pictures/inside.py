"""Pictures of what a network has learnt: spatial attention and Grad-CAM over some test faces, and basis functions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes

from stages.evaluation.pictures import canvas
from stages.evaluation.pictures.canvas import INK, QUIET, WARNING, Caption, save, short, titled_figure
from stages.evaluation.predictions import Columns

BASIS_POINTS = 201
MAX_LINE_WIDTH = 5.0  # in points
TILE_IN, BELOW_IN = 1.05, 0.3
OPACITY = 0.5  # opacity of the attention map drawn over the face


def maps(architecture: Any, x: torch.Tensor, target: torch.Tensor) -> dict[str, np.ndarray]:
    """Return {name: map (n, height, width)} for standardised images `x` (n, channels, height, width).

    Grad-CAM (Selvaraju et al. 2017, ICCV) explains the classes `target` (n,) and is 0 or more. Spatial attention, if
    the network has it, is in 0..1.
    """
    from captum.attr import LayerAttribution, LayerGradCam  # loaded only for the few runs that have maps

    cam = LayerGradCam(architecture, architecture.feature_map_layer())
    by_name = {"Grad-CAM": cam.attribute(x, target=target, relu_attributions=True).detach()}  # (n, 1, H, W)
    attention = architecture.spatial_attention(x) if hasattr(architecture, "spatial_attention") else None  # (n, H, W)
    if attention is not None:
        by_name = {"spatial attention": attention[:, None]} | by_name
    size = tuple(x.shape[2:])
    return {name: LayerAttribution.interpolate(y, size, "bilinear")[:, 0].numpy() for name, y in by_name.items()}


def draw_attention(
    path: Path, caption: Caption, recogniser: Any, x: torch.Tensor, test: Columns, classes: list[str]
) -> None:
    """Draw faces `x` (n, 1 or 3, height, width) in 0..1 with their maps; delete the file if the network has no maps.

    Each face is titled with its prediction and its label, from `test` {probabilities (n, C), label (n,)}. The picture
    shows faces: if the corpus may not be redistributed, the picture may not either.
    """
    architecture, predicted = recogniser.architecture, test["probabilities"].argmax(axis=1)
    if not hasattr(architecture, "feature_map_layer") or not len(x):
        path.unlink(missing_ok=True)
        return
    by_name = maps(architecture, recogniser.standardise(x), torch.from_numpy(predicted))
    colored = x.expand(-1, 3, -1, -1)  # (n, 1 or 3, height, width) → (n, 3, height, width)
    faces = colored.permute(0, 2, 3, 1).numpy().clip(0, 1)  # → (n, height, width, 3)
    body_in = (1 + len(by_name)) * TILE_IN + BELOW_IN
    width_in = max(5.0, len(x) * TILE_IN + 0.4)
    figure = titled_figure(replace(caption, n=len(x)), "attention maps of some test faces", width_in, body_in)
    grid = figure.subplots(1 + len(by_name), len(x), squeeze=False)
    for column, (face, of, label) in enumerate(zip(faces, predicted, test["label"], strict=True)):
        truth = "correct" if of == label else f"true: {short(classes[label])}"
        title = f"{short(classes[of])} {test['probabilities'][column, of]:.2f}\n{truth}"
        _tile(grid[0, column], face)
        grid[0, column].set_title(title, fontsize=7, color=QUIET if of == label else WARNING)
        for row, values in enumerate(by_name.values(), start=1):
            _tile(grid[row, column], covered(face, values[column]))
            grid[row, column].set_xlabel(f"{values[column].min():.2g} to {values[column].max():.2g}", fontsize=6.5)
    for row, name in enumerate(("face", *by_name)):
        grid[row, 0].set_ylabel(name, fontsize=8, color=INK)
    save(figure, path)


def covered(face: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the face (height, width, 3) in grey under a map (height, width) from blue (lowest) to yellow (highest)."""
    span = values.max() - values.min()
    scaled = (values - values.min()) / span if span > 0 else np.zeros_like(values)
    gray = face.mean(axis=2, keepdims=True)
    return (1 - OPACITY) * gray + OPACITY * colormaps["viridis"](scaled)[..., :3]


def _tile(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def draw_bases(path: Path, caption: Caption, architecture: Any) -> None:
    """Draw the basis functions that an AdaFNN has learnt (Yao, Mueller, Wang 2021, figure 4), each scaled to norm 1.

    They are `architecture.bases(n)`. Delete the file if the network has none.
    """
    bases = architecture.bases(BASIS_POINTS) if hasattr(architecture, "bases") else None
    if bases is None:
        path.unlink(missing_ok=True)
        return
    times, values = (tensor.numpy() for tensor in bases)  # (n,) in [0, 1], (n, K)
    norms = np.sqrt(np.trapezoid(values**2, times, axis=0))  # (K,)
    figure = titled_figure(caption, "learnt basis functions", 6.4, 3.2)
    axes = canvas.quiet_axes(figure.add_subplot())
    axes.axhline(0, color=QUIET, linewidth=0.8)
    for index, curve in enumerate((values / np.maximum(norms, 1e-6)).T):
        # Bases may be equal, so each line is thinner than the one below it.
        style = {"color": canvas.PALETTE[index % 10], "linestyle": canvas.LINES[index // 5 % 2]}
        axes.plot(times, curve, label=f"basis {index + 1}", linewidth=MAX_LINE_WIDTH * 0.72**index, **style)
    axes.set_xlim(0, 1)
    axes.set_xlabel("time within the clip, 0 = start, 1 = end", color=INK)
    axes.set_ylabel("weight (norm 1)", color=INK)
    figure.legend(loc="outside lower center", ncols=min(6, values.shape[1]), frameon=False, fontsize=8.5)
    save(figure, path)
