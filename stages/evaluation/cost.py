"""What an answer costs: floating-point operations of one sample."""

from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def flops(network: nn.Module, x: torch.Tensor, length: torch.Tensor | None = None) -> int:
    """Operations of `network(x, length)` for one sample (1, …): a product and a sum count two, the rest not at all.

    Convolutions, matrix products and LSTMs, as PyTorch counts them; activations, pooling and normalisation are left
    out, as papers do.
    """
    recurrent = {torch.ops.aten.mkldnn_rnn_layer: _lstm_layer}  # the CPU's fused layer, which PyTorch leaves out
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=recurrent) as counter:
        network(x, length)
    return int(counter.get_total_flops())


def _lstm_layer(x: torch.Size, input_weight: torch.Size, state_weight: torch.Size, *_: Any, **__: Any) -> int:
    """One direction of one layer: `x` (T, B, n_in), weights (4 hidden, n_in) and (4 hidden, hidden)."""
    return 2 * x[0] * x[1] * (prod(input_weight) + prod(state_weight))
