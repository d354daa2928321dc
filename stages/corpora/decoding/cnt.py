"""Repair of the header of Neuroscan CNT files whose number of samples is wrong, as in SEED and SEED-V.

MNE takes the bytes per sample from that number, and misreads the file if it is wrong. Source of the fields:
https://paulbourke.net/dataformats/eeg
"""

import struct
from pathlib import Path
from typing import IO, Literal

import numpy as np

from stages.core.records import DamagedSample

HEADER_BYTES, CHANNEL_BYTES = 900, 75
_CHANNELS, _SAMPLES, _EVENTS = 370, 864, 886  # offsets of the number of channels and of samples, of the event table
_TABLE_HEADER = struct.Struct("<BiI")  # kind of events (1 to 3), bytes of the table, offset
_PROBE_SAMPLES, _PROBES = 4_096, 5
# A right reading of a signal changes little from sample to sample; a wrong one mixes channels, or halves of numbers.
_CLEARLY = 1.5
PLAUSIBLE_UV = 0.1, 20_000.0  # plausible SD of a channel, drift included

Format = Literal["int16", "int32"]


def repair(path: Path) -> Format:
    """Write the true number of samples into the header of the file, and return the format of its samples.

    The number of samples must fit the file's size with one of the formats; where it fits none, the format is the one
    whose samples look like EEG. Raises `DamagedSample` where neither decides.
    """
    with path.open("r+b") as file:
        size_bytes = file.seek(0, 2)
        n_channels, stated, start, end = _layout(file, size_bytes)
        fitting = [width for width in (2, 4) if stated > 0 and start + stated * n_channels * width == end]
        width = fitting[0] if fitting else _likelier(file, n_channels, start, end)
        _write(file, _SAMPLES, (end - start) // (n_channels * width))
        if end == size_bytes:  # no table of events: an empty one, since MNE reads it
            file.seek(end)
            file.write(_TABLE_HEADER.pack(1, 0, 0))
            _write(file, _EVENTS, end)
    return "int16" if width == 2 else "int32"


def _layout(file: IO[bytes], size_bytes: int) -> tuple[int, int, int, int]:
    """Return the number of channels, the stated number of samples, and where the samples start and end."""
    if size_bytes < HEADER_BYTES + CHANNEL_BYTES:
        raise DamagedSample(f"not a whole CNT recording ({size_bytes} bytes; its header has {HEADER_BYTES})")
    n_channels, stated, events = _number(file, _CHANNELS, "<H"), _number(file, _SAMPLES), _number(file, _EVENTS)
    start = HEADER_BYTES + CHANNEL_BYTES * n_channels
    if not n_channels or start + 2 * n_channels > size_bytes:
        raise DamagedSample(f"not a whole CNT recording: {n_channels} channels in {size_bytes} bytes")
    if start < events <= size_bytes - _TABLE_HEADER.size:
        file.seek(events)
        kind, table_bytes, _ = _TABLE_HEADER.unpack(file.read(_TABLE_HEADER.size))
        if kind in (0, 1, 2, 3) and 0 <= table_bytes <= size_bytes - events:
            return n_channels, stated, start, events
    if events > size_bytes and events in (start + stated * n_channels * width for width in (2, 4)):
        raise DamagedSample(f"not a whole CNT recording: {size_bytes} bytes, but its samples end at {events}")
    # The offset is wrong, as it overflows in long recordings: all the rest are samples.
    return n_channels, stated, start, size_bytes


def _likelier(file: IO[bytes], n_channels: int, start: int, end: int) -> int:
    """Return 2 or 4, the bytes per sample for which the channels have amplitudes of EEG and are smooth signals."""
    found = {width: _probe(file, n_channels, start, end, width) for width in (2, 4)}
    plausible = [width for width, (_, sd_uv) in found.items() if PLAUSIBLE_UV[0] <= sd_uv <= PLAUSIBLE_UV[1]]
    if len(plausible) == 1:
        return plausible[0]
    width = min(found, key=lambda each: found[each][0])
    if not found[width][0] * _CLEARLY <= found[6 - width][0]:
        described = "; ".join(f"{8 * each} bits: {sd:.2g} µV, {rough:.2f}" for each, (rough, sd) in found.items())
        allowed = "the number of samples that fits the file's size, or an amplitude and a smoothness that tell"
        raise DamagedSample(f"its bits per sample are unknown; allowed: {allowed}; received: {described}")
    return width


def _probe(file: IO[bytes], n_channels: int, start: int, end: int, width: int) -> tuple[float, float]:
    """Return the median over channels of SD(difference) / SD(signal), √2 for noise, and of the SD in µV."""
    frame, factor = n_channels * width, _factor_uv(file, n_channels)
    n_samples = (end - start) // frame
    count, rough, sd_uv = min(_PROBE_SAMPLES, n_samples), [np.inf], [0.0]
    for first in np.linspace(0, n_samples - count, _PROBES).astype(int) if count > 2 else ():
        file.seek(start + int(first) * frame)
        samples = np.frombuffer(file.read(count * frame), f"<i{width}").reshape(count, n_channels).astype(np.float64)
        sd = samples.std(axis=0)
        rough += list(np.diff(samples, axis=0).std(axis=0)[sd > 0] / sd[sd > 0])
        sd_uv += list(sd * factor)
    return float(np.median(rough)), float(np.nan_to_num(np.median(sd_uv)))


def _factor_uv(file: IO[bytes], n_channels: int) -> np.ndarray:
    """Return (n_channels,) µV per step: sensitivity × calibration / 204.8."""
    file.seek(HEADER_BYTES)
    channels = np.frombuffer(file.read(CHANNEL_BYTES * n_channels), np.uint8).reshape(n_channels, CHANNEL_BYTES)
    sensitivity, calibration = (channels[:, at : at + 4].copy().view("<f4")[:, 0] for at in (59, 71))
    with np.errstate(all="ignore"):  # damaged numbers are not plausible
        return np.abs(sensitivity.astype(np.float64) * calibration / 204.8)


def _number(file: IO[bytes], offset: int, form: str = "<i") -> int:
    file.seek(offset)
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _write(file: IO[bytes], offset: int, value: int) -> None:
    file.seek(offset)
    file.write(struct.pack("<i", value))
