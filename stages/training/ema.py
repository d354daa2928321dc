"""Exponential moving average (EMA) of the weights over training steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class Ema(AveragedModel):
    """The EMA of a network's weights and of its normalisation statistics; `update_parameters` adds one step.

    The decay is warmed up as in TensorFlow's ExponentialMovingAverage: after `count` steps it is at most
    (1 + count) / (10 + count), so that the average forgets the initial weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, avg_fn=partial(_updated_average, decay), use_buffers=True)

    @contextmanager
    def applied_to(self, network: nn.Module) -> Iterator[None]:
        """Give `network` the averaged weights inside the block."""
        self._swap(network)
        yield
        self._swap(network)

    def _swap(self, network: nn.Module) -> None:
        for averaged, current in zip(self.module.state_dict().values(), network.state_dict().values(), strict=True):
            copy = current.clone()
            current.copy_(averaged)
            averaged.copy_(copy)


def _updated_average(decay: float, averaged: torch.Tensor, current: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    if not current.is_floating_point():  # batch normalisation counts its batches in an integer
        return current
    return averaged.lerp(current, 1 - ((1 + count) / (10 + count)).clamp(max=decay))
