"""Mixup: Zhang, Cissé, Dauphin, Lopez-Paz, "mixup: beyond empirical risk minimization", ICLR 2018.

A network trained on blends of two samples, with as much of either's label, memorises fewer wrong labels.
"""

import torch

# Labels (B,) and their share in the loss; the shares of a step sum to 1.
Targets = list[tuple[torch.Tensor, float]]


def mix(
    x: torch.Tensor, length: torch.Tensor, label: torch.Tensor, alpha: float
) -> tuple[torch.Tensor, torch.Tensor, Targets]:
    """Blend each sample of a batch with another: `share`·x + (1 − `share`)·x of that one.

    `x` (B, …), `length` and `label` (B,). One `share` a batch (the authors' implementation), drawn from Beta(`alpha`,
    `alpha`): mostly near 0 or 1 below 1, mostly near a half above. A blend is as long as the longer of its two.
    """
    share = torch.distributions.Beta(alpha, alpha).sample().item()
    other = torch.randperm(len(x)).to(x.device)
    blended = torch.lerp(x[other], x, share)
    return blended, torch.maximum(length, length[other]), [(label, share), (label[other], 1 - share)]
