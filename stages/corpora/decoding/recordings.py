"""Reading of stretches of untrusted EEG recordings with MNE.

MNE reads stretches only from a file, and most formats only from a path. The recording is therefore copied to a
temporary folder while it is open, and memory does not grow with its length.
"""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, NoReturn

import mne
import numpy as np

from stages.core.electrodes import is_position
from stages.core.records import DamagedSample, Signal
from stages.corpora.decoding import cnt, interrupted
from stages.corpora.decoding.beside import Beside, copy_recording
from stages.corpora.decoding.edf import Header, hide_annotations, is_eeg, read_header

SUFFIXES = (".edf", ".bdf", ".cnt", ".fif", ".set", ".vhdr", ".gdf")
MAX_BYTES = 2 << 30  # largest recording; the lengths in a longer CNT overflow
MAX_VALUES = 1 << 26  # largest trial, all channels together: half a GiB of float64
MIN_RATE_HZ, MAX_RATE_HZ = 10, 50_000

_MAT_HEADER_BYTES = 128
_MAT_COMPRESSED = 15  # miCOMPRESSED, "MAT-File Format", MathWorks, table 1-1
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Recording:
    """An open recording. `folder`, with the temporary files, is deleted together with this object.

    `left_out`: '; left out: …' with the EEG channels that have another rate, '' if there are none. `segments`: the
    stretches without a gap. `marks`: the annotations of an interrupted recording, whose times MNE does not know.
    """

    raw: mne.io.BaseRaw
    folder: TemporaryDirectory
    left_out: str
    segments: list[interrupted.Segment]
    marks: list[interrupted.Mark] | None

    @property
    def duration_s(self) -> float:
        return self.segments[-1].end_s

    def stretch(self, onset_s: float, duration_s: float) -> Signal:
        """Return (samples,) with one float64 field per channel, in µV, and the rate in Hz. Raises `DamagedSample`.

        Samples of any size are returned, also NaN: only the channels that are used must be plausible.
        """
        rate_hz = float(self.raw.info["sfreq"])
        start, stop = interrupted.position(self.segments, onset_s, duration_s, rate_hz)
        stop = min(stop, len(self.raw.times))
        if not 0 <= start < stop:
            raise DamagedSample(f"no sample in {duration_s:g} s from {onset_s:g} s of {self.duration_s:g} s")
        if (stop - start) * len(self.raw.ch_names) > MAX_VALUES:
            raise DamagedSample(f"{duration_s:g} s of {len(self.raw.ch_names)} channels; allowed: {MAX_VALUES} samples")
        with _mne_errors_as_damage("its samples cannot be read", self.folder):
            values_uv = 1e6 * self.raw.get_data(start=start, stop=stop, verbose="ERROR")  # (channels, samples)
        names = [(name, np.float64) for name in self.raw.ch_names]
        fields = np.dtype(names, metadata={"left_out": self.left_out})  # for the message about a missing channel
        return np.ascontiguousarray(values_uv.T).view(fields)[:, 0], rate_hz

    def annotations(self) -> list[tuple[float, float, str]]:
        """Return (onset in seconds from the first sample, duration in seconds, text) of every annotation."""
        if self.marks is not None:
            return self.marks
        first_s, marks = self.raw.first_time, self.raw.annotations  # MNE counts from before the first sample
        return [(float(m["onset"]) - first_s, float(m["duration"]), str(m["description"])) for m in marks]


def open_recording(stream: IO[bytes], name: str, beside: Beside | None = None, annotated: bool = False) -> Recording:
    """Return the EEG channels of the recording `name` in `stream`, whose format is the suffix. Raises `DamagedSample`.

    `beside` opens the other files of its folder, for recordings in several files. Unreadable annotations are an error
    only if `annotated`.
    """
    folder, suffix = TemporaryDirectory(prefix="recording"), Path(name).suffix.lower()
    path = copy_recording(stream, name, beside or {}, Path(folder.name))
    with _mne_errors_as_damage(f"not a whole {suffix[1:].upper()} recording", folder):
        if suffix in (".edf", ".bdf"):
            raw, left_out, times = _read_edf(path, annotated)
        else:
            raw, left_out, times = _read(path, suffix), "", None
        # FIF and SET can name another file of this computer as the place of the samples.
        if {Path(file).resolve().parent for file in raw.filenames if file} != {Path(folder.name).resolve()}:
            raise DamagedSample("its samples are in another file, which is not beside it; save it as one file")
        types = zip(raw.ch_names, raw.get_channel_types(), strict=True)
        names = [name for name, kind in types if kind == "eeg" and is_eeg(name)]
        raw.pick(names or _refuse_without_eeg(raw.ch_names), verbose="ERROR")
    rate_hz = float(raw.info["sfreq"])
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise DamagedSample(f"{rate_hz:g} Hz; allowed: {MIN_RATE_HZ} to {MAX_RATE_HZ}")
    whole = [interrupted.Segment(0.0, len(raw.times) / rate_hz, 0)]
    segments, marks = times or (whole, None)
    return Recording(raw, folder, left_out, segments, marks)


def refuse_mat_bomb(stream: IO[bytes], max_bytes: int) -> None:
    """Raise `DamagedSample` unless it is a MATLAB file up to version 7 that unpacks to at most `max_bytes`."""
    # SciPy unpacks such a file as a whole, and 1 MB of it can become 1 GB in memory.
    header = stream.read(_MAT_HEADER_BYTES)
    if header[:10] == b"MATLAB 7.3":
        raise DamagedSample("a MATLAB file of version 7.3; allowed: up to 7, which EEGLAB saves by default")
    if header[:10] != b"MATLAB 5.0" or header[126:128] not in (b"IM", b"MI"):
        raise DamagedSample(f"not a MATLAB file (starting {header[:8].hex()})")
    order, unpacked_bytes = "<" if header[126:128] == b"IM" else ">", 0
    while len(tag := stream.read(8)) == 8:
        kind, size_bytes = struct.unpack(f"{order}II", tag)
        if kind == _MAT_COMPRESSED:
            unpacked_bytes += _unpacked_bytes(stream, size_bytes, max_bytes)
        else:
            unpacked_bytes += size_bytes
            stream.seek(size_bytes + -size_bytes % 8, 1)  # padded to 8 bytes, unlike compressed elements
        if unpacked_bytes > max_bytes:
            raise DamagedSample(f"a MATLAB file of more than {max_bytes} bytes unpacked")


def _unpacked_bytes(stream: IO[bytes], size_bytes: int, max_bytes: int) -> int:
    """Return the unpacked size of the next `size_bytes`; unpacking stops soon after `max_bytes`."""
    unpacker, total = zlib.decompressobj(), 0
    while size_bytes > 0 and (block := stream.read(min(size_bytes, _BLOCK_BYTES))):
        size_bytes -= len(block)
        while block and total <= max_bytes:
            total += len(unpacker.decompress(block, _BLOCK_BYTES))
            block = unpacker.unconsumed_tail
    return total


def _read(path: Path, suffix: str) -> mne.io.BaseRaw:
    if suffix == ".cnt":
        return mne.io.read_raw_cnt(path, data_format=cnt.repair(path), verbose="ERROR")
    if suffix == ".fif":
        return mne.io.read_raw_fif(path, allow_maxshield=True, verbose="ERROR")
    if suffix == ".vhdr":
        return mne.io.read_raw_brainvision(path, verbose="ERROR")
    if suffix == ".gdf":
        with path.open("ab") as file:
            file.write(bytes(8))  # an empty table of events, which MNE needs, for files that end after the samples
        return mne.io.read_raw_gdf(path, stim_channel=False, verbose="ERROR")
    with path.open("rb") as stream:
        refuse_mat_bomb(stream, MAX_BYTES)
    return mne.io.read_raw_eeglab(path, verbose="ERROR")


def _read_edf(path: Path, annotated: bool) -> tuple[mne.io.BaseRaw, str, interrupted.Times | None]:
    """Return the opened recording, `Recording.left_out`, and the times of an interrupted recording, else None."""
    with path.open("rb") as stream:
        header = read_header(stream, path.stat().st_size)
    if not header.eeg:
        _refuse_without_eeg([f"{label} ({unit})" for label, unit in zip(header.labels, header.units, strict=True)])
    samples, left_out = _one_rate(header)
    times = interrupted.read_times(path, header, samples) if header.is_interrupted else None
    if times or not annotated:
        hide_annotations(path, header)
    read = mne.io.read_raw_edf if header.bytes_per_sample == 2 else mne.io.read_raw_bdf
    names = [name for name, own in header.eeg.items() if own == samples]
    raw = read(path, include=names, infer_types=True, stim_channel=False, encoding="latin1", verbose="ERROR")
    return raw, left_out, times


def _one_rate(header: Header) -> tuple[int, str]:
    """Return the samples per record of most electrodes, as MNE would resample the others, and which are left out."""
    rates = {samples: [name for name, own in header.eeg.items() if own == samples] for samples in header.eeg.values()}

    def rank(samples: int) -> tuple[bool, int, int, int]:
        names, rate_hz = rates[samples], samples / header.record_s
        return MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ, sum(map(is_position, names)), len(names), samples

    chosen = max(rates, key=rank)
    others = [f"{name} ({own / header.record_s:g} Hz)" for name, own in header.eeg.items() if own != chosen]
    return chosen, f"; left out for another rate: {', '.join(others[:8])}" if others else ""


@contextmanager
def _mne_errors_as_damage(what: str, folder: TemporaryDirectory) -> Iterator[None]:
    """Turn errors of MNE into a `DamagedSample` of one line, and drop its warnings: what matters is checked here."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except DamagedSample:
        raise
    except Exception as error:  # MNE and SciPy raise errors of any class, depending on the damaged byte
        reason = f"{type(error).__name__}: {error}".partition("\nWARNING: mne.io.read_raw_cnt")[0]
        reason = re.sub(rf"[^\s'\"(]*{re.escape(Path(folder.name).name)}[^\s'\")]*", "its file", reason)
        raise DamagedSample(f"{what} ({' '.join(reason.split())[:120]})") from None


def _refuse_without_eeg(channels: list[str]) -> NoReturn:
    raise DamagedSample(f"no EEG channel; its channels: {', '.join(channels[:8])}")
