"""Where a network looks: spatial attention and Grad-CAM (Selvaraju et al. 2017, ICCV) over faces, right and wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes

from stages.evaluation.canvas import INK, QUIET, Caption, save_photos, short, titled_figure

TILE_IN, BELOW_IN = 1.05, 0.3
COVER = 0.5  # of the map over the face


def maps(architecture: Any, x: torch.Tensor, target: torch.Tensor) -> dict[str, np.ndarray]:
    """{what: (n, height, width)} for images `x` (n, channels, height, width), standardised: where `target` (n,) shows.

    Spatial attention, where there is any, is in 0..1; Grad-CAM, which explains the class `target`, is 0 or more.
    """
    from captum.attr import LayerAttribution, LayerGradCam  # for the few runs that have maps

    cam = LayerGradCam(architecture, architecture.feature_map_layer())
    found = {"Grad-CAM": cam.attribute(x, target=target, relu_attributions=True).detach()}  # (n, 1, H, W)
    attention = architecture.spatial_attention(x) if hasattr(architecture, "spatial_attention") else None  # (n, H, W)
    if attention is not None:
        found = {"spatial attention": attention[:, None]} | found
    size = tuple(x.shape[2:])
    return {what: LayerAttribution.interpolate(y, size, "bilinear")[:, 0].numpy() for what, y in found.items()}


def draw_attention(
    path: Path,
    caption: Caption,
    recogniser: Any,
    x: torch.Tensor,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: list[str],
) -> None:
    """Draw faces `x` (n, 1 or 3, height, width) in 0..1 with their maps; of a network that has none, remove the file.

    `labels` (n,) and `probabilities` (n, C) say what each is and was taken for. It shows faces: where the corpus may
    not be passed on, neither may it.
    """
    architecture = recogniser.architecture
    if not hasattr(architecture, "feature_map_layer") or not len(x):
        path.unlink(missing_ok=True)
        return
    found = maps(architecture, recogniser.standardise(x), torch.from_numpy(probabilities.argmax(axis=1)))
    colored = x.expand(-1, 3, -1, -1)  # (n, 1 or 3, height, width) → (n, 3, height, width)
    faces = colored.permute(0, 2, 3, 1).numpy().clip(0, 1)  # → (n, height, width, 3)
    body_in = (1 + len(found)) * TILE_IN + BELOW_IN
    told = replace(caption, n=len(x))
    figure = titled_figure(told, "where it looks, some test faces", max(5.0, len(x) * TILE_IN + 0.4), body_in)
    grid = figure.subplots(1 + len(found), len(x), squeeze=False)
    for column, face in enumerate(faces):
        _tile(grid[0, column], face)
        grid[0, column].set_title(*_said(labels[column], probabilities[column], classes))
        for row, values in enumerate(found.values(), start=1):
            _tile(grid[row, column], covered(face, values[column]))
            grid[row, column].set_xlabel(f"{values[column].min():.2g} to {values[column].max():.2g}", fontsize=6.5)
    for row, what in enumerate(("face", *found)):
        grid[row, 0].set_ylabel(what, fontsize=8, color=INK)
    save_photos(figure, path)


def covered(face: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(height, width, 3) in 0..1 under a map (height, width) from its least (blue) to its most (yellow)."""
    span = values.max() - values.min()
    scaled = (values - values.min()) / span if span > 0 else np.zeros_like(values)
    gray = face.mean(axis=2, keepdims=True)
    return (1 - COVER) * gray + COVER * colormaps["viridis"](scaled)[..., :3]


def _tile(axes: Axes, picture: np.ndarray) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _said(label: int, probabilities: np.ndarray, classes: list[str]) -> tuple[str, dict]:
    """What a face is and was taken for, and how that is written."""
    guess = int(probabilities.argmax())
    taken = f"{short(classes[guess])} {probabilities[guess]:.2f}"
    text = f"{taken}\nright" if guess == label else f"{taken}\nis {short(classes[label])}"
    return text, {"fontsize": 7, "color": QUIET if guess == label else "#a33b00"}
