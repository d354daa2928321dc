"""The frozen speaker encoder's values of a clip: level, rate, silence, length, and clips it cannot hear."""

import numpy as np
import pytest
import soxr
import torch
from test_mel import voice

from stages.core.records import DamagedSample
from stages.features import mel, speaker_embedding
from stages.models import ge2e
from stages.training.recogniser import Recogniser

CLIP = voice(2.0)


def compute(signal: np.ndarray, rate_hz: float = 16_000.0, trim_db: float | None = 25.0) -> np.ndarray:
    x, length = speaker_embedding.compute(np.atleast_2d(signal), rate_hz, trim_db=trim_db, speeds=[1.0])
    assert (x.shape, x.dtype, length) == ((1, 6, 256), np.float32, 0)
    return x[0]


@pytest.mark.parametrize(
    "changed",
    [CLIP / 10, CLIP * 4, np.stack([CLIP, CLIP]), CLIP + np.float32(0.2), np.stack([CLIP, -CLIP])],
    ids=["20 dB less", "louder", "stereo", "DC offset", "cancelling channels"],
)
def test_level_and_channels_change_nothing(changed: np.ndarray):
    np.testing.assert_allclose(compute(changed), compute(CLIP), atol=0.02)


@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 48_000])
def test_the_rate_changes_little(rate_hz: int):
    other = compute(soxr.resample(CLIP, 16_000, rate_hz).astype(np.float32), rate_hz)
    assert np.corrcoef(other.ravel(), compute(CLIP).ravel())[0, 1] > 0.99


def test_silence_at_the_ends_changes_little():
    padded = np.concatenate([np.zeros(16_000), CLIP, np.zeros(8_000)]).astype(np.float32)
    assert np.corrcoef(compute(padded).ravel(), compute(CLIP).ravel())[0, 1] > 0.99
    assert np.corrcoef(compute(padded, trim_db=None).ravel(), compute(CLIP).ravel())[0, 1] < 0.99


def test_another_speed_is_another_length_and_pitch():
    """At 1.25 the clip is heard as one that was recorded at 20 kHz and is played at 16."""
    x, _ = speaker_embedding.compute(CLIP[None], 16_000.0, trim_db=None, speeds=[1.0, 1.25, 0.8])
    assert x.shape == (3, 6, 256)
    np.testing.assert_allclose(x[0], compute(CLIP, trim_db=None), atol=1e-6)
    faster = soxr.resample(CLIP, 5, 4).astype(np.float32)
    np.testing.assert_allclose(x[1], compute(faster, trim_db=None), atol=5e-3)
    assert np.corrcoef(x[1].ravel(), x[0].ravel())[0, 1] < 0.99
    assert np.corrcoef(x[1].ravel(), x[2].ravel())[0, 1] < np.corrcoef(x[1].ravel(), x[0].ravel())[0, 1]


def test_statistics_are_those_of_numpy_over_the_states():
    spectrum, encoder = speaker_embedding._transforms()
    level = CLIP * 10 ** (-30 / 20) / np.sqrt(np.mean(CLIP**2))
    with torch.no_grad():
        _, second, third = (states[0].numpy() for states in encoder.states(spectrum(torch.from_numpy(level)).T[None]))
    expected = [
        value for states in (second, third) for value in (states.std(axis=0), *np.quantile(states, (0.1, 0.9), axis=0))
    ]
    np.testing.assert_allclose(compute(CLIP, trim_db=None), expected, atol=2e-3)


def test_the_level_is_that_of_the_trimmed_clip():
    """Speech at -23 dBFS, with as much silence, at any speed."""
    clip = CLIP * 10 ** (-23 / 20) / np.sqrt(np.mean(CLIP**2))
    padded = np.concatenate([np.zeros(32_000, np.float32), clip])[None]
    x, _ = speaker_embedding.compute(padded, 16_000.0, trim_db=25.0, speeds=[1.0, 1.1], use_level=True)
    assert (x.shape, x.dtype) == ((2, 7, 256), np.float32)
    np.testing.assert_allclose(x[:, 6], -23, atol=0.3)
    np.testing.assert_array_equal(x[:1, :6], compute(padded, trim_db=25.0)[None])


def test_model_ge2e_hears_the_same_in_the_spectrogram_of_feature_mel():
    """Both ways from samples to the encoder, that of this feature and that of feature mel, give the same states."""
    settings = {"sample_rate_hz": 16_000, "window_ms": 25.0, "hop_ms": 10.0, "n_mels": 40, "f_min_hz": 0.0}
    settings |= {"f_max_hz": 8_000.0, "duration_s": 3.0, "trim_db": 25.0, "normalize": "none", "n_fft": 400}
    x, length = mel.compute(CLIP[None], 16_000.0, normalize_level=True, **settings)
    mean, sd = torch.full((40,), -50.0), torch.full((40,), 12.0)
    network = Recogniser(ge2e.build(x.shape, 4), mean, sd, 1.0, 0.0).eval()
    network.architecture.load_pretrained()
    encoder, standard = network.architecture.encoder, network.standardise(torch.from_numpy(x[None]))
    with torch.no_grad():
        states = encoder.states(encoder.power(standard))[1][0, :length]
    np.testing.assert_allclose(states.std(dim=0, correction=0), compute(CLIP)[0], atol=5e-3)


@pytest.mark.parametrize(
    ("signal", "rate_hz", "words"),
    [
        (CLIP[::2], 8_000, "sample rate; allowed: 16000 Hz or more; received: 8000 Hz"),
        (CLIP[3_000:6_200], 16_000, "too little speech; allowed: 0.4 s or more; received: 0.16 s"),
        (np.zeros(32_000, np.float32), 16_000, "too little speech"),
        (np.eye(1, 32_000, 9_000, dtype=np.float32)[0], 16_000, "too little speech"),
    ],
)
def test_clips_that_the_encoder_cannot_hear_are_damaged(signal: np.ndarray, rate_hz: int, words: str):
    with pytest.raises(DamagedSample, match=words):
        compute(signal, rate_hz)


def test_a_long_clip_is_read_to_its_end():
    first, last = voice(40.0, seed=4), voice(20.0, seed=5)
    one, other = (compute(clip, 16_000) for clip in (np.concatenate([first, last]), first))
    assert np.abs(one - other).max() > 0.01
