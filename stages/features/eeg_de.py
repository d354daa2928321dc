"""Differential entropy of EEG recordings, for each channel and band, in windows that follow each other.

Of a Gaussian signal it is 0.5 log(2 pi e sigma^2) (Shi, Jiao & Lu 2013, EMBC: 6627), in nats of µV. Each trial is
filtered alone, so that none holds anything of its neighbours; filters run forwards and backwards and shift no phase.
Windows are padded as `features.eeg` pads them: same trials, same models.
"""

from fractions import Fraction
from typing import Literal

import numpy as np
from scipy import linalg, signal

from stages.core.records import DamagedSample
from stages.params.options import Names, PositiveFloat, PositiveInt

LAYOUT = ("time", "feature")
SIZES = {"time": "max_windows", "electrode": "channels"}  # which setting tells how long an axis is
DTYPE = "float32"
SCALE_FACTOR = 1.0
ADD_OFFSET = 0.0
# Threads, which share open recordings, and one trial at a time: those at work then lie in the same recording, or in two
# that follow each other. Filtering takes some 20 ms a trial and lets go of Python's lock.
WORKERS, SAMPLES_PER_CHUNK = "threads", 1

# In Hz, as SEED-V has them.
BANDS_HZ = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 50)}
# Butterworth of order 4, run twice: half the amplitude (-6 dB) at a band's edges. Of noise that fills the band exactly
# it leaves 87% of the power: 0.07 nats of entropy less, in every band.
ORDER = 4
EDGE_S = 2.0  # by which a trial is continued at both ends while it is filtered: two periods of the slowest rhythm
NOTCH_QUALITY = 30.0  # of the notch: centre over width
AVERAGED = 5  # windows of the moving average: this one and two on either side
# The linear dynamical system by which Shi & Lu (2010, EMBC: 6587) smooth: what is measured is a slow state and noise.
# Variances are those of the code in circulation for SEED (Chen et al. 2023, CLISA), which stops after the filter; the
# smoother looks back from the trial's end, too.
NOISE, DRIFT, FIRST = 1.0, 1e-4, 1e-2


def compute(
    trial: np.ndarray,
    rate_hz: float,
    *,
    channels: Names,
    low_hz: PositiveFloat,
    high_hz: PositiveFloat,
    notch_hz: PositiveFloat | None,
    resample_hz: PositiveFloat | None,
    window_s: PositiveFloat,
    smoothing: Literal["none", "moving_average", "lds"],
    padding: Literal["zero", "average"],
    max_windows: PositiveInt,
) -> tuple[np.ndarray, int]:
    """(samples,) of one field a channel, in µV → (max_windows, channels × 5 bands) float32, and its true windows.

    The five bands of the first of `channels` come first. In this order: notch, new rate, straight line taken off,
    band-pass `low_hz` to `high_hz`, bands, windows, smoothing. What is left over behind the last whole window is in no
    window; a longer trial loses its end. Raises `DamagedSample` for missing or flat channels, rates too low for the
    bands, and trials of less than a window.
    """
    values = picked(trial, channels)  # (channels, samples)
    _refuse_flat(windowed(values, rate_hz, window_s), channels)
    if notch_hz is not None:
        values = without_hum(values, rate_hz, notch_hz)
    if resample_hz is not None:
        values, rate_hz = resampled(values, rate_hz, resample_hz)
    values = filtered(signal.detrend(values), rate_hz, (low_hz, high_hz))
    entropy = smoothed(differential_entropy(values, rate_hz, window_s), smoothing)  # (windows, channels, bands)
    return _padded(entropy.reshape(len(entropy), -1)[:max_windows], padding, max_windows)


def samples_per_chunk(settings: dict) -> int:
    """How many trials a worker takes at a time."""
    return SAMPLES_PER_CHUNK


def output_rate_hz(settings: dict) -> float:
    """Windows per second."""
    return 1 / settings["window_s"]


def picked(trial: np.ndarray, channels: list[str]) -> np.ndarray:
    """(channels, samples) of the fields named, in that order."""
    if trial.dtype.names is None:
        raise DamagedSample("no recording with named channels, of which feature 'eeg_de' is")
    missing = [name for name in channels if name not in trial.dtype.names]
    if missing:
        raise DamagedSample(f"no channel {', '.join(missing)}; its channels: {', '.join(trial.dtype.names)}")
    return np.stack([trial[name] for name in channels])


def filtered(values: np.ndarray, rate_hz: float, band_hz: tuple[float, float]) -> np.ndarray:
    """(…, samples): what lies in the band, by a Butterworth filter run forwards and backwards."""
    if band_hz[1] >= rate_hz / 2:
        raise DamagedSample(f"{rate_hz:g} Hz hold nothing at {band_hz[1]:g} Hz; allowed: more than {2 * band_hz[1]:g}")
    sections = signal.butter(ORDER, band_hz, "bandpass", fs=rate_hz, output="sos")
    # Mirrored, not turned around its end: in the middle of a swing of hum that would make a step, which is delta.
    return signal.sosfiltfilt(sections, values, padtype="even", padlen=_edge(values, rate_hz))


def without_hum(values: np.ndarray, rate_hz: float, notch_hz: float) -> np.ndarray:
    """(…, samples) without the mains' frequency."""
    if notch_hz >= rate_hz / 2:
        return values  # nothing is there
    sections = signal.tf2sos(*signal.iirnotch(notch_hz, NOTCH_QUALITY, fs=rate_hz))
    return signal.sosfiltfilt(sections, values, padtype="odd", padlen=_edge(values, rate_hz))


def resampled(values: np.ndarray, rate_hz: float, resample_hz: float) -> tuple[np.ndarray, float]:
    """(…, samples) at a new rate, and that rate: as close to the one asked for as whole numbers below 1000 bring it."""
    ratio = Fraction(resample_hz / rate_hz).limit_denominator(1000)
    if ratio == 1:
        return values, rate_hz
    new = signal.resample_poly(values, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    return new, rate_hz * ratio.numerator / ratio.denominator


def differential_entropy(values: np.ndarray, rate_hz: float, window_s: float) -> np.ndarray:
    """(channels, samples) in µV → (windows, channels, bands) in nats."""
    bands = np.stack([filtered(values, rate_hz, band) for band in BANDS_HZ.values()], axis=1)
    power = np.square(windowed(bands, rate_hz, window_s)).mean(axis=-1)  # (channels, bands, windows), µV²
    return 0.5 * np.log(2 * np.pi * np.e * np.moveaxis(power, -1, 0))


def windowed(values: np.ndarray, rate_hz: float, window_s: float) -> np.ndarray:
    """(…, samples) → (…, windows, samples of a window), as many as are whole."""
    size = max(round(window_s * rate_hz), 1)
    count = values.shape[-1] // size
    if not count:
        raise DamagedSample(f"{values.shape[-1] / rate_hz:g} s long; allowed: one window ({window_s:g} s) or more")
    return values[..., : count * size].reshape(*values.shape[:-1], count, size)


def smoothed(entropy: np.ndarray, how: str) -> np.ndarray:
    """(windows, …): each feature over the windows of one trial."""
    if how == "moving_average":
        return _moving_average(entropy)
    return _lds(entropy) if how == "lds" else entropy


def _moving_average(entropy: np.ndarray) -> np.ndarray:
    """Of as many windows as there are where the trial begins and ends."""
    half = AVERAGED // 2
    around = [entropy[max(i - half, 0) : i + half + 1] for i in range(len(entropy))]
    return np.stack([windows.mean(axis=0) for windows in around])


def _lds(entropy: np.ndarray) -> np.ndarray:
    """The expected state z of x_t = z_t + N(0, NOISE), z_t = z_(t-1) + N(0, DRIFT), z_1 = mean of x + N(0, FIRST).

    The most probable path of Gaussians solves one tridiagonal system, which gives what a Kalman filter and a
    Rauch-Tung-Striebel smoother behind it give (tested).
    """
    mean = entropy.mean(axis=0)
    if len(entropy) == 1:
        return entropy
    weight = np.full(len(entropy), 1 / NOISE + 2 / DRIFT)
    weight[0] += 1 / FIRST - 1 / DRIFT
    weight[-1] -= 1 / DRIFT
    measured = (entropy - mean).reshape(len(entropy), -1) / NOISE  # (windows, features)
    system = np.stack([np.full(len(entropy), -1 / DRIFT), weight])  # upper diagonal, whose first value is not used
    return mean + linalg.solveh_banded(system, measured).reshape(entropy.shape)


def _edge(values: np.ndarray, rate_hz: float) -> int:
    """How many samples each end is continued by."""
    return min(round(EDGE_S * rate_hz), values.shape[-1] - 1)


def _refuse_flat(windows: np.ndarray, channels: list[str]) -> None:
    """(channels, windows, samples): the entropy of what does not move is minus infinity."""
    flat = np.argwhere(np.ptp(windows, axis=-1) == 0)
    if len(flat):
        names = ", ".join(dict.fromkeys(channels[channel] for channel, _ in flat))
        raise DamagedSample(f"channel {names}: flat for a whole window, the first at window {flat[0][1] + 1}")


def _padded(entropy: np.ndarray, padding: str, max_windows: int) -> tuple[np.ndarray, int]:
    """(windows, features) → (max_windows, features) float32, and the number of windows."""
    x = np.zeros((max_windows, entropy.shape[1]), DTYPE)
    x[: len(entropy)] = entropy
    if padding == "average":
        x[len(entropy) :] = entropy.mean(axis=0)  # of this trial alone
    return x, len(entropy)
