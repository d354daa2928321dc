"""What is refused in a spectrogram's settings, against the filters that torchaudio makes of them."""

import re
import warnings

import numpy as np
import pytest
from torchaudio.functional import melscale_fbanks

from stages.checks import features as feature_checks
from stages.features import mel

SOUND = {"name": "mel", "sample_rate_hz": 16_000, "window_ms": 25.0, "hop_ms": 10.0, "n_mels": 64, "f_min_hz": 0.0}
SOUND |= {"f_max_hz": 8000.0, "duration_s": 3.0}


def silent_bands(feature: dict) -> int:
    """How many of torchaudio's filters are 0 at every frequency."""
    rate = feature["sample_rate_hz"]
    n_freqs = mel.n_fft(round(rate * feature["window_ms"] / 1000)) // 2 + 1
    edges = feature["f_min_hz"], feature["f_max_hz"], feature["n_mels"]
    with warnings.catch_warnings(action="ignore"):  # it says that filters are 0
        filters = melscale_fbanks(n_freqs, *edges, rate, norm="slaney", mel_scale="slaney")
    return int((filters.amax(dim=0) <= 0).sum())


def allowed_bands(line: str) -> int | None:
    found = re.search(r"allowed: (\d+) or fewer", line)
    return int(found[1]) if found else None


@pytest.mark.parametrize("window_ms", [1.0, 4.0, 25.0, 32.0, 100.0])
@pytest.mark.parametrize(
    ("rate_hz", "lowest", "highest"),
    [(16_000, 0.0, 8000.0), (16_000, 50.0, 7600.0), (8_000, 300.0, 3400.0), (44_100, 2000.0, 22_050.0)],
)
def test_bands_are_refused_where_torchaudio_finds_nothing(
    window_ms: float, rate_hz: int, lowest: float, highest: float
):
    refused = 0
    for n_mels in (1, 3, 10, 20, 40, 64, 90, 128, 180, 187, 256, 512, 3000):
        feature = SOUND | {"sample_rate_hz": rate_hz, "window_ms": window_ms, "hop_ms": 1.0}
        feature |= {"f_min_hz": lowest, "f_max_hz": highest, "n_mels": n_mels}
        lines = list(feature_checks.feature_mistakes("here", feature))
        assert len(lines) == (silent_bands(feature) > 0), n_mels
        refused += len(lines)
        enough = allowed_bands(lines[0]) if lines else None
        for fewer in range(1, (enough or 0) + 1, 7):
            assert not silent_bands(feature | {"n_mels": fewer})
        assert not enough or not silent_bands(feature | {"n_mels": enough})
    assert refused


@pytest.mark.parametrize(
    ("duration_s", "hop_ms", "rate_hz"), [(3.0, 16.0, 16_000), (0.5, 10.0, 22_050), (1, 3.3, 8_000)]
)
def test_frames_are_those_of_the_spectrogram(duration_s: float, hop_ms: float, rate_hz: int):
    feature = SOUND | {"duration_s": duration_s, "hop_ms": hop_ms, "sample_rate_hz": rate_hz, "f_max_hz": 4000.0}
    settings = {key: value for key, value in feature.items() if key != "name"}
    noise = np.random.default_rng(0).normal(size=(1, 900)).astype(np.float32)
    x, _ = mel.compute(noise, rate_hz, **settings, trim_db=None, normalize="none")
    assert feature_checks.frames(feature) == len(x)


@pytest.mark.parametrize("value", [None, "3", float("nan"), float("inf"), -1, 10**400, [3], True, 0])
@pytest.mark.parametrize("name", ["sample_rate_hz", "window_ms", "hop_ms", "f_max_hz", "n_mels", "duration_s"])
def test_what_is_no_setting_is_left_to_the_schema(name: str, value: object):
    feature = SOUND | {name: value}
    assert all(line.startswith("here.") for line in feature_checks.feature_mistakes("here", feature))
    feature_checks.frames(feature)
