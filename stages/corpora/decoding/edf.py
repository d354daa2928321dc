"""Headers of EDF, EDF+ and BDF: the length and the channels of a recording, without decoding a sample.

Fields as in Kemp et al. 1992, Electroencephalogr. Clin. Neurophysiol. 82: 391, and in BioSemi's 24-bit variant of them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stages.core.records import DamagedSample

FIXED_BYTES, SIGNAL_BYTES = 256, 256  # sizes of the header's fixed part, and of its part for each signal
MAX_SIGNALS = 2_048
ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
# Lengths in bytes of the fields of every signal: label, transducer, unit, four limits, filters, samples, reserved.
_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_LABEL, _UNIT, _SAMPLES = 0, 2, 8
# Units that MNE scales, in their exact letter case; it takes a missing unit for volts.
_VOLTS = ("uV", "\u00b5V", "\u03bcV", "\x83\xcaV", "mV", "V", "")
# Channels other than EEG: heart, eyes, muscles, breath, and the recorder's own marks.
_NOT_EEG = re.compile(
    r"(ecg|ekg|[hv]?eog|[hv]eo[lru]?|emg|resp(iration)?|gsr|eda|ppg|pleth|spo2|sao2|pulse|temp(erature)?|status|stim|sti"
    r"|trig(ger)?s?|events?|markers?)(?![a-z])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Header:
    """`n_records` of `record_s` seconds each; label, unit and samples per record of every signal.

    `is_interrupted`: there can be gaps between the records (EDF+D).
    """

    n_records: int
    record_s: float
    labels: list[str]
    units: list[str]
    samples: list[int]
    bytes_per_sample: int
    is_interrupted: bool = False

    @property
    def eeg(self) -> dict[str, int]:
        """Return {name: samples per record} of the EEG channels, voltages without the name of another channel."""
        signals = zip(self.labels, self.units, self.samples, strict=True)
        return {short(label): samples for label, unit, samples in signals if is_eeg(label) and unit in _VOLTS}

    @property
    def duration_s(self) -> float:
        """Return the seconds of all records, without the gaps of an interrupted recording."""
        return self.n_records * self.record_s

    @property
    def size_bytes(self) -> int:
        """Return the size of the complete file."""
        record_bytes = sum(self.samples) * self.bytes_per_sample
        return FIXED_BYTES + SIGNAL_BYTES * len(self.labels) + self.n_records * record_bytes


def is_eeg(label: str) -> bool:
    """Return whether a channel's name is not one that is used for heart, eyes, muscles or markers."""
    return label not in ANNOTATIONS and not _NOT_EEG.match(short(label))


def short(label: str) -> str:
    """Return 'EEG Fp1' as 'Fp1', as MNE does."""
    kind, _, name = label.partition(" ")
    return name if kind.upper() == "EEG" and name else label


def hide_annotations(path: Path, header: Header) -> None:
    """Rename the channels of annotations in the file, so that MNE does not read them: some are damaged.

    It also clears the mark of EDF+, which needs such a channel.
    """
    with path.open("r+b") as file:
        for index, label in enumerate(header.labels):
            if label in ANNOTATIONS:
                file.seek(FIXED_BYTES + _FIELDS[_LABEL] * index)
                file.write(b"Marks".ljust(_FIELDS[_LABEL]))
        file.seek(192)
        if header.bytes_per_sample == 2:
            file.write(b" " * 5)


def read_header(stream: IO[bytes], size_bytes: int) -> Header:
    """Return the header of a file of `size_bytes`; `stream` is at its start. Raises `DamagedSample`."""
    fixed = stream.read(FIXED_BYTES)
    if len(fixed) < FIXED_BYTES or fixed[:8] not in (b"0       ", b"\xffBIOSEMI"):
        raise DamagedSample(f"not an EDF or BDF recording ({size_bytes} bytes starting {fixed[:8].hex()})")
    n_records, n_signals = _number(fixed[236:244], int), _number(fixed[252:256], int)
    record_s = _number(fixed[244:252], float)
    if not 1 <= n_signals <= MAX_SIGNALS or not 0 < record_s < 1e6:
        raise DamagedSample(f"its header states {n_signals} signals in records of {record_s:g} s")
    labels, units, samples = _signals(stream.read(SIGNAL_BYTES * n_signals), n_signals)
    is_interrupted = fixed[192:197] in (b"EDF+D", b"BDF+D")
    header = Header(n_records, record_s, labels, units, samples, 3 if fixed[0] == 0xFF else 2, is_interrupted)
    if n_records < 1:  # -1: the recorder was not stopped properly
        raise DamagedSample(f"its header states {n_records} records; the recording was not closed")
    if size_bytes < header.size_bytes:
        raise DamagedSample(f"cut short: its header states {header.size_bytes} bytes, but {size_bytes} were found")
    return header


def _signals(data: bytes, n_signals: int) -> tuple[list[str], list[str], list[int]]:
    if len(data) < SIGNAL_BYTES * n_signals:
        raise DamagedSample("cut short: its header is incomplete")
    columns, position = [], 0
    for width in _FIELDS:  # the header stores field after field, not signal after signal
        columns.append([data[position + width * index :][:width] for index in range(n_signals)])
        position += width * n_signals
    labels, units = ([cell.decode("latin-1").strip() for cell in columns[field]] for field in (_LABEL, _UNIT))
    samples = [_number(cell, int) for cell in columns[_SAMPLES]]
    if min(samples) < 1:
        raise DamagedSample(f"a signal of {min(samples)} samples per record")
    return labels, units, samples


def _number(field: bytes, kind: type) -> float:
    try:
        return kind(field.decode("ascii"))
    except ValueError:
        raise DamagedSample(f"{field[:20]!r} in its header instead of a number") from None
