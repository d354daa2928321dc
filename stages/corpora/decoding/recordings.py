"""Opens an EEG recording from outside with MNE, and reads the stretches of it that are asked for.

MNE reads stretches from a file alone, and CNT and SET from nothing else: one under our own name holds the recording for
as long as it is open, so that memory does not grow with it.
"""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NoReturn

import mne
import numpy as np

from stages.core.records import DamagedSample, Signal
from stages.corpora.decoding.edf import is_eeg, read_header
from stages.corpora.decoding.mat import refuse_bomb

SUFFIXES = (".edf", ".bdf", ".cnt", ".fif", ".set")
MAX_BYTES = 2 << 30  # of one recording; from here on CNT tells lengths that overflow
MAX_VALUES = 1 << 26  # samples of all channels of one trial together: half a GiB of float64
MIN_RATE_HZ, MAX_RATE_HZ = 10, 50_000
MAX_UV = 1e6  # a volt; electrodes drift by a third of that


@dataclass(frozen=True)
class Recording:
    """An open recording. `folder` goes, with the file in it, when the recording does."""

    raw: mne.io.BaseRaw
    folder: TemporaryDirectory

    @property
    def duration_s(self) -> float:
        return len(self.raw.times) / self.raw.info["sfreq"]

    def stretch(self, onset_s: float, duration_s: float) -> Signal:
        """(samples,) of one float64 field a channel, in µV, and the rate in Hz. Raises `DamagedSample`."""
        rate_hz = float(self.raw.info["sfreq"])
        start = round(onset_s * rate_hz)
        stop = min(start + round(duration_s * rate_hz), len(self.raw.times))
        if not 0 <= start < stop:
            raise DamagedSample(f"no sample in {duration_s:g} s from {onset_s:g} s of {self.duration_s:g} s")
        if (stop - start) * len(self.raw.ch_names) > MAX_VALUES:
            raise DamagedSample(f"{duration_s:g} s of {len(self.raw.ch_names)} channels; allowed: {MAX_VALUES} samples")
        with _one_line("its samples cannot be read"):
            values_uv = 1e6 * self.raw.get_data(start=start, stop=stop, verbose="ERROR")  # (channels, samples)
        _check_values(values_uv, self.raw.ch_names)
        named = np.dtype([(name, np.float64) for name in self.raw.ch_names])
        return np.ascontiguousarray(values_uv.T).view(named)[:, 0], rate_hz


def open_recording(stream: IO[bytes], suffix: str) -> Recording:
    """The recording in `stream`, of which `suffix` (one of `SUFFIXES`) tells the format. Raises `DamagedSample`.

    Channels that are not EEG are left out. No name from outside becomes a path.
    """
    folder = TemporaryDirectory(prefix="recording")
    path = Path(folder.name) / f"recording{'_raw' if suffix == '.fif' else ''}{suffix}"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, 1 << 20)
    with _one_line(f"not a whole {suffix[1:].upper()} recording"):
        raw = _OPEN[suffix](path)
        # FIF and SET may name another file, of this machine, where the samples are said to lie.
        if [Path(name).resolve() for name in raw.filenames] != [path.resolve()]:
            raise DamagedSample("its samples lie in another file; save it as one file")
        raw.pick(_eeg_names(raw), verbose="ERROR")
        _check_rate(float(raw.info["sfreq"]))
    return Recording(raw, folder)


def _open_edf(path: Path) -> mne.io.BaseRaw:
    with path.open("rb") as stream:
        header = read_header(stream, path.stat().st_size)
    if not header.eeg:
        _refuse_without_eeg([f"{label} ({unit})" for label, unit in zip(header.labels, header.units, strict=True)])
    if len(rates := {samples / header.record_s for samples in header.eeg.values()}) > 1:
        raise DamagedSample(f"EEG channels of {len(rates)} rates, {min(rates):g} to {max(rates):g} Hz; allowed: one")
    read = mne.io.read_raw_edf if header.bytes_per_sample == 2 else mne.io.read_raw_bdf
    return read(path, include=list(header.eeg), infer_types=True, stim_channel=False, verbose="ERROR")


def _open_cnt(path: Path) -> mne.io.BaseRaw:
    return mne.io.read_raw_cnt(path, verbose="ERROR")


def _open_fif(path: Path) -> mne.io.BaseRaw:
    return mne.io.read_raw_fif(path, allow_maxshield=True, verbose="ERROR")


def _open_set(path: Path) -> mne.io.BaseRaw:
    with path.open("rb") as stream:
        refuse_bomb(stream, MAX_BYTES)
    return mne.io.read_raw_eeglab(path, verbose="ERROR")


_OPEN = {".edf": _open_edf, ".bdf": _open_edf, ".cnt": _open_cnt, ".fif": _open_fif, ".set": _open_set}


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    """Whatever MNE raises on broken bytes, in one line; what it warns of is checked here, or does not matter."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except DamagedSample:
        raise
    except Exception as error:  # MNE and SciPy have no class for it: which one comes depends on the byte that is broken
        raise DamagedSample(f"{what} ({' '.join(f'{type(error).__name__}: {error}'.split())[:120]})") from None


def _eeg_names(raw: mne.io.BaseRaw) -> list[str]:
    types = zip(raw.ch_names, raw.get_channel_types(), strict=True)
    names = [name for name, kind in types if kind == "eeg" and is_eeg(name)]
    return names or _refuse_without_eeg(raw.ch_names)


def _refuse_without_eeg(channels: list[str]) -> NoReturn:
    raise DamagedSample(f"no EEG channel; its channels: {', '.join(channels[:8])}")


def _check_rate(rate_hz: float) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise DamagedSample(f"{rate_hz:g} Hz; allowed: {MIN_RATE_HZ} to {MAX_RATE_HZ}")


def _check_values(values_uv: np.ndarray, names: list[str]) -> None:
    """(channels, samples)"""
    peaks = np.abs(values_uv).max(axis=1)  # NaN if one of them is
    for name, peak in zip(names, peaks, strict=True):
        if not np.isfinite(peak):
            raise DamagedSample(f"channel {name!r}: samples that are no numbers (NaN or infinite)")
        if peak > MAX_UV:
            raise DamagedSample(f"channel {name!r}: a sample of {peak:.0e} µV; allowed: up to {MAX_UV:.0e}")
