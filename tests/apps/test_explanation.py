"""Explanations add up to what they explain, against networks whose answer is known."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from matplotlib.figure import Figure
from small_runs import small_run
from torch import nn

from stages.apps import electrodes, explanation
from stages.apps.explanation_picture import _heads
from stages.apps.serving import ServedRun, serve
from stages.models import custom_cnn
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import Recogniser


@pytest.mark.parametrize(("corpus", "n_features"), [("speech", 64), ("eeg", 310)])
def test_contributions_add_up_to_the_logit(corpus: str, n_features: int):
    """Completeness (Sundararajan et al. 2017, proposition 1), and nothing is given to padding."""
    served = serve(str(small_run(corpus).folder))
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 0.1, (1, 16_000)).astype(np.float32) if corpus == "speech" else rng.normal(4, 1, (30, 310))
    prepared = served.prepare(signal, 16_000.0 if corpus == "speech" else None)
    found = explanation.contributions(served, prepared, 1)
    assert found.shape == (prepared[1], n_features)
    x, length = served.batch([prepared])
    with torch.no_grad():
        standard = served.recogniser.standardise(served.recogniser.unpack(x))
        logits, at_mean = (served.recogniser.architecture(v, length)[0, 1] for v in (standard, 0 * standard))
    assert found.sum() == pytest.approx(float(logits - at_mean), abs=0.05 * max(1.0, abs(float(logits - at_mean))))


class Weighted(nn.Module):
    """Class 1 for what is bright at the left, class 0 at the right."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.conv.weight.data[:] = torch.tensor([1.0, 1.0])[:, None, None, None]

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        y = self.conv(x)  # (B, 1, H, W) → (B, 2, H, W)
        half = y.shape[3] // 2
        return torch.stack([y[:, 0, :, half:].sum((1, 2)), y[:, 1, :, :half].sum((1, 2))], dim=1)


def test_grad_cam_by_hand():
    """Of the class's own map the gradient is 1 at the left, and 0 at the right, which counts for nothing."""
    served = serve(str(small_run("faces").folder))
    recogniser = Recogniser(Weighted(), torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 1 / 255, 0.0).eval()
    run = ServedRun(TrainedModel(recogniser, served.info))
    image = np.random.default_rng(0).integers(0, 256, (1, 24, 24), dtype=np.uint8)
    found = explanation.grad_cam(run, (image, 0), 1)
    assert found[:, :12] == pytest.approx(image[0, :, :12] / 255, abs=1e-5)
    assert not found[:, 12:].any()


def test_grad_cam_is_the_published_one_where_the_head_averages():
    """Equations 1 and 2 of Selvaraju et al., by captum's own."""
    torch.manual_seed(0)
    body = nn.Conv2d(1, 5, 3, padding=1)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 7))
    architecture = nn.Sequential(body, nn.ReLU(), *head).eval()
    served = serve(str(small_run("faces").folder))
    recogniser = Recogniser(architecture, torch.zeros(1, 1, 1), torch.ones(1, 1, 1), 1 / 255, 0.0).eval()
    image = np.random.default_rng(0).integers(0, 256, (1, 24, 24), dtype=np.uint8)
    found = explanation.grad_cam(ServedRun(TrainedModel(recogniser, served.info)), (image, 0), 2)
    x = torch.from_numpy(image[None] / np.float32(255))
    expected = LayerGradCam(architecture, architecture[1]).attribute(x, target=2, relu_attributions=True)[0, 0]
    assert found.max() > 0
    assert found == pytest.approx(expected.detach().numpy(), rel=1e-4, abs=1e-7)


def test_grad_cam_of_a_network_that_names_no_layer():
    served = serve(str(small_run("faces").folder))
    prepared = served.prepare(np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8))
    found = explanation.grad_cam(served, prepared, 0)
    assert found.shape == (24, 24)
    assert found.min() >= 0


def test_map_before_pooling_and_behind_the_sum():
    """Of the block conv, BN, activation, conv, BN (+ shortcut), activation, pool: the second activation."""
    for residual in (False, True):
        architecture = custom_cnn.build((1, 24, 24), 3, widths=[4, 4], hidden=8, residual=residual)
        assert explanation.map_layer(architecture.eval(), torch.zeros(1, 1, 24, 24)) is architecture.blocks[-1].after[0]


def test_channels_lie_where_they_are_named():
    places, known = electrodes.positions(list(electrodes.SEED_CHANNELS))
    assert known == list(range(62))
    at = dict(zip(electrodes.SEED_CHANNELS, places, strict=True))
    assert at["Fpz"][1] > 0.8 > abs(at["Fpz"][0])
    assert at["T7"][0] < -0.8
    assert at["O1"][1] < -0.7
    assert at["O1"][0] < 0 < at["O2"][0]
    assert np.linalg.norm(at["Cz"]) < 0.2
    assert np.linalg.norm(places, axis=1).max() < 1.4


def test_colours_end_at_the_outline_of_the_head():
    """Of SEED's cap, whose lowest electrodes, CB1 and CB2, lie beyond the rim through Fpz and Oz."""
    figure = Figure()
    values = np.linspace(-1, 1, 62 * 5).reshape(-1, 5)
    _heads(figure, figure.add_gridspec(1, 1)[0], list(electrodes.SEED_CHANNELS), values, "trial")
    for axes in figure.axes:
        outline = np.linalg.norm(axes.lines[0].get_xydata(), axis=1)  # first the circle, then nose and ears
        assert outline.max() == pytest.approx(outline.min())
        assert axes.images[0].get_extent() == pytest.approx([-outline[0], outline[0]] * 2)
        _, electrodes_drawn = axes.collections  # contours come first
        assert np.linalg.norm(electrodes_drawn.get_offsets(), axis=1).max() < outline[0]


def test_unknown_and_older_names():
    _, known = electrodes.positions(["EEG Fp1-Ref", "T3", "X9", "t7"])
    assert known == [0, 1]  # T3 is T7
    assert len(electrodes.positions(["A", "B"])[0]) == 0


def test_names_of_recorded_channels():
    info = {"input": {"shape": [60, 15]}, "feature": {"name": "eeg_de", "channels": ["Fz", "Cz", "Pz"]}}
    assert electrodes.channel_names(info) == ["Fz", "Cz", "Pz"]
    other = {"input": {"shape": [60, 20]}, "feature": {"name": "eeg"}}
    assert electrodes.channel_names(other) == ["1", "2", "3", "4"]
    assert electrodes.over_bands(np.arange(10)).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
