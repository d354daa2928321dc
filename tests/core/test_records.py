"""A record gives metadata without decoding, and can be sent to another process."""

import pickle
from functools import partial

import numpy as np
import pytest

from stages.core.records import DamagedSample, Record


def decode(content):
    if not content:
        raise DamagedSample("no bytes")
    return np.frombuffer(content, dtype=np.uint8), 100.0


def record(content=b"abc", **more):
    return Record("a", "happy", partial(bytes, content), decode, **more)


def test_picklable_record_decodes_bytes():
    signal, rate_hz = pickle.loads(pickle.dumps(record(trial=2))).load()
    assert (signal.tolist(), rate_hz) == ([97, 98, 99], 100.0)
    with pytest.raises(DamagedSample, match="no bytes"):
        record(b"").load()


def test_content_hash_is_equal_for_duplicates_only():
    assert record().content_hash() == record(group="another").content_hash()
    assert record().content_hash() != record(b"abd").content_hash()


def test_content_hash_is_pinned():
    """Existing splits depend on it."""
    assert record(b"").content_hash() == "cae66941d9efbd404e4d88758ea67670"  # BLAKE2b-128 of nothing
