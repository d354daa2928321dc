"""The tuned speaker encoder: its input, which layers learn, and the published weights in it."""

import numpy as np
import pytest
import torch

from stages.core.ge2e import N_MELS, SpeakerEncoder
from stages.models import adafnn
from stages.models.ge2e import build
from stages.training.recogniser import Recogniser

MEAN, SD = torch.linspace(-70, -30, N_MELS), torch.full((N_MELS,), 11.0)


def decibels(n: int = 4, frames: int = 30) -> torch.Tensor:
    torch.manual_seed(1)
    return MEAN + SD * torch.randn(n, frames, N_MELS)


def recogniser(**options: object) -> Recogniser:
    torch.manual_seed(0)
    return Recogniser(build((30, N_MELS), 4, **{"pretrained": "none"} | options), MEAN, SD, 1.0, 0.0)


def test_equals_a_linear_layer_on_the_pooled_states():
    whole, x, length = recogniser(pretrained="ge2e"), decibels(), torch.tensor([30, 12, 1, 30])
    whole.architecture.load_pretrained()
    encoder = SpeakerEncoder()
    encoder.load_pretrained()
    with torch.no_grad():
        pooled = encoder(10 ** (x / 10), torch.arange(30) < length[:, None]).flatten(1)
        whole.train()(x, length)  # sets the statistics
        whole.eval()
        of = whole.architecture
        standard = (pooled - of.standardise.running_mean) / (of.standardise.running_var + 1e-5).sqrt()
        torch.testing.assert_close(whole(x, length), of.classifier[1](standard), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("tuned_layers", [0, 1, 2, 3])
def test_only_the_last_layers_learn(tuned_layers: int):
    network = recogniser(tuned_layers=tuned_layers).architecture
    network(torch.randn(3, 30, N_MELS)).sum().backward()
    learns = [all(value.grad is not None for value in layer.parameters()) for layer in network.encoder.layers]
    assert learns == [number >= 3 - tuned_layers for number in range(3)]
    assert network.classifier[1].weight.grad is not None


@pytest.mark.parametrize("n_mels", [39, 64])
def test_another_number_of_bands_is_an_error(n_mels: int):
    with pytest.raises(ValueError, match=f"n_mels is {n_mels}; allowed: 40"):
        build((30, n_mels), 4)
    with pytest.raises(ValueError, match=f"n_mels is {n_mels}; allowed with use_embedding: 40"):
        adafnn.build((30, n_mels), 4, use_embedding=True)


def test_adafnn_reads_the_frozen_encoder_as_a_fifth_part():
    torch.manual_seed(0)
    parts = {f"use_{name}": False for name in ("adafnn", "ffnn", "lstm", "transformer")}
    network = adafnn.build((30, N_MELS), 4, use_embedding=True, **parts)
    network.load_pretrained()
    encoder = SpeakerEncoder()
    encoder.load_pretrained()
    network.set_input_scale(MEAN, SD)
    x = decibels()
    with torch.no_grad():
        network.train()((x - MEAN) / SD)
        pooled = encoder(10 ** (x / 10), torch.ones(4, 30, dtype=torch.bool)).flatten(1)
        state = network.parts["embedding"].standardise
        standard = (pooled - state.running_mean) / (state.running_var + 1e-5).sqrt()
        expected = network.parts["classifier"][1](standard)
        torch.testing.assert_close(network.eval()((x - MEAN) / SD), expected, atol=1e-3, rtol=1e-3)
    assert not any(value.requires_grad for value in network.parts["embedding"].parameters())


def test_without_any_part_there_is_an_error():
    parts = {f"use_{name}": False for name in ("adafnn", "ffnn", "lstm", "transformer")}
    with pytest.raises(ValueError, match="use_embedding are all false"):
        adafnn.build((30, N_MELS), 4, **parts)


def test_power_of_silence_is_finite():
    network = recogniser().architecture.eval()
    with torch.no_grad():
        assert np.isfinite(network(torch.full((1, 30, N_MELS), -40.0)).numpy()).all()
