"""Differential entropy of EEG recordings, for each channel and band, in consecutive windows.

For a Gaussian signal it is 0.5 log(2 pi e sigma^2) (Shi, Jiao & Lu 2013, EMBC: 6627), in nats, with sigma in µV. Each
trial is filtered on its own, so that no trial contains signal of its neighbours; filters run forwards and backwards and
shift no phase. Windows are padded as in `features.eeg`, so that the same models can be used.
"""

from fractions import Fraction
from typing import Literal

import numpy as np
from scipy import linalg, signal

from stages.core import electrodes
from stages.core.records import DamagedSample
from stages.params.options import Names, PositiveFloat, PositiveInt

LAYOUT = ("time", "feature")
SIZES = {"time": "max_windows", "electrode": "channels"}  # axis → the setting that gives its length
DTYPE = "float32"
SCALE_FACTOR = 1.0
ADD_OFFSET = 0.0
MIXED_UNITS = "refuse"  # if subjects differ by decades, which `datasets.levels` looks for; values are nats
WORKERS = "threads"  # they share open recordings, and filtering (some 20 ms a trial) releases Python's lock

# In Hz, as in SEED-V.
BANDS_HZ = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 14), "beta": (14, 31), "gamma": (31, 50)}
# A Butterworth filter of order 4, run twice, halves the amplitude (-6 dB) at the edges of a band. Noise that fills the
# band exactly keeps 87% of its power: its entropy is 0.07 nats lower, in every band.
ORDER = 4
# The median amplitude (SD over a window, within `low_hz` to `high_hz`) of scalp EEG is 2 to 200 µV. Beyond these limits
# a channel is not connected, or its unit is not the stated one: volts and millivolts are off by a factor of 1000.
MIN_SD_UV, MAX_SD_UV = 0.1, 3_000.0
MAX_RATIO = 100.0  # largest ratio of a channel to the median of the trial's channels
MAX_UV = 1e6  # 1 V; the drift of electrodes reaches a third of this
EDGE_S = 2.0  # length by which a trial is extended at both ends for filtering: two periods of the slowest rhythm
NOTCH_QUALITY = 30.0  # centre frequency over width
AVERAGED = 5  # windows in the moving average: two on either side of the current one
# The linear dynamical system of Shi & Lu (2010, EMBC: 6587): a measured value is a slowly changing state plus noise.
# The variances are those of the code in circulation for SEED (Chen et al. 2023, CLISA). That code only filters, whereas
# the smoother used here also looks back from the end of the trial.
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
    """Return the trial as (max_windows, channels × 5 bands) float32 in nats, and its number of windows.

    `trial` is (samples,) with one field per channel, in µV. The five bands of the first of `channels` come first. The
    order of processing: notch filter, resampling, removal of the linear trend, band-pass `low_hz` to `high_hz`, bands,
    windows, smoothing. Samples after the last whole window are not used; windows beyond `max_windows` are cut off, but
    counted. Raises `DamagedSample` for missing or flat channels, for amplitudes that are not those of EEG, for sample
    rates too low for the bands, and for trials shorter than one window.
    """
    values = select_channels(trial, channels)  # (channels, samples)
    _refuse_impossible(values, channels)
    _refuse_flat(split_windows(values, rate_hz, window_s), channels)
    if notch_hz is not None:
        values = notch_filter(values, rate_hz, notch_hz)
    if resample_hz is not None:
        values, rate_hz = resample(values, rate_hz, resample_hz)
    values = bandpass(signal.detrend(values), rate_hz, (low_hz, high_hz))
    refuse_amplitudes(split_windows(values, rate_hz, window_s), channels)
    entropy = smooth(differential_entropy(values, rate_hz, window_s), smoothing)  # (windows, channels, bands)
    return _pad(entropy.reshape(len(entropy), -1)[:max_windows], padding, max_windows), len(entropy)


def samples_per_chunk(settings: dict) -> int:
    """Return 1: threads at work are then in the same recording, or in two consecutive ones, and few are held open."""
    return 1


def output_rate_hz(settings: dict) -> float:
    """Return the number of windows per second."""
    return 1 / settings["window_s"]


def select_channels(trial: np.ndarray, channels: list[str]) -> np.ndarray:
    """Return the named fields of `trial` as (channels, samples), in the order of `channels`.

    A channel may have another name of the same electrode (`core.electrodes`), if only one has.
    """
    names = trial.dtype.names
    if names is None:
        raise DamagedSample("not a recording with named channels, which feature 'eeg_de' needs")
    found = {name: electrodes.matches(name, names) for name in channels}
    if missing := [name for name in channels if not found[name]]:
        others = (trial.dtype.metadata or {}).get("left_out", "")
        raise DamagedSample(f"no channel {', '.join(missing)}; its channels: {', '.join(names)}{others}")
    for name, several in found.items():
        if len(several) > 1:
            raise DamagedSample(f"channel {name} could be each of {', '.join(several)}; allowed: an exact name")
    if len({several[0] for several in found.values()}) < len(channels):
        raise DamagedSample(f"two of the channels {', '.join(channels)} are one channel of the recording")
    return np.stack([trial[found[name][0]] for name in channels])


def bandpass(values: np.ndarray, rate_hz: float, band_hz: tuple[float, float]) -> np.ndarray:
    """Return `values` (…, samples) within the band, filtered forwards and backwards by a Butterworth filter."""
    if band_hz[1] >= rate_hz / 2:
        raise DamagedSample(f"sample rate too low: allowed: more than {2 * band_hz[1]:g} Hz; received: {rate_hz:g} Hz")
    sections = signal.butter(ORDER, band_hz, "bandpass", fs=rate_hz, output="sos")
    # Even padding (mirrored): odd padding would turn a trial that ends inside a period of mains hum into a step, which
    # has power in the delta band.
    return signal.sosfiltfilt(sections, values, padtype="even", padlen=_pad_length(values, rate_hz))


def notch_filter(values: np.ndarray, rate_hz: float, notch_hz: float) -> np.ndarray:
    """Return `values` (…, samples) without the mains frequency."""
    if notch_hz >= rate_hz / 2:
        return values  # the signal does not contain the notch frequency
    sections = signal.tf2sos(*signal.iirnotch(notch_hz, NOTCH_QUALITY, fs=rate_hz))
    return signal.sosfiltfilt(sections, values, padtype="odd", padlen=_pad_length(values, rate_hz))


def resample(values: np.ndarray, rate_hz: float, resample_hz: float) -> tuple[np.ndarray, float]:
    """Return `values` (…, samples) at the rate nearest to `resample_hz`, and that rate."""
    ratio = Fraction(resample_hz / rate_hz).limit_denominator(1000)
    if ratio == 1:
        return values, rate_hz
    new = signal.resample_poly(values, ratio.numerator, ratio.denominator, axis=-1, padtype="line")
    return new, rate_hz * ratio.numerator / ratio.denominator


def differential_entropy(values: np.ndarray, rate_hz: float, window_s: float) -> np.ndarray:
    """Return the entropy (windows, channels, bands) in nats of `values` (channels, samples) in µV."""
    bands = np.stack([bandpass(values, rate_hz, band) for band in BANDS_HZ.values()], axis=1)
    power = np.square(split_windows(bands, rate_hz, window_s)).mean(axis=-1)  # (channels, bands, windows), µV²
    return 0.5 * np.log(2 * np.pi * np.e * np.moveaxis(power, -1, 0))


def split_windows(values: np.ndarray, rate_hz: float, window_s: float) -> np.ndarray:
    """Return `values` (…, samples) as (…, windows, samples of a window), whole windows only."""
    size = max(round(window_s * rate_hz), 1)
    count = values.shape[-1] // size
    if not count:
        allowed, received = f"{window_s:g} s (one window) or more", f"{values.shape[-1] / rate_hz:g} s"
        raise DamagedSample(f"the trial is too short: allowed: {allowed}; received: {received}")
    return values[..., : count * size].reshape(*values.shape[:-1], count, size)


def smooth(entropy: np.ndarray, method: str) -> np.ndarray:
    """Return `entropy` (windows, …) of one trial, each feature smoothed over the windows by `method`."""
    if method == "moving_average":  # near the ends, over as many windows as exist
        half = AVERAGED // 2
        return np.stack([entropy[max(i - half, 0) : i + half + 1].mean(axis=0) for i in range(len(entropy))])
    return _lds(entropy) if method == "lds" else entropy


def _lds(entropy: np.ndarray) -> np.ndarray:
    """Return the expected state z of the linear dynamical system.

    x_t = z_t + N(0, NOISE), z_t = z_(t-1) + N(0, DRIFT), z_1 = mean of x + N(0, FIRST).
    The most probable path of Gaussian variables solves one tridiagonal system, with the same result as a Kalman filter
    followed by a Rauch-Tung-Striebel smoother (tested).
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


def _pad_length(values: np.ndarray, rate_hz: float) -> int:
    return min(round(EDGE_S * rate_hz), values.shape[-1] - 1)


def refuse_amplitudes(windows: np.ndarray, channels: list[str]) -> None:
    """Raise `DamagedSample` if a channel of (channels, windows, samples) in µV is decades from EEG."""
    sd_uv = np.median(windows.std(axis=-1), axis=-1)  # (channels,); a median, so that single artefacts pass
    typical_uv = np.median(sd_uv)
    low, high = MIN_SD_UV, MAX_SD_UV
    if low <= typical_uv <= high:
        low, high = max(low, typical_uv / MAX_RATIO), min(high, typical_uv * MAX_RATIO)
    for name, own_uv in zip(channels, sd_uv, strict=True):
        if not low <= own_uv <= high:
            others = f"the median of its channels is {typical_uv:.2g}"
            received = f"received: {own_uv:.2g} µV; {others}; is its unit right, and is it connected?"
            raise DamagedSample(
                f"channel {name}: no amplitude of EEG; allowed: {low:.2g} to {high:,.0f} µV SD; {received}"
            )


def _refuse_impossible(values: np.ndarray, channels: list[str]) -> None:
    """Refuse (channels, samples) with a sample beyond 1 V, or that is not finite."""
    for name, peak in zip(channels, np.abs(values).max(axis=1), strict=True):  # NaN if any sample is
        if not peak <= MAX_UV:
            hint = "" if np.isnan(peak) else "; is its unit stated in the file?"
            raise DamagedSample(f"channel {name!r}: a sample of {peak:.0e} µV; allowed: up to {MAX_UV:.0e}{hint}")


def _refuse_flat(windows: np.ndarray, channels: list[str]) -> None:
    """Refuse (channels, windows, samples) with a constant window, whose entropy would be minus infinity."""
    flat = np.argwhere(np.ptp(windows, axis=-1) == 0)
    if len(flat):
        names = ", ".join(dict.fromkeys(channels[channel] for channel, _ in flat))
        raise DamagedSample(f"channel {names}: flat for a whole window, the first at window {flat[0][1] + 1}")


def _pad(entropy: np.ndarray, padding: str, max_windows: int) -> np.ndarray:
    """Return (windows, features) padded to (max_windows, features), in float32."""
    x = np.zeros((max_windows, entropy.shape[1]), DTYPE)
    x[: len(entropy)] = entropy
    if padding == "average":
        x[len(entropy) :] = entropy.mean(axis=0)
    return x
