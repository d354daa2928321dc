"""What a reader knows of one sample before anything is decoded."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Signal = tuple[np.ndarray, float | None]


class DamagedSample(Exception):
    """The sample cannot be decoded; it is named, counted and left out, never repaired."""


@dataclass(frozen=True)
class Record:
    """One sample of a corpus. Reading metadata costs no decoding.

    `read_bytes()` gives the sample's bytes as the corpus holds them, `decode(bytes)` the signal and its rate in Hz,
    which stands in the file (None for images): images (height, width[, 3]) uint8, audio (channels, samples) float32,
    EEG features (windows, features) float64, EEG recordings (samples,) of one float64 field a channel, by name, in µV.
    Where many trials lie in one recording, the bytes are what tells one from all others, and where it lies. Both must
    pickle, so that worker processes can decode.
    """

    sample_id: str
    label: str
    read_bytes: Callable[[], bytes]
    decode: Callable[[bytes], Signal]
    group: str | None = None
    trial: int | None = None
    partition: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    def load(self) -> Signal:
        """The decoded signal and its rate in Hz. Raises `DamagedSample`."""
        return self.decode(self.read_bytes())

    def content_hash(self) -> str:
        """Digest of the undecoded bytes: equal for exact duplicates."""
        return hashlib.blake2b(self.read_bytes(), digest_size=16).hexdigest()
