"""What in a sample speaks for a class: Grad-CAM over images, integrated gradients over spectrograms and EEG.

Grad-CAM (Selvaraju et al. 2017, ICCV) looks at the last map of the image; here place by place, as HiResCAM has it
(Draelos and Carin 2020, arXiv:2011.08891). Where the head averages over places the two are the same. Where it does not,
as in dense layers behind a flattened map, the mean gradient tells nothing of a place: its map can be empty.

Integrated gradients (Sundararajan, Taly and Yan 2017, ICML) go from the training part's mean, 0 once standardised, to
the sample; all values together are what the sample adds to the class's logit.
"""

from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradientXActivation
from torch import nn

from stages.apps.serving import Prepared, ServedRun

STEPS = 48  # of the path; the sums then differ from the logits' by some percent at most


def grad_cam(run: ServedRun, prepared: Prepared, target: int) -> np.ndarray:
    """(height, width), 0 or more: where an image shows the class of index `target`, at the size the network sees."""
    x, architecture = _standardised(run, prepared), run.recogniser.architecture
    with torch.enable_grad():
        method = LayerGradientXActivation(architecture, map_layer(architecture, x))
        found = method.attribute(x, target=target).detach().sum(1, keepdim=True).relu()  # (1, C, H, W) → (1, 1, H, W)
    return LayerAttribution.interpolate(found, tuple(x.shape[2:]), "bilinear")[0, 0].numpy()


@torch.no_grad()
def map_layer(architecture: Any, x: torch.Tensor) -> nn.Module:
    """Whose output is the last map of an image: what the architecture names, else found by asking it about `x`.

    That is the last layer whose output is as large as that of the last convolution: behind normalisation, activation
    and the sum with a shortcut, but before pooling, which would leave a coarser map.
    """
    if hasattr(architecture, "feature_map_layer"):
        return architecture.feature_map_layer()
    seen: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(module: nn.Module, _: Any, y: Any) -> None:
        if torch.is_tensor(y) and y.ndim == 4:  # (B, channel, H, W)
            seen.append((module, tuple(y.shape[2:])))

    leaves = [module for module in architecture.modules() if not any(module.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    try:
        architecture(x)
    finally:
        for hook in hooks:
            hook.remove()
    size = [size for module, size in seen if isinstance(module, nn.Conv2d)][-1]
    return [module for module, found in seen if found == size][-1]


def contributions(run: ServedRun, prepared: Prepared, target: int) -> np.ndarray:
    """(true steps, features) in logits: how much each value speaks for (above 0) or against class `target`."""
    x, length = _standardised(run, prepared), torch.tensor([prepared[1]])
    with torch.enable_grad():
        method = IntegratedGradients(run.recogniser.architecture)
        found = method.attribute(x, target=target, additional_forward_args=(length,), n_steps=STEPS)
    return found.detach()[0, : prepared[1]].float().numpy()


def _standardised(run: ServedRun, prepared: Prepared) -> torch.Tensor:
    """(1, …) as the architecture takes it."""
    with torch.no_grad():
        return run.recogniser.standardise(run.recogniser.unpack(run.batch([prepared])[0]))
