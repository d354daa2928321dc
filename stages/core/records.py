"""The record of one sample: its metadata, and how to read and decode its signal."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Signal = tuple[np.ndarray, float | None]


class DamagedSample(Exception):
    """The sample cannot be decoded. It is reported, counted and left out, never repaired."""


@dataclass(frozen=True)
class Record:
    """One sample of a corpus. Its metadata are available without decoding.

    `read_bytes()` returns the sample's bytes as stored in the corpus. `decode(bytes)` returns the signal and its rate
    in Hz as stated in the file (None for images): images (height, width[, 3]) uint8, audio (channels, samples) float32,
    EEG features (windows, features) float64, EEG recordings (samples,) with one float64 field per channel, in µV.
    For a trial within a longer recording, the bytes identify the recording and the trial's position in it. Both
    functions must be picklable, so that worker processes can decode. `votes`: {class: number of annotators who chose
    it}, given for all samples of a corpus or for none; training then uses their shares instead of `label`.
    """

    sample_id: str
    label: str
    read_bytes: Callable[[], bytes]
    decode: Callable[[bytes], Signal]
    group: str | None = None
    trial: int | None = None
    partition: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    votes: dict[str, int] | None = None

    def load(self) -> Signal:
        """Return the decoded signal and its rate in Hz. Raises `DamagedSample`."""
        return self.decode(self.read_bytes())

    def content_hash(self) -> str:
        """Return a digest of the undecoded bytes, which is equal for exact duplicates."""
        return hashlib.blake2b(self.read_bytes(), digest_size=16).hexdigest()
