"""The module that is trained and served: an architecture with the standardisation of its input."""

from typing import Any

import torch
from torch import nn

CALIBRATION_SAMPLES = 256


def disable_tta(architecture: nn.Module) -> bool:
    """Switch test-time augmentation off; return whether it was on."""
    if getattr(architecture, "tta_views", 1) == 1:
        return False
    architecture.tta_views = 1
    return True


class Recogniser(nn.Module):
    """Maps stored values to logits.

    `unpack` returns values in the feature's units (faces: [0, 1]), to which augmentation is applied; `forward`
    standardises them with the training part's mean and standard deviation and calls the architecture.
    """

    def __init__(
        self, architecture: nn.Module, mean: torch.Tensor, sd: torch.Tensor, scale_factor: float, add_offset: float
    ) -> None:
        super().__init__()
        # oneDNN and cuDNN convolve images faster if weights and input are both channels last. Only the weights of 2-d
        # convolutions are affected.
        self.architecture = architecture.to(memory_format=torch.channels_last)
        self.scale_factor, self.add_offset = scale_factor, add_offset
        # Not saved with the weights: model.json holds them, where they can be read.
        self.register_buffer("mean", mean.float(), persistent=False)
        self.register_buffer("sd", sd.float(), persistent=False)
        if hasattr(architecture, "set_input_scale"):  # it reads values in the feature's units
            architecture.set_input_scale(self.mean, self.sd)

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """Return stored values (B, …) as float32 in the feature's units."""
        if (self.scale_factor, self.add_offset) == (1.0, 0.0):
            return packed.float()  # saves two passes and two large tensors
        return (packed * self.scale_factor).add_(self.add_offset)  # in place, to save memory and time

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, n_classes) for `x` (B, …) in the feature's units; `length` (B,) true time steps."""
        return self.architecture(self.standardise(x), length)

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """Return the standardised input of the architecture for `x` (B, …) in the feature's units."""
        x = (x - self.mean).div_(self.sd)  # in place, because small networks spend much time on memory allocation
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x  # 4 axes: images

    def load_pretrained(self, batches: Any) -> None:
        """Load published weights if the architecture uses any, and adapt them to the training samples if it can.

        `batches`: `Batches` of `stages.datasets.batches`, a room that serving does without. Raises `UserError` if the
        weights cannot be loaded.
        """
        if hasattr(self.architecture, "load_pretrained"):
            self.architecture.load_pretrained()
        if hasattr(self.architecture, "calibrate"):
            packed, _, _ = next(iter(batches.rebatched(CALIBRATION_SAMPLES)))
            self.architecture.calibrate(self.standardise(self.unpack(packed)))

    def penalty(self) -> torch.Tensor | float:
        """Return the architecture's own regulariser, 0 if it has none."""
        return self.architecture.penalty() if hasattr(self.architecture, "penalty") else 0.0
