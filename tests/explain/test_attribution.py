"""Attributions, against networks for which they are known."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from small_runs import small_run
from torch import nn

from stages.explain.attribution import attributions, grad_cam, map_layer
from stages.models import custom_cnn
from stages.serving.served_run import Prepared, ServedRun, serve
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import Recogniser


@pytest.fixture(scope="module")
def faces() -> ServedRun:
    return serve(str(small_run("faces").folder))


@pytest.fixture
def prepared() -> Prepared:
    """A random image as a dataset stores it, without true time steps."""
    return np.random.default_rng(0).integers(0, 256, (1, 24, 24), dtype=np.uint8), 0


def with_network(run: ServedRun, architecture: nn.Module) -> ServedRun:
    """Return the run with another network, whose input is standardised to 0..1."""
    recogniser = Recogniser(architecture, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 1 / 255, 0.0).eval()
    return ServedRun(TrainedModel(recogniser, run.info))


@pytest.mark.parametrize(("corpus", "n_features"), [("speech", 64), ("eeg", 310)])
def test_integrated_gradients_add_up_to_the_logit(corpus: str, n_features: int):
    """Completeness (Sundararajan et al. 2017, proposition 1); padding has no attributions."""
    run = serve(str(small_run(corpus).folder))
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.1, (1, 16_000)).astype(np.float32) if corpus == "speech" else rng.normal(4, 1, (30, 310))
    prepared = run.prepare(signal, 16_000.0 if corpus == "speech" else None)
    values = attributions(run, prepared, 1)
    assert values.shape == (prepared[1], n_features)
    x, length = run.batch([prepared])
    with torch.no_grad():
        standardised = run.recogniser.standardise(run.recogniser.unpack(x))
        logit, logit_of_mean = (run.recogniser.architecture(v, length)[0, 1] for v in (standardised, 0 * standardised))
    difference = float(logit - logit_of_mean)
    assert values.sum() == pytest.approx(difference, abs=0.05 * max(1.0, abs(difference)))


class Halves(nn.Module):
    """The logit of class 1 is the sum over the left half of the image, that of class 0 over the right half."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.conv.weight.data[:] = 1.0

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        y = self.conv(x)  # (B, 1, H, W) → (B, 2, H, W)
        half = y.shape[3] // 2
        return torch.stack([y[:, 0, :, half:].sum((1, 2)), y[:, 1, :, :half].sum((1, 2))], dim=1)


def test_grad_cam_by_hand(faces: ServedRun, prepared: Prepared):
    """The gradient of the class's own map is 1 on the left and 0 on the right."""
    heat = grad_cam(with_network(faces, Halves()), prepared, 1)
    assert heat[:, :12] == pytest.approx(prepared[0][0, :, :12] / 255, abs=1e-5)
    assert not heat[:, 12:].any()


def test_grad_cam_equals_the_published_one_where_the_head_averages(faces: ServedRun, prepared: Prepared):
    """Equations 1 and 2 of Selvaraju et al., as implemented in captum."""
    torch.manual_seed(0)
    body, head = nn.Conv2d(1, 5, 3, padding=1), nn.Linear(5, 7)
    architecture = nn.Sequential(body, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head).eval()
    heat = grad_cam(with_network(faces, architecture), prepared, 2)
    x = torch.from_numpy(prepared[0][None] / np.float32(255))
    expected = LayerGradCam(architecture, architecture[1]).attribute(x, target=2, relu_attributions=True)[0, 0]
    assert heat.max() > 0
    assert heat == pytest.approx(expected.detach().numpy(), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("residual", [False, True])
def test_map_layer_is_before_pooling_and_after_the_shortcut(residual: bool):
    """A block is: conv, BN, activation, conv, BN (+ shortcut), activation, pooling; it is the second activation."""
    architecture = custom_cnn.build((1, 24, 24), 3, widths=[4, 4], hidden=8, residual=residual).eval()
    assert map_layer(architecture, torch.zeros(1, 1, 24, 24)) is architecture.blocks[-1].after[0]
