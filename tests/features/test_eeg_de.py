"""Differential entropy against its closed form, filters against sines, smoothing against a Kalman filter by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal as theirs

from stages.core.records import DamagedSample
from stages.features import eeg, eeg_de

RATE_HZ = 200.0
NAMES = ["Fp1", "Cz", "O2"]
BANDS = list(eeg_de.BANDS_HZ.values())
SETTINGS = {
    "channels": NAMES,
    "low_hz": 0.3,
    "high_hz": 90.0,
    "notch_hz": None,
    "resample_hz": None,
    "window_s": 2.0,
    "smoothing": "none",
    "padding": "zero",
    "max_windows": 12,
}


def named(values_uv: np.ndarray, names: list[str] = NAMES) -> np.ndarray:
    """(channels, samples) → as the reader gives it."""
    return np.ascontiguousarray(values_uv.T).view([(name, "f8") for name in names])[:, 0]


def noise(seconds: float = 20.0, channels: int = 3, seed: int = 0, rate_hz: float = RATE_HZ) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, (channels, round(seconds * rate_hz)))


def band_noise(band_hz: tuple[float, float], sd_uv: float, seconds: float = 400.0, seed: int = 0) -> np.ndarray:
    """(8, samples) Gaussian, with all its power, spread evenly, inside the band."""
    samples = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=(8, samples)))
    frequency_hz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    spectrum[:, (frequency_hz < band_hz[0]) | (frequency_hz > band_hz[1])] = 0
    values = np.fft.irfft(spectrum, samples)
    return sd_uv * values / values.std(axis=1, keepdims=True)


def sine(
    frequency_hz: float, amplitude_uv: float = 10.0, seconds: float = 40.0, rate_hz: float = RATE_HZ
) -> np.ndarray:
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return amplitude_uv * np.sin(2 * np.pi * frequency_hz * time_s)[None]


def compute(values_uv: np.ndarray, rate_hz: float = RATE_HZ, **change: object) -> tuple[np.ndarray, int]:
    return eeg_de.compute(named(values_uv), rate_hz, **{**SETTINGS, **change})


def true_windows(values_uv: np.ndarray, rate_hz: float = RATE_HZ, **change: object) -> np.ndarray:
    """(windows, channels, bands)"""
    x, length = compute(values_uv, rate_hz, **change)
    return x[:length].reshape(length, len(values_uv), 5)


def closed_form(sd_uv: float) -> float:
    return 0.5 * np.log(2 * np.pi * np.e * sd_uv**2)


# Against the closed form


@pytest.mark.parametrize("sd_uv", [0.5, 20.0])
@pytest.mark.parametrize("band", range(5))
def test_entropy_of_band_limited_noise_is_the_closed_form(band: int, sd_uv: float):
    """Within 0.02 nats for noise inside a band, whose power the filter leaves alone."""
    low, high = BANDS[band]
    inner = low + 0.2 * (high - low), high - 0.2 * (high - low)
    found = eeg_de.differential_entropy(band_noise(inner, sd_uv), RATE_HZ, 40.0)  # (windows, channels, bands)
    assert found[..., band].mean() == pytest.approx(closed_form(sd_uv), abs=0.02)
    assert (np.delete(found.mean(axis=(0, 1)), band, axis=-1) < closed_form(sd_uv) - 1).all()


@pytest.mark.parametrize("band", range(5))
def test_noise_that_fills_the_band_loses_an_eighth_of_its_power(band: int):
    """The filter's power response, twice, integrated over the band: 0.07 nats less, at any width of band."""
    band_hz = BANDS[band]
    frequency_hz = np.linspace(*band_hz, 2_000)
    sections = theirs.butter(eeg_de.ORDER, band_hz, "bandpass", fs=RATE_HZ, output="sos")
    passed = np.mean(np.abs(theirs.sosfreqz(sections, frequency_hz, fs=RATE_HZ)[1]) ** 4)
    found = eeg_de.differential_entropy(band_noise(band_hz, 20.0), RATE_HZ, 40.0)[..., band].mean()
    assert found == pytest.approx(closed_form(20.0) + 0.5 * np.log(passed), abs=0.02)
    assert found == pytest.approx(closed_form(20.0) - 0.07, abs=0.01)


def test_the_whole_path_gives_the_closed_form():
    """Band-pass, notch and resampling before the bands; windows as short as they are used tell a little less."""
    values = band_noise((18.0, 27.0), 20.0)[:3]
    found = true_windows(values, notch_hz=50.0, resample_hz=128.0, high_hz=60.0, window_s=4.0, max_windows=100)
    assert found[..., 3].mean() == pytest.approx(closed_form(20.0), abs=0.02)


@pytest.mark.parametrize("band", range(5))
def test_a_sine_has_half_its_squared_amplitude_in_its_band_alone(band: int):
    low, high = BANDS[band]
    entropy = eeg_de.differential_entropy(sine((low * high) ** 0.5), RATE_HZ, 8.0)[1:-1, 0].mean(axis=0)
    power_uv2 = np.exp(2 * entropy) / (2 * np.pi * np.e)
    assert power_uv2[band] == pytest.approx(50.0, rel=0.01)
    assert np.delete(power_uv2, band).max() < 0.5


def test_twice_the_amplitude_is_log_2_more():
    difference = true_windows(2 * noise()) - true_windows(noise())
    np.testing.assert_allclose(difference, np.log(2), atol=1e-5)


@pytest.mark.parametrize(("frequency_hz", "band"), [(2, 0), (6, 1), (11, 2), (22, 3), (40, 4)])
def test_bands_are_those_of_seed(frequency_hz: float, band: int):
    values = np.repeat(sine(frequency_hz), 3, axis=0) + 0.1 * noise(40.0)
    assert (true_windows(values).argmax(axis=-1) == band).all()


# Before the bands


def test_order_of_channels_is_that_of_the_settings_and_bands_change_fastest():
    values = noise() * np.array([[1.0], [2.0], [4.0]])
    plain = true_windows(values)
    x, length = eeg_de.compute(named(values), RATE_HZ, **{**SETTINGS, "channels": ["O2", "Fp1"]})
    np.testing.assert_array_equal(x[:length], np.concatenate([plain[:, 2], plain[:, 0]], axis=1))


def test_what_lies_beside_the_bands_does_not_count():
    """Drift below delta, an electrode's offset, hum at 50 Hz and what the new rate cannot hold."""
    values = noise(40.0, rate_hz=500.0)
    time_s = np.arange(values.shape[1]) / 500
    dirt = 3_000 + 50 * time_s + 200 * np.sin(2 * np.pi * 0.02 * time_s) + 100 * np.sin(2 * np.pi * 160 * time_s)
    dirt = dirt + 50 * np.sin(2 * np.pi * 50 * time_s)
    settings = {"low_hz": 0.5, "high_hz": 60.0, "notch_hz": 50.0, "resample_hz": 200.0, "max_windows": 20}
    clean, dirty = true_windows(values, 500.0, **settings), true_windows(values + dirt, 500.0, **settings)
    np.testing.assert_allclose(dirty[1:-1], clean[1:-1], atol=0.01)
    np.testing.assert_allclose(dirty[[0, -1], :, :4], clean[[0, -1], :, :4], atol=0.2)  # filters start and stop there


def test_without_the_notch_hum_is_gamma():
    hum = sine(50.0, 100.0)
    without, notched = (true_windows(noise(40.0) + hum, notch_hz=notch)[2:-2, :, 4].mean() for notch in (None, 50.0))
    assert without > notched + 1


@pytest.mark.parametrize("rate_hz", [128.0, 250.0, 500.0, 512.0, 1_000.0])
def test_the_rate_of_the_recording_does_not_matter(rate_hz: float):
    for frequency_hz, band in ((6.0, 1), (11.0, 2), (22.0, 3)):
        values = np.repeat(sine(frequency_hz, rate_hz=rate_hz), 3, axis=0) + 0.01 * noise(40.0, rate_hz=rate_hz)
        found = true_windows(values, rate_hz, high_hz=60.0, resample_hz=125.0, max_windows=20)
        assert found.shape[0] == 20
        np.testing.assert_allclose(found[1:-1, :, band], closed_form(50**0.5), atol=0.03)


def test_resampling_is_to_the_rate_asked_for():
    for rate_hz, new_hz in [(500.0, 200.0), (512.0, 200.0), (250.0, 250.0), (2_048.0, 200.0), (1_000.0, 128.0)]:
        values, found_hz = eeg_de.resampled(noise(4.0, rate_hz=rate_hz), rate_hz, new_hz)
        assert found_hz == pytest.approx(new_hz)
        assert values.shape[1] == pytest.approx(4 * new_hz, abs=1)


# Windows and padding


@pytest.mark.parametrize(("seconds", "windows"), [(2.0, 1), (3.99, 1), (4.0, 2), (23.9, 11), (24.0, 12), (60.0, 12)])
def test_whole_windows_up_to_the_most(seconds: float, windows: int):
    x, length = compute(noise(seconds))
    assert (x.shape, x.dtype, length) == ((12, 15), np.float32, windows)
    assert (x[length:] == 0).all()
    assert np.isfinite(x).all()
    assert len(eeg_de.LAYOUT) == x.ndim
    assert eeg_de.output_rate_hz(SETTINGS) == 0.5


@pytest.mark.parametrize("padding", ["zero", "average"])
@pytest.mark.parametrize("seconds", [6.0, 24.0, 40.0])
def test_padding_is_that_of_features_eeg(padding: str, seconds: float):
    x, length = compute(noise(seconds), max_windows=100)
    expected, expected_length = eeg.compute(x[:length].astype(float), 0.5, padding=padding, max_windows=12)
    found, length = compute(noise(seconds), padding=padding)
    assert length == expected_length
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# Smoothing


def kalman_smoother(x: np.ndarray) -> np.ndarray:
    """Of one feature (windows,), step by step: the filter, then Rauch, Tung and Striebel's way back."""
    states, variances, predicted = [], [], []
    for t, measured in enumerate(x):
        mean, variance = (states[-1], variances[-1] + eeg_de.DRIFT) if t else (x.mean(), eeg_de.FIRST)
        gain = variance / (variance + eeg_de.NOISE)
        predicted.append(variance)
        states.append(mean + gain * (measured - mean))
        variances.append((1 - gain) * variance)
    smooth = list(states)
    for t in range(len(x) - 2, -1, -1):
        smooth[t] = states[t] + variances[t] / predicted[t + 1] * (smooth[t + 1] - states[t])
    return np.array(smooth)


@pytest.mark.parametrize("windows", [1, 2, 3, 10, 74, 500])
def test_lds_is_a_kalman_smoother(windows: int):
    x = np.random.default_rng(windows).normal(2, 1, (windows, 4, 5)).cumsum(axis=0)
    expected = np.apply_along_axis(kalman_smoother, 0, x)
    np.testing.assert_allclose(eeg_de.smoothed(x, "lds"), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("windows", [1, 2, 4, 5, 20])
def test_moving_average_by_hand(windows: int):
    x = np.random.default_rng(windows).normal(size=(windows, 2, 5))
    found = eeg_de.smoothed(x, "moving_average")
    for t in range(windows):
        around = [x[s] for s in range(windows) if abs(s - t) <= 2]
        np.testing.assert_allclose(found[t], sum(around) / len(around))


@pytest.mark.parametrize("how", ["none", "moving_average", "lds"])
def test_smoothing_leaves_constants_and_takes_noise(how: str):
    np.testing.assert_allclose(eeg_de.smoothed(np.full((9, 3, 5), 2.5), how), 2.5)
    x = np.random.default_rng(0).normal(size=(60, 3, 5))
    assert eeg_de.smoothed(x, how).std() <= x.std() * (1 if how == "none" else 0.5)
    assert eeg_de.smoothed(x, how).shape == x.shape


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.floats(-50, 50), st.floats(0.1, 10))
def test_smoothing_is_linear(windows: int, offset: float, factor: float):
    x = np.random.default_rng(windows).normal(size=(windows, 5))
    for how in ("moving_average", "lds"):
        found = eeg_de.smoothed(factor * x + offset, how)
        np.testing.assert_allclose(found, factor * eeg_de.smoothed(x, how) + offset, atol=1e-7)


def test_each_trial_is_smoothed_alone():
    alone = compute(noise(seed=1), smoothing="lds")[0]
    compute(100 * noise(seed=2), smoothing="lds")
    assert compute(noise(seed=1), smoothing="lds")[0].tobytes() == alone.tobytes()


# What is refused


def damaged(values_uv: np.ndarray, *words: str, rate_hz: float = RATE_HZ, **change: object) -> None:
    with pytest.raises(DamagedSample) as error:
        compute(values_uv, rate_hz, **change)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("flat", [slice(None), slice(800, 1_200), slice(0, 400)])
def test_a_flat_channel(flat: slice):
    values = noise()
    values[1, flat] = 7.0
    window = (flat.start or 0) // 400 + 1
    damaged(values, f"channel Cz: flat for a whole window, the first at window {window}")
    eeg_de.compute(named(values), RATE_HZ, **{**SETTINGS, "channels": ["Fp1", "O2"]})


def test_channels_that_are_not_there():
    damaged(noise(), "no channel F7, cz; its channels: Fp1, Cz, O2", channels=["F7", "Fp1", "cz"])


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "words"),
    [(1.99, 200.0, "1.99 s long; allowed: one window (2 s) or more"), (20.0, 150.0, "150 Hz hold nothing at 90 Hz")],
)
def test_short_and_slow(seconds: float, rate_hz: float, words: str):
    damaged(noise(seconds, rate_hz=rate_hz), words, rate_hz=rate_hz)


def test_other_signals():
    with pytest.raises(DamagedSample, match="no recording with named channels"):
        eeg_de.compute(np.zeros((20, 310)), 0.25, **SETTINGS)


def test_the_signal_is_left_as_it_was():
    trial = named(noise())
    before = trial.copy()
    eeg_de.compute(trial, RATE_HZ, **{**SETTINGS, "smoothing": "lds", "notch_hz": 50.0})
    assert trial.tobytes() == before.tobytes()
