"""Mixup: Zhang, Cissé, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.

Training on weighted averages of two samples and their labels reduces the memorisation of wrong labels.
"""

import torch

# Labels (B,), or shares of the classes (B, n_classes), with their weights in the loss; the weights sum to 1.
Targets = list[tuple[torch.Tensor, float]]


def mix(
    x: torch.Tensor, length: torch.Tensor, label: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, torch.Tensor, Targets]:
    """Return each sample of a batch mixed with another one, `share`·x + (1 − `share`)·x_other.

    `x` (B, …), `length` (B,) and `label` (B,) or (B, n_classes). One `share` per batch, as in the authors'
    implementation, is sampled from Beta(`alpha`, `alpha`): near 0 or 1 for a small `alpha`, near one half for a large
    one. The length of a mixed sample is the longer of the two.
    """
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    other = torch.randperm(len(x)).to(x.device)
    mixed = torch.lerp(x[other], x, share)
    return mixed, torch.maximum(length, length[other]), [(label, share), (label[other], 1 - share)]
