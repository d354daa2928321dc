"""What is trained and what is served: an architecture behind the standardisation of its input."""

import torch
from torch import nn


def ask_once(architecture: nn.Module) -> bool:
    """From now on it answers by one view, where it took the mean over several of a sample; whether it did."""
    if getattr(architecture, "views", 1) == 1:
        return False
    architecture.views = 1
    return True


class Recogniser(nn.Module):
    """Stored values in, logits out.

    `unpack` gives the feature's own units (faces: [0, 1]), where augmentation acts; `forward` standardises with the
    training part's mean and standard deviation and asks the architecture.
    """

    def __init__(
        self,
        architecture: nn.Module,
        mean: torch.Tensor,
        sd: torch.Tensor,
        scale_factor: float,
        add_offset: float,
    ) -> None:
        super().__init__()
        # Images convolve faster with channels last in oneDNN and cuDNN, if weights and input both are; it touches no
        # weight that is not of a 2-d convolution.
        self.architecture = architecture.to(memory_format=torch.channels_last)
        self.scale_factor, self.add_offset = scale_factor, add_offset
        # Kept in model.json rather than among the weights: a reader of the folder sees what is subtracted.
        self.register_buffer("mean", mean.float(), persistent=False)
        self.register_buffer("sd", sd.float(), persistent=False)

    def unpack(self, packed: torch.Tensor) -> torch.Tensor:
        """(B, …) as stored → (B, …) float32 in the feature's units."""
        if (self.scale_factor, self.add_offset) == (1.0, 0.0):
            return packed.float()  # features kept as float are their own units: two passes and two large tensors less
        return (packed * self.scale_factor).add_(self.add_offset)  # in place: an image less of memory, a pass faster

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """(B, …) in the feature's units, (B,) true time steps → logits (B, n_classes)."""
        return self.architecture(self.standardise(x), length)

    def standardise(self, x: torch.Tensor) -> torch.Tensor:
        """(B, …) in the feature's units → (B, …) as the architecture takes it."""
        x = (x - self.mean).div_(self.sd)  # in place: small networks spend their time on new memory
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x  # 4: images

    def load_pretrained(self) -> None:
        """Start from published weights where the architecture names any. Raises `UserError` if they cannot be had."""
        if hasattr(self.architecture, "load_pretrained"):
            self.architecture.load_pretrained()

    def penalty(self) -> torch.Tensor | float:
        """The architecture's own regulariser, 0 where it has none."""
        return self.architecture.penalty() if hasattr(self.architecture, "penalty") else 0.0
