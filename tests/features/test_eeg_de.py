"""Compare the entropy with its closed form, the filters with sines, and smoothing with a step-by-step Kalman filter."""

import numpy as np
import pytest
from scipy import signal as scipy_signal

from stages.core.records import DamagedSample
from stages.features import eeg, eeg_de

RATE_HZ = 200.0
NAMES = ["Fp1", "Cz", "O2"]
BANDS = list(eeg_de.BANDS_HZ.values())
SETTINGS = {"channels": NAMES, "low_hz": 0.3, "high_hz": 90.0, "notch_hz": None, "resample_hz": None, "window_s": 2.0}
SETTINGS |= {"smoothing": "none", "padding": "zero", "max_windows": 12}


def named(values_uv: np.ndarray, names: list[str] = NAMES) -> np.ndarray:
    """Return (channels, samples) as a structured array, as from the reader."""
    return np.ascontiguousarray(values_uv.T).view([(name, "f8") for name in names])[:, 0]


def noise(seconds: float = 20.0, channels: int = 3, seed: int = 0, rate_hz: float = RATE_HZ) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 20, (channels, round(seconds * rate_hz)))


def band_noise(band_hz: tuple[float, float], sd_uv: float, seconds: float = 400.0, seed: int = 0) -> np.ndarray:
    """Return (8, samples) of Gaussian noise whose spectrum is flat inside the band and zero outside."""
    samples = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=(8, samples)))
    frequency_hz = np.fft.rfftfreq(samples, 1 / RATE_HZ)
    spectrum[:, (frequency_hz < band_hz[0]) | (frequency_hz > band_hz[1])] = 0
    values = np.fft.irfft(spectrum, samples)
    return sd_uv * values / values.std(axis=1, keepdims=True)


def sine(frequency_hz: float, rate_hz: float = RATE_HZ) -> np.ndarray:
    """Return (1, samples): 40 s with an amplitude of 10 µV."""
    return 10 * np.sin(2 * np.pi * frequency_hz * np.arange(round(40 * rate_hz)) / rate_hz)[None]


def compute(values_uv: np.ndarray, rate_hz: float = RATE_HZ, **change: object) -> tuple[np.ndarray, int]:
    return eeg_de.compute(named(values_uv), rate_hz, **{**SETTINGS, **change})


def true_windows(values_uv: np.ndarray, rate_hz: float = RATE_HZ, **change: object) -> np.ndarray:
    """Return (windows, channels, bands)."""
    x, length = compute(values_uv, rate_hz, **change)
    return x[:length].reshape(-1, len(values_uv), 5)


def closed_form(sd_uv: float) -> float:
    return 0.5 * np.log(2 * np.pi * np.e * sd_uv**2)


@pytest.mark.parametrize("sd_uv", [0.5, 20.0])
@pytest.mark.parametrize("band", range(5))
def test_entropy_of_band_limited_noise_equals_the_closed_form(band: int, sd_uv: float):
    """Within 0.02 nats for noise well inside a band, where the filter does not change its power."""
    low, high = BANDS[band]
    inner = low + 0.2 * (high - low), high - 0.2 * (high - low)
    actual = eeg_de.differential_entropy(band_noise(inner, sd_uv), RATE_HZ, 40.0)  # (windows, channels, bands)
    assert actual[..., band].mean() == pytest.approx(closed_form(sd_uv), abs=0.02)
    assert (np.delete(actual.mean(axis=(0, 1)), band, axis=-1) < closed_form(sd_uv) - 1).all()


@pytest.mark.parametrize("band", range(5))
def test_noise_that_fills_a_band_loses_an_eighth_of_its_power(band: int):
    """The squared power response of the filter, averaged over the band, lowers the entropy by 0.07 nats."""
    band_hz = BANDS[band]
    frequency_hz = np.linspace(*band_hz, 2_000)
    sections = scipy_signal.butter(eeg_de.ORDER, band_hz, "bandpass", fs=RATE_HZ, output="sos")
    passed = np.mean(np.abs(scipy_signal.sosfreqz(sections, frequency_hz, fs=RATE_HZ)[1]) ** 4)
    actual = eeg_de.differential_entropy(band_noise(band_hz, 20.0), RATE_HZ, 40.0)[..., band].mean()
    assert actual == pytest.approx(closed_form(20.0) + 0.5 * np.log(passed), abs=0.02)
    assert actual == pytest.approx(closed_form(20.0) - 0.07, abs=0.01)


def test_all_processing_steps_keep_the_closed_form():
    """Band-pass, notch and resampling come before the bands; windows are as short as in practice."""
    values = band_noise((18.0, 27.0), 20.0)[:3]
    actual = true_windows(values, notch_hz=50.0, resample_hz=128.0, high_hz=60.0, window_s=4.0, max_windows=100)
    assert actual[..., 3].mean() == pytest.approx(closed_form(20.0), abs=0.02)


@pytest.mark.parametrize("band", range(5))
def test_power_of_a_sine_is_in_its_band_only(band: int):
    low, high = BANDS[band]
    entropy = eeg_de.differential_entropy(sine((low * high) ** 0.5), RATE_HZ, 8.0)[1:-1, 0].mean(axis=0)
    power_uv2 = np.exp(2 * entropy) / (2 * np.pi * np.e)
    assert power_uv2[band] == pytest.approx(50.0, rel=0.01)
    assert np.delete(power_uv2, band).max() < 0.5


@pytest.mark.parametrize(("frequency_hz", "band"), [(2, 0), (6, 1), (11, 2), (22, 3), (40, 4)])
def test_band_edges_are_those_of_seed(frequency_hz: float, band: int):
    values = np.repeat(sine(frequency_hz), 3, axis=0) + 0.1 * noise(40.0)
    assert (true_windows(values).argmax(axis=-1) == band).all()


def test_channels_follow_the_settings_and_bands_vary_fastest():
    values = noise() * np.array([[1.0], [2.0], [4.0]])
    plain = true_windows(values)
    x, length = eeg_de.compute(named(values), RATE_HZ, **{**SETTINGS, "channels": ["O2", "Fp1"]})
    np.testing.assert_array_equal(x[:length], np.concatenate([plain[:, 2], plain[:, 0]], axis=1))


def test_signal_outside_the_bands_is_removed():
    """Offset, drift below the delta band, mains hum at 50 Hz, and a frequency above the new Nyquist frequency."""
    values = noise(40.0, rate_hz=500.0)
    time_s = np.arange(values.shape[1]) / 500
    artefacts = 3_000 + 50 * time_s + 200 * np.sin(2 * np.pi * 0.02 * time_s) + 100 * np.sin(2 * np.pi * 160 * time_s)
    artefacts = artefacts + 50 * np.sin(2 * np.pi * 50 * time_s)
    settings = {"low_hz": 0.5, "high_hz": 60.0, "notch_hz": 50.0, "resample_hz": 200.0, "max_windows": 20}
    clean, noisy = true_windows(values, 500.0, **settings), true_windows(values + artefacts, 500.0, **settings)
    np.testing.assert_allclose(noisy[1:-1], clean[1:-1], atol=0.01)
    np.testing.assert_allclose(noisy[[0, -1], :, :4], clean[[0, -1], :, :4], atol=0.2)  # edges of the filters


def test_notch_filter_removes_mains_hum_from_gamma():
    hum = sine(50.0) * 10
    without, notched = (true_windows(noise(40.0) + hum, notch_hz=notch)[2:-2, :, 4].mean() for notch in (None, 50.0))
    assert without > notched + 1


@pytest.mark.parametrize("rate_hz", [128.0, 250.0, 500.0, 512.0, 1_000.0])
def test_entropy_does_not_depend_on_the_rate_of_the_recording(rate_hz: float):
    for frequency_hz, band in ((6.0, 1), (11.0, 2), (22.0, 3)):
        values = np.repeat(sine(frequency_hz, rate_hz=rate_hz), 3, axis=0) + 0.01 * noise(40.0, rate_hz=rate_hz)
        actual = true_windows(values, rate_hz, high_hz=60.0, resample_hz=125.0, max_windows=20)
        assert actual.shape[0] == 20
        np.testing.assert_allclose(actual[1:-1, :, band], closed_form(50**0.5), atol=0.03)


@pytest.mark.parametrize(("seconds", "windows"), [(2.0, 1), (3.99, 1), (4.0, 2), (23.9, 11), (24.0, 12), (60.0, 30)])
def test_windows_are_whole_and_limited(seconds: float, windows: int):
    x, length = compute(noise(seconds))
    assert (x.shape, x.dtype, length) == ((12, 15), np.float32, windows)
    assert (x[length:] == 0).all()
    assert np.isfinite(x).all()
    assert len(eeg_de.LAYOUT) == x.ndim
    assert eeg_de.output_rate_hz(SETTINGS) == 0.5


@pytest.mark.parametrize("padding", ["zero", "average"])
@pytest.mark.parametrize("seconds", [6.0, 24.0, 40.0])
def test_padding_equals_features_eeg(padding: str, seconds: float):
    x, length = compute(noise(seconds), max_windows=100)
    expected, expected_length = eeg.compute(x[:length].astype(float), 0.5, padding=padding, max_windows=12)
    actual, length = compute(noise(seconds), padding=padding)
    assert length == expected_length
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def kalman_smoother(x: np.ndarray) -> np.ndarray:
    """Smooth one feature (windows,) step by step: Kalman filter, then the Rauch-Tung-Striebel backward pass."""
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
def test_lds_equals_a_kalman_smoother(windows: int):
    x = np.random.default_rng(windows).normal(2, 1, (windows, 4, 5)).cumsum(axis=0)
    expected = np.apply_along_axis(kalman_smoother, 0, x)
    np.testing.assert_allclose(eeg_de.smooth(x, "lds"), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("windows", [1, 2, 4, 5, 20])
def test_moving_average_by_hand(windows: int):
    x = np.random.default_rng(windows).normal(size=(windows, 2, 5))
    actual = eeg_de.smooth(x, "moving_average")
    for t in range(windows):
        around = [x[s] for s in range(windows) if abs(s - t) <= 2]
        np.testing.assert_allclose(actual[t], sum(around) / len(around))


@pytest.mark.parametrize("flat", [slice(None), slice(800, 1_200), slice(0, 400)])
def test_rejects_a_flat_channel(flat: slice):
    values = noise()
    values[1, flat] = 7.0
    window = (flat.start or 0) // 400 + 1
    with pytest.raises(DamagedSample, match=f"channel Cz: flat.* window {window}"):
        compute(values)
    eeg_de.compute(named(values), RATE_HZ, **{**SETTINGS, "channels": ["Fp1", "O2"]})


def test_rejects_missing_channels():
    with pytest.raises(DamagedSample, match=r"no channel F7, Fp2.* Fp1, Cz, O2"):
        compute(noise(), channels=["F7", "Fp1", "Fp2"])
    with pytest.raises(DamagedSample, match="named channels"):
        eeg_de.compute(np.zeros((20, 310)), 0.25, **SETTINGS)


@pytest.mark.parametrize(
    ("names", "channels"),
    [
        (["FP1", "CZ", "o2"], ["Fp1", "Cz", "O2"]),
        (["EEG Fp1-Ref", "EEG Cz-Ref", "EEG O2-Ref"], ["Fp1", "CZ", "O2"]),
        (["Fp1-A2", "Cz-A1", "O2-A1"], ["FP1", "EEG Cz", "O2"]),
        (["Fp1.", "Cz..", "O2.."], ["Fp1", "Cz", "O2"]),
        (["EEG T3-LE", "POL T4", "T6-M1"], ["T7", "T8", "P8"]),
        (["Fp1", "FP1-A2", "O2"], ["Fp1", "FP1-A2", "o2"]),
    ],
)
def test_other_names_of_the_same_electrodes(names: list[str], channels: list[str]):
    x, _ = eeg_de.compute(named(noise(), names), RATE_HZ, **{**SETTINGS, "channels": channels})
    np.testing.assert_array_equal(x, compute(noise())[0])


@pytest.mark.parametrize(
    ("names", "channels", "words"),
    [
        (["Fp1-A1", "Fp1-A2", "O2"], ["Fp1"], "Fp1 could be each of Fp1-A1, Fp1-A2"),
        (["Fp1-F7", "Cz", "O2"], ["Fp1"], "no channel Fp1"),
        (["A2-A1", "Cz", "O2"], ["A2"], "no channel A2"),
        (["Fp1", "Cz", "O2"], ["Fp1", "FP1"], "one channel of the recording"),
    ],
)
def test_rejects_names_that_are_not_one_electrode(names: list[str], channels: list[str], words: str):
    with pytest.raises(DamagedSample, match=words):
        eeg_de.select_channels(named(noise(), names), channels)


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1.5e-3, 1e-2 / 3, 1e3, 1e4])
@pytest.mark.parametrize("scaled", [slice(1, 2), slice(None)])
def test_rejects_channels_that_are_decades_from_eeg(factor: float, scaled: slice):
    """20 µV in another unit, in one channel or in all."""
    values = noise()
    values[scaled] *= factor
    with pytest.raises(DamagedSample, match=r"channel (Fp1|Cz): no amplitude of EEG; allowed: .* µV SD; received"):
        compute(values)


def test_rejects_a_channel_far_from_the_others():
    values = noise() * np.array([[10.0], [0.01], [10.0]])
    with pytest.raises(DamagedSample, match=r"channel Cz.*allowed: 1\.9 to 3,000 µV.*received: 0\.19 µV"):
        compute(values)


@pytest.mark.parametrize("factor", [0.02, 0.1, 1.0, 10.0, 100.0])
def test_amplitudes_of_eeg_are_accepted_with_artefacts_and_offset(factor: float):
    values = factor * noise() + 20_000
    values[:, 900:1_000] += 30_000
    assert compute(values, low_hz=1.0)[1] == 10


@pytest.mark.parametrize(
    ("sample", "words"), [(np.nan, "nan µV"), (np.inf, "inf µV"), (2e8, "2e.08 µV; allowed.*unit")]
)
def test_only_selected_channels_are_checked(sample: float, words: str):
    values = noise()
    values[1, 50] = sample
    with pytest.raises(DamagedSample, match=f"channel 'Cz': a sample of {words}"):
        compute(values)
    eeg_de.compute(named(values), RATE_HZ, **{**SETTINGS, "channels": ["Fp1", "O2"]})


def test_rejects_short_trials_and_low_rates():
    with pytest.raises(DamagedSample, match=r"too short.* 2 s.* 1\.99 s"):
        compute(noise(1.99))
    with pytest.raises(DamagedSample, match=r"rate too low.* 180 Hz.* 150 Hz"):
        compute(noise(rate_hz=150.0), 150.0)


def test_signal_is_not_modified():
    trial = named(noise())
    before = trial.copy()
    eeg_de.compute(trial, RATE_HZ, **{**SETTINGS, "smoothing": "lds", "notch_hz": 50.0})
    assert trial.tobytes() == before.tobytes()
