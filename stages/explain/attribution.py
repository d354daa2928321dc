"""Attribution of a class to the input: Grad-CAM for images, integrated gradients for spectrograms and EEG.

Grad-CAM (Selvaraju et al. 2017, ICCV) uses the last feature map of an image, here element-wise as in HiResCAM
(Draelos and Carin 2020, arXiv:2011.08891). The two agree where the head averages over positions; where it does not, as
with dense layers on a flattened map, plain Grad-CAM says nothing about a position and its map can be empty.

Integrated gradients (Sundararajan, Taly and Yan 2017, ICML) start at the mean of the training part, which is 0 once
standardised; the attributions of all values add up to what the sample adds to the logit of the class.
"""

from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradientXActivation
from torch import nn

from stages.serving.served_run import Prepared, ServedRun

STEPS = 48  # steps of the path: the sum then differs by a few percent at most from the logits'


def grad_cam(run: ServedRun, prepared: Prepared, target: int) -> np.ndarray:
    """Return (height, width), 0 or more: how much each pixel of the network's input supports class `target`."""
    x, architecture = _standardised(run, prepared), run.recogniser.architecture
    with torch.enable_grad():
        method = LayerGradientXActivation(architecture, map_layer(architecture, x))
        found = method.attribute(x, target=target).detach().sum(1, keepdim=True).relu()  # (1, C, H, W) → (1, 1, H, W)
    return LayerAttribution.interpolate(found, tuple(x.shape[2:]), "bilinear")[0, 0].numpy()


@torch.no_grad()
def map_layer(architecture: Any, x: torch.Tensor) -> nn.Module:
    """Return the layer whose output is the last feature map: the architecture's own choice, or found by a forward pass.

    It is the last layer with an output as large as that of the last convolution: after normalisation, activation and
    the sum with a shortcut, but before pooling, which makes the map coarser.
    """
    if hasattr(architecture, "feature_map_layer"):
        return architecture.feature_map_layer()
    outputs: list[tuple[nn.Module, tuple[int, ...]]] = []

    def record(module: nn.Module, _: Any, y: Any) -> None:
        if torch.is_tensor(y) and y.ndim == 4:  # (B, channel, H, W)
            outputs.append((module, tuple(y.shape[2:])))

    leaves = [module for module in architecture.modules() if not any(module.children())]
    hooks = [leaf.register_forward_hook(record) for leaf in leaves]
    try:
        architecture(x)
    finally:
        for hook in hooks:
            hook.remove()
    size = [size for module, size in outputs if isinstance(module, nn.Conv2d)][-1]
    return [module for module, found in outputs if found == size][-1]


def attributions(run: ServedRun, prepared: Prepared, target: int) -> np.ndarray:
    """Return (true steps, features) in logits: how much each value supports (> 0) or opposes (< 0) class `target`.

    For a speaker embedding: (speeds, statistics, units).
    """
    x, length = _standardised(run, prepared), torch.tensor([prepared[1]])
    with torch.enable_grad():
        method = IntegratedGradients(run.recogniser.architecture)
        found = method.attribute(x, target=target, additional_forward_args=(length,), n_steps=STEPS)
    n_rows = prepared[1] if run.info["input"]["layout"][0] == "time" else x.shape[1]
    return found.detach()[0, :n_rows].float().numpy()


def _standardised(run: ServedRun, prepared: Prepared) -> torch.Tensor:
    """Return (1, …), the input of the architecture."""
    with torch.no_grad():
        return run.recogniser.standardise(run.recogniser.unpack(run.batch([prepared])[0]))
