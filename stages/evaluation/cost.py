"""What an answer costs: floating-point operations of one sample."""

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, shape_wrapper


def flops(network: nn.Module, x: torch.Tensor, length: torch.Tensor | None = None) -> int:
    """Operations of `network(x, length)` for one sample (1, …): a product and a sum count two, the rest not at all.

    Convolutions, matrix products and LSTMs, as PyTorch counts them; activations, pooling and normalisation are left
    out, as papers do.
    """
    with torch.no_grad(), _Counter() as counter:
        network(x, length)
    return counter.total


class _Counter(TorchDispatchMode):
    """Adds up what PyTorch's own formulas say of every operator called.

    In the place of `FlopCounterMode`, which loads the compiler to count: 1.5 s of every `evaluate`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Callable, types: tuple[type, ...], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if formula := FORMULAS.get(func.overloadpacket):
            self.total += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def _lstm_layer(x: torch.Size, input_weight: torch.Size, state_weight: torch.Size, *_: Any, **__: Any) -> int:
    """One direction of one layer: `x` (T, B, n_in), weights (4 hidden, n_in) and (4 hidden, hidden)."""
    return 2 * x[0] * x[1] * (prod(input_weight) + prod(state_weight))


# The CPU's fused LSTM is missing among PyTorch's.
FORMULAS = {**flop_registry, torch.ops.aten.mkldnn_rnn_layer: shape_wrapper(_lstm_layer)}
