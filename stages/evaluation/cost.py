"""The computational cost of a network."""

from math import prod

import torch
from torch import nn


def flops(network: nn.Module, x: torch.Tensor, length: torch.Tensor | None = None) -> int:
    """Return the floating-point operations of `network(x, length)` for one sample (1, …).

    A multiplication and an addition count as two. Convolutions, matrix products and LSTMs are counted; activations,
    pooling and normalisation are not, as is usual in papers.
    """
    from torch.utils.flop_counter import FlopCounterMode  # loads the compiler when used: about one second

    # PyTorch has no formula for one direction of one layer of the fused LSTM of a CPU:
    # `x` (T, B, n_in), weights (4 hidden, n_in) and (4 hidden, hidden).
    formulas = {torch.ops.aten.mkldnn_rnn_layer: lambda x, w, u, *_, **__: 2 * x[0] * x[1] * (prod(w) + prod(u))}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        network(x, length)
    return counter.get_total_flops()
