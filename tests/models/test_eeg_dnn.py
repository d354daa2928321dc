"""The dense network: logits, sizes, and the normalisation of its padded input."""

import numpy as np
import pytest
import torch
from torch import nn

from stages.models.eeg_dnn import build

SHAPE = (12, 20)


def weights(model: nn.Module) -> int:
    return sum(value.numel() for value in model.parameters())


def test_widths_by_hand():
    # A normalisation has a gain and a shift, its dense layer no bias; the input's normalisation has neither.
    assert weights(build(SHAPE, 5, hidden=[7, 3])) == 240 * 7 + 2 * 7 + 7 * 3 + 2 * 3 + 3 * 5 + 5
    assert weights(build((74, 310), 5)) == 74 * 310 * 16 + 32 + 16 * 16 + 32 + 16 * 5 + 5 == 367_445


def test_logits_equal_numpys():
    model = build(SHAPE, 5, hidden=[7])
    for _ in range(3):
        model(torch.randn(9, *SHAPE) + 2)
    values = {key: value.numpy() for key, value in model.eval().state_dict().items()}
    first, dense, normal, last = (f"layers.{i}" for i in (0, 1, 2, 5))

    def normalised(x: np.ndarray, name: str) -> np.ndarray:
        return (x - values[f"{name}.running_mean"]) / np.sqrt(values[f"{name}.running_var"] + 1e-5)

    x = torch.randn(4, *SHAPE)
    hidden = normalised(normalised(x.numpy().reshape(4, -1), first) @ values[f"{dense}.weight"].T, normal)
    hidden = np.maximum(hidden * values[f"{normal}.weight"] + values[f"{normal}.bias"], 0)
    expected = hidden @ values[f"{last}.weight"].T + values[f"{last}.bias"]
    np.testing.assert_allclose(model(x).detach().numpy(), expected, atol=1e-5)


def test_every_window_has_its_own_weights():
    model, x = build(SHAPE, 5).eval(), torch.randn(3, *SHAPE)
    assert (model(x) - model(x.flip(1))).abs().max() > 1e-3


def test_padding_far_from_the_mean_does_not_dominate():
    """Half of the trials have padding that is 20 standard deviations away from the mean."""
    model, x = build(SHAPE, 5), torch.randn(64, *SHAPE)
    x[::2, 6:] = -20.0
    normal = model.layers[0](x.flatten(1)).reshape(64, *SHAPE)
    assert normal.abs().max() < 5
    assert normal[:, :6].std().item() == pytest.approx(1, abs=0.01)
