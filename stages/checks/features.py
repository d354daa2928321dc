"""Mistakes within the settings of one feature: frequencies the rate does not hold, windows, bands, sizes."""

import math
from collections.abc import Iterator
from typing import Any

from stages.core.errors import duplicate_names

MAX_RATE_HZ = 384_000  # of clips that are read: a higher rate would hold nothing more
MAX_VALUES = 1 << 27  # of one sample: half a GiB of float32
# Slaney's mel scale, as librosa and torchaudio have it: linear up to 1000 Hz, from there 27 steps for a factor of 6.4.
LINEAR_HZ, LINEAR_STEP_HZ, LOG_STEP = 1000, 200 / 3, math.log(6.4) / 27

_SOUND = ("sample_rate_hz", "window_ms", "hop_ms", "f_min_hz", "f_max_hz", "duration_s", "n_mels")


def feature_mistakes(where: str, feature: Any) -> Iterator[str]:
    """One line for each; what is no setting of its type is the schema's to report."""
    if isinstance(feature, dict):
        yield from _sound_mistakes(where, feature)
        yield from _brain_mistakes(where, feature)


def too_large(where: str, shape: dict[str, int]) -> Iterator[str]:
    """Of a sample whose lengths {axis: length} are known."""
    count = math.prod(shape.values())
    if count > MAX_VALUES:
        lengths = " x ".join(f"{axis} {length:,}" for axis, length in shape.items())
        yield f"{where}: allowed: {MAX_VALUES:,} values a sample or fewer; received: {count:,} ({lengths})"


def frames(feature: dict[str, Any]) -> int | None:
    """How many a spectrogram has, one at every hop, the first at the start; None where its settings do not tell."""
    values = _numbers(feature, ("sample_rate_hz", "hop_ms", "duration_s"))
    hop = round(values[0] * values[1] / 1000) if values else 0
    return round(values[0] * values[2]) // hop + 1 if hop else None


def _numbers(feature: dict[str, Any], names: tuple[str, ...]) -> list[float]:
    """All of these settings, or none where one is missing, no number, or beyond reckoning."""
    values = [feature.get(name) for name in names]
    return values if all(isinstance(value, int | float) and 0 <= value < 1e12 for value in values) else []


def _sound_mistakes(where: str, feature: dict[str, Any]) -> Iterator[str]:
    """Of spectrograms: bands above what the rate holds or that hold nothing, windows with gaps or beyond the clip."""
    values = _numbers(feature, _SOUND)
    if not values:
        return
    rate, window, hop, lowest, highest, duration, _ = values
    if rate > MAX_RATE_HZ:
        yield f"{where}.sample_rate_hz: allowed: {MAX_RATE_HZ} or less; received: {rate}"
    if 2 * highest > rate:
        yield f"{where}.f_max_hz: allowed: half of sample_rate_hz ({rate}) or less; received: {highest}"
    if lowest >= highest:
        yield f"{where}.f_min_hz: allowed: less than f_max_hz ({highest}); received: {lowest}"
    if rate and hop <= 500 / rate:  # rounds to 0
        yield f"{where}.hop_ms: allowed: one sample or more, of {rate} a second; received: {hop}"
    if hop > window:
        yield f"{where}.hop_ms: allowed: window_ms ({window}) or less; received: {hop}"
    if window > 1000 * duration:
        yield f"{where}.window_ms: allowed: duration_s ({duration}) or less; received: {window}"
    yield from _band_mistakes(where, values)


def _band_mistakes(where: str, values: list[float]) -> Iterator[str]:
    """A mel band between two neighbouring frequencies of the transform would be silent in every clip."""
    rate, window, _, lowest, highest, _, n_mels = values
    length = round(rate * window / 1000)
    if not (length and 2 * highest <= rate <= MAX_RATE_HZ and lowest < highest and n_mels == int(n_mels) > 0):
        return
    half = (1 << (length - 1).bit_length()) // 2  # of the transform: as long as the next power of two
    spacing_hz = rate // 2 / half if half and rate > 1 else math.inf
    low, high = _mel(lowest), _mel(highest)
    enough = math.ceil(2 * LINEAR_STEP_HZ * (high - low) / spacing_hz - 1) - 1  # none is narrower than the spacing
    if n_mels > enough and _has_empty_band(low, high, n_mels, spacing_hz, 2 * half + 2):
        allowed = f"{enough} or fewer with this window_ms ({window})" if enough > 0 else "a longer window_ms"
        yield f"{where}.n_mels: bands that hold no frequency of the transform; allowed: {allowed}; received: {n_mels}"


def _has_empty_band(low: float, high: float, n_mels: int, spacing_hz: float, most: int) -> bool:
    """Whether a band has no frequency between its edges. `most`: how many bands can share them, two to each."""
    if n_mels > most:
        return True
    edges = [_hz(low + (high - low) * i / (n_mels + 1)) / spacing_hz for i in range(n_mels + 2)]
    return any(math.ceil(upper) - math.floor(lower) < 2 for lower, upper in zip(edges, edges[2:], strict=False))


def _mel(hz: float) -> float:
    return hz / LINEAR_STEP_HZ if hz < LINEAR_HZ else LINEAR_HZ / LINEAR_STEP_HZ + math.log(hz / LINEAR_HZ) / LOG_STEP


def _hz(mel: float) -> float:
    linear = LINEAR_HZ / LINEAR_STEP_HZ
    return mel * LINEAR_STEP_HZ if mel < linear else LINEAR_HZ * math.exp((mel - linear) * LOG_STEP)


def _brain_mistakes(where: str, feature: dict[str, Any]) -> Iterator[str]:
    """Of band power: frequencies that are filtered out, or that the rate cannot hold, before the bands are taken."""
    feature = feature if feature.get("name") == "eeg_de" else {}
    low, high, rate = (feature.get(name) for name in ("low_hz", "high_hz", "resample_hz"))
    if isinstance(low, int | float) and low > 1:
        yield f"{where}.low_hz: allowed: 1 or less, where the delta band begins; received: {low}"
    if isinstance(high, int | float) and high < 50:
        yield f"{where}.high_hz: allowed: 50 or more, where the gamma band ends; received: {high}"
    if isinstance(rate, int | float) and isinstance(high, int | float) and rate <= 2 * high:
        yield f"{where}.resample_hz: allowed: more than twice high_hz ({high}), or null; received: {rate}"
    yield from duplicate_names(f"{where}.channels", feature.get("channels"), "channel")
