"""The temperature of a trained recogniser, from its logits of the validation part."""

from collections.abc import Iterable

import numpy as np
import torch

from stages.core.calibration import fit_temperature
from stages.core.errors import warn
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import Recogniser


def validation_temperature(
    key: str,
    recogniser: Recogniser,
    weights: dict[str, torch.Tensor],
    blocks: Iterable[tuple[torch.Tensor, torch.Tensor]],
    label: np.ndarray,
) -> float:
    """Return the temperature of a run with these `weights`; 1, with a warning, if its fit does not converge.

    `blocks`: (x, length) of all samples of the validation part, in the order of `label` (N,).
    """
    recogniser.architecture.load_state_dict(weights)
    model = TrainedModel(recogniser.cpu().eval(), {})
    logits = torch.cat([model.logits(x, length) for x, length in blocks])  # (N, C)
    found = fit_temperature(label, logits.numpy())
    if found is None:
        warn(f"runs.{key}: the temperature does not converge on the validation part, so confidence stays as it is")
    return found or 1.0
