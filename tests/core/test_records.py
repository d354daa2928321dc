"""A record knows its sample without decoding it, and can be sent to another process."""

import pickle
from dataclasses import FrozenInstanceError
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


def test_metadata_costs_no_decoding():
    def fail(*_):
        raise AssertionError("was read")

    made = Record("a", "happy", fail, fail, group="speaker 1", trial=3, partition="train", extra={"gender": "f"})
    assert (made.group, made.trial, made.extra) == ("speaker 1", 3, {"gender": "f"})


def test_load_decodes_what_is_read():
    signal, rate_hz = record().load()
    assert (signal.tolist(), rate_hz) == ([97, 98, 99], 100.0)


def test_damage_is_told():
    with pytest.raises(DamagedSample, match="no bytes"):
        record(b"").load()


def test_content_hash_tells_exact_duplicates():
    assert record().content_hash() == record(group="another").content_hash()
    assert record().content_hash() != record(b"abd").content_hash()


def test_hash_never_changes():
    """It decides which samples are duplicates in a split that may be kept for years."""
    assert record(b"").content_hash() == "cae66941d9efbd404e4d88758ea67670"  # BLAKE2b-128 of nothing


def test_travels_to_another_process():
    assert pickle.loads(pickle.dumps(record(trial=2))).load()[0].tolist() == [97, 98, 99]


def test_is_frozen():
    with pytest.raises(FrozenInstanceError):
        record().label = "sad"


def test_extras_are_not_shared():
    assert record().extra is not record().extra
