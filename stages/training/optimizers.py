"""The optimisers that `runs.<run>.optimizer` names, with their options."""

from collections.abc import Iterable

import torch
from torch import nn

from stages.params.options import Fraction, NonNegativeFloat, PositiveFloat

Parameters = Iterable[nn.Parameter]


def adam(
    parameters: Parameters,
    *,
    lr: PositiveFloat,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
) -> torch.optim.Optimizer:
    """Return Adam (Kingma & Ba 2015); `weight_decay` is added to the gradient (L2)."""
    return torch.optim.Adam(parameters, lr, (beta_1, beta_2), epsilon, weight_decay)


def adamw(
    parameters: Parameters,
    *,
    lr: PositiveFloat,
    beta_1: Fraction = 0.9,
    beta_2: Fraction = 0.999,
    epsilon: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.01,
) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov & Hutter 2019), with weight decay decoupled from the gradient."""
    return torch.optim.AdamW(parameters, lr, (beta_1, beta_2), epsilon, weight_decay)


def sgd_nesterov(
    parameters: Parameters, *, lr: PositiveFloat, momentum: Fraction = 0.9, weight_decay: NonNegativeFloat = 0.0
) -> torch.optim.Optimizer:
    """Return stochastic gradient descent with Nesterov momentum."""
    return torch.optim.SGD(parameters, lr, momentum, weight_decay=weight_decay, nesterov=momentum > 0)


def rmsprop(
    parameters: Parameters,
    *,
    lr: PositiveFloat,
    alpha: Fraction = 0.99,
    momentum: Fraction = 0.0,
    weight_decay: NonNegativeFloat = 0.0,
) -> torch.optim.Optimizer:
    """Return RMSprop (Hinton 2012); `alpha` smooths the squared gradient."""
    return torch.optim.RMSprop(parameters, lr, alpha, weight_decay=weight_decay, momentum=momentum)
