"""The temperature of a trained recogniser, from its logits of the validation part."""

from collections.abc import Iterable

import torch

from stages.core.calibration import fit_temperature
from stages.core.errors import warn
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import Recogniser


def validation_temperature(
    key: str, recogniser: Recogniser, weights: dict[str, torch.Tensor], batches: Iterable
) -> float:
    """Return the temperature of a run with these `weights`; 1, with a warning, if its fit does not converge."""
    recogniser.architecture.load_state_dict(weights)
    model = TrainedModel(recogniser.cpu().eval(), {})
    logits, labels = zip(*[(model.logits(x, length), label) for x, length, label in batches], strict=True)
    label = torch.cat(labels)
    label = label.argmax(1) if label.dim() == 2 else label  # (N, C) shares of votes → (N,)
    found = fit_temperature(label.numpy(), torch.cat(logits).numpy())
    if found is None:
        warn(f"runs.{key}: the temperature does not converge on the validation part, so confidence stays as it is")
    return found or 1.0
