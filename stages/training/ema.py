"""Exponential moving average (EMA) of the weights, over training steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class Ema(AveragedModel):
    """The average of all weights of a network, and of the statistics of its normalisations; `update_parameters` adds.

    The average is warmed up as TensorFlow's ExponentialMovingAverage is: its decay after `count` steps is at most
    (1 + count) / (10 + count), to forget the initial weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__(network, avg_fn=partial(_moved, decay), use_buffers=True)

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """The average takes the place of the network's weights inside the block."""
        self._swap(network)
        yield
        self._swap(network)

    def _swap(self, network: nn.Module) -> None:
        for averaged, current in zip(self.module.state_dict().values(), network.state_dict().values(), strict=True):
            kept = current.clone()
            current.copy_(averaged)
            averaged.copy_(kept)


def _moved(decay: float, averaged: torch.Tensor, current: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    """`averaged`, of `count` steps, moved towards `current`."""
    if not current.is_floating_point():  # how many batches a normalisation has seen
        return current
    return averaged.lerp(current, 1 - ((1 + count) / (10 + count)).clamp(max=decay))
