"""The speaker encoder equals the package's own code, run on the same clip; its weights are read from the package."""

import importlib
import sys
import types

import numpy as np
import pytest
import torch
from scipy import ndimage

from stages.core import weights
from stages.core.errors import UserError
from stages.core.ge2e import HIDDEN, N_MELS, SpeakerEncoder
from stages.features import speaker_embedding


@pytest.fixture
def resemblyzer(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """The package's own encoder. What it imports for silence detection is absent, or has moved within SciPy."""
    morphology = types.ModuleType("scipy.ndimage.morphology")
    morphology.binary_dilation = ndimage.binary_dilation
    monkeypatch.setitem(sys.modules, "webrtcvad", types.ModuleType("webrtcvad"))
    monkeypatch.setitem(sys.modules, "scipy.ndimage.morphology", morphology)
    return importlib.import_module("resemblyzer")


def encoder() -> SpeakerEncoder:
    network = SpeakerEncoder().eval()
    network.load_pretrained()
    return network


def clip(seed: int, samples: int = 25_000) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=samples + 63)
    return np.convolve(noise, np.hanning(64) / 32, "valid").astype(np.float32) * 0.03


@torch.inference_mode()
def test_equals_the_package_from_samples_to_speaker_embedding(resemblyzer):
    reference, network = resemblyzer.VoiceEncoder("cpu", verbose=False), encoder()
    spectrum, _ = speaker_embedding._transforms()
    for seed in (0, 1):
        expected_mel = resemblyzer.wav_to_mel_spectrogram(clip(seed))  # (T, 40)
        mel = spectrum(torch.from_numpy(clip(seed))).T
        np.testing.assert_allclose(mel, expected_mel, atol=1e-5 * expected_mel.max())
        last = network.states(mel[None])[-1][:, -1]  # (1, 256)
        embedding = torch.relu(reference.linear(last))
        expected = reference(torch.from_numpy(expected_mel)[None])
        torch.testing.assert_close(embedding / embedding.norm(dim=1), expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_pools_mean_and_sd_of_layers_2_and_3_over_the_valid_frames():
    network = encoder()
    power = torch.rand(2, 30, N_MELS)
    valid = torch.arange(30) < torch.tensor([[30], [12]])
    pooled = network(power, valid)
    assert pooled.shape == (2, 4, HIDDEN)
    for clip_number, length in ((0, 30), (1, 12)):
        _, second, third = network.states(power[clip_number : clip_number + 1, :length])
        expected = [second[0].mean(0), second[0].std(0, correction=0), third[0].mean(0), third[0].std(0, correction=0)]
        torch.testing.assert_close(pooled[clip_number], torch.stack(expected), atol=2e-3, rtol=0)


def test_power_inverts_the_standardised_decibels():
    network = SpeakerEncoder()
    mean, sd = torch.linspace(-60, -20, N_MELS), torch.full((N_MELS,), 12.0)
    network.set_input_scale(mean, sd)
    power = torch.rand(2, 5, N_MELS) + 1e-3
    torch.testing.assert_close(network.power((10 * power.log10() - mean) / sd), power, rtol=1e-4, atol=1e-6)


# The others are not on the index that pip uses: their file is named by its path.
@pytest.mark.parametrize("name", [name for name, of in weights.WEIGHTS.items() if "npm" not in of.package])
def test_packages_hold_the_named_files(name: str):
    assert weights.path(name).stat().st_size > 100_000


def test_an_absent_package_is_one_line(monkeypatch: pytest.MonkeyPatch):
    absent = weights.Weights("no-such-package", "a.pt", "0", "MIT", "nobody", "nothing")
    monkeypatch.setitem(weights.WEIGHTS, "ge2e", absent)
    with pytest.raises(UserError, match=r"weights ge2e: the package no-such-package is not installed; .*--no-deps"):
        SpeakerEncoder().load_pretrained()


def test_another_file_is_one_line(monkeypatch: pytest.MonkeyPatch):
    changed = weights.WEIGHTS["ge2e"].__dict__ | {"sha256": "0" * 64}
    monkeypatch.setitem(weights.WEIGHTS, "ge2e", weights.Weights(**changed))
    with pytest.raises(UserError, match=r"another file; allowed: sha256 0000.*received: '39373b86"):
        weights.path("ge2e")
