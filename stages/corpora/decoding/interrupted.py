"""Interrupted recordings, EDF+D and BDF+D: each record states its own time, and between two records can be a gap.

The channel of annotations begins with the time of its record, '+12.5\\x14\\x14\\0', and goes on with the annotations,
'+13\\x152.5\\x14happy\\x14\\0' (onset, duration, texts). Source: Kemp and Olivan 2003, Clin. Neurophysiol. 114: 1755.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from stages.core.records import DamagedSample
from stages.corpora.decoding.edf import ANNOTATIONS, FIXED_BYTES, SIGNAL_BYTES, Header

Mark = tuple[float, float, str]  # onset and duration in seconds, text

_LIST = re.compile(rb"([+-]\d{1,12}(?:\.\d*)?)(?:\x15(\d{1,12}(?:\.\d*)?))?((?:\x14[^\x14\0]*)+)\x14\0")


@dataclass(frozen=True)
class Segment:
    """A stretch without a gap, in seconds from the start of the recording; `first`: index of its first sample."""

    start_s: float
    end_s: float
    first: int

    def samples(self, rate_hz: float) -> int:
        return round((self.end_s - self.start_s) * rate_hz)


Times = tuple[list[Segment], list[Mark]]


def read_times(path: Path, header: Header, samples: int) -> Times:
    """Return the stretches without a gap of channels with `samples` per record, and all annotations.

    Times are in seconds from the start of the first record. Raises `DamagedSample` for a record that states no time or
    begins before the last one ended.
    """
    starts, marks = _read_annotations(path, header)
    parts = segments([start - starts[0] for start in starts], header.record_s, samples)
    return parts, [(onset - starts[0], *rest) for onset, *rest in marks]


def _read_annotations(path: Path, header: Header) -> tuple[list[float], list[Mark]]:
    """Return the start of each record, and all annotations, both in seconds from the time in the header."""
    offsets = [size * header.bytes_per_sample for size in accumulate(header.samples, initial=0)]
    channels = [index for index, label in enumerate(header.labels) if label in ANNOTATIONS]
    if not channels:
        raise DamagedSample(f"an interrupted recording (EDF+D) without the channel {ANNOTATIONS[0]!r} of its times")
    starts, marks = [], []
    with path.open("rb") as file:
        for record in range(header.n_records):
            begin = FIXED_BYTES + SIGNAL_BYTES * len(header.labels) + record * offsets[-1]
            for index in channels:
                file.seek(begin + offsets[index])
                lists = _LIST.finditer(file.read(offsets[index + 1] - offsets[index]))
                if index == channels[0]:
                    first = next(lists, None)
                    if first is None or first.start() != 0:
                        raise DamagedSample(f"an interrupted recording (EDF+D) whose record {record} states no time")
                    starts.append(float(first[1]))
                marks += [mark for found in lists for mark in _marks(found)]
    return starts, marks


def segments(starts: Sequence[float], record_s: float, samples: int) -> list[Segment]:
    """Return the stretches without a gap of records of `record_s` seconds and `samples` samples each.

    A shift of less than half a sample is no gap. Raises `DamagedSample` for records that overlap.
    """
    half_s, bounds = 0.5 * record_s / samples, [0]
    for number, start in enumerate(starts):
        first = bounds[-1]
        shift_s = start - (starts[first] + (number - first) * record_s)
        if shift_s < -half_s:
            raise DamagedSample(f"an interrupted recording (EDF+D) whose record {number} begins before the last ended")
        if shift_s > half_s:
            bounds.append(number)
    ends = [*bounds[1:], len(starts)]
    spans = zip(bounds, ends, strict=True)
    return [Segment(starts[a], starts[a] + (b - a) * record_s, a * samples) for a, b in spans]


def position(parts: Sequence[Segment], onset_s: float, duration_s: float, rate_hz: float) -> tuple[int, int]:
    """Return the indices of the first sample of a trial and of the one after its last. Raises `DamagedSample` at a gap.

    A trial that begins before or ends after the recording has indices beyond it.
    """
    earlier = [part for part in parts if part.start_s - 0.5 / rate_hz <= onset_s]
    part = earlier[-1] if earlier else parts[0]
    start = round((onset_s - part.start_s) * rate_hz)
    stop = start + round(duration_s * rate_hz)
    if stop > part.samples(rate_hz) and part is not parts[-1]:
        after = parts[parts.index(part) + 1]
        raise DamagedSample(
            f"the recording is interrupted from {part.end_s:g} to {after.start_s:g} s; allowed: trials without a gap; "
            f"received: {onset_s:g} to {onset_s + duration_s:g} s"
        )
    return part.first + start, part.first + stop


def _marks(found: re.Match[bytes]) -> list[Mark]:
    texts = [text.decode("utf-8", "replace") for text in found[3].split(b"\x14")[1:] if text]
    return [(float(found[1]), float(found[2] or 0), text) for text in texts]
