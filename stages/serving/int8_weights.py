"""Weights as 8-bit integers with a scale for each output channel, in half the bytes of float16.

Jacob et al. 2018 (CVPR, arXiv 1712.05877), section 2.1, with a zero point of 0. They are computed with in float32.
"""

import torch

SUFFIX = ".scale"
LARGEST = 127


def pack(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return tensors of two axes and more as int8, with their scales (n_out,) beside them, the others in float16."""
    packed = {}
    for name, values in weights.items():
        if not values.is_floating_point():
            packed[name] = values  # the step counters of batch normalisation are whole numbers
        elif values.ndim < 2:
            packed[name] = values.half()
        else:
            scale = values.flatten(1).abs().amax(1).clamp(min=1e-12) / LARGEST  # (n_out, …) → (n_out,)
            packed |= {name: (values / _over_rows(scale, values)).round().to(torch.int8), name + SUFFIX: scale}
    return packed


def unpack(packed: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors of `pack` in floating point. What has no scale of its rows, and other tensors, stay."""
    weights = dict(packed)
    for name, values in packed.items():
        scale = packed.get(name + SUFFIX)
        if values.dtype == torch.int8 and scale is not None and scale.shape == values.shape[:1]:
            weights[name] = values * _over_rows(weights.pop(name + SUFFIX), values)
    return weights


def _over_rows(scale: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    return scale.view(-1, *[1] * (values.ndim - 1))
