"""What files say of themselves for `make check`: that it is there, and that it is true."""

import numpy as np
import pytest

from stages.checks.combinations import lengths_of
from stages.core import lookup
from stages.core.labels import CLASSES

RECORDING = np.random.default_rng(0).normal(size=2_000)
# Of each feature: its settings, and a sample and its rate to compute it from.
FEATURES = {
    "eeg": ({"padding": "zero", "max_windows": 9}, (np.ones((4, 20)), None)),
    "eeg_de": (
        {"channels": ["Cz", "Pz"], "low_hz": 0.5, "high_hz": 60.0, "notch_hz": None, "resample_hz": None}
        | {"window_s": 2.0, "smoothing": "none", "padding": "zero", "max_windows": 9},
        (np.array(list(zip(RECORDING, RECORDING[::-1], strict=True)), [("Cz", float), ("Pz", float)]), 200.0),
    ),
    "faces": ({"size_px": 24, "color": "rgb"}, (np.zeros((30, 50), np.uint8), None)),
    "mel": (
        {"sample_rate_hz": 16_000, "window_ms": 25.0, "hop_ms": 10.0, "n_mels": 40, "f_min_hz": 50.0}
        | {"f_max_hz": 8000.0, "duration_s": 0.7, "trim_db": None, "normalize": "none"},
        (RECORDING[None].astype(np.float32), 16_000.0),
    ),
}


@pytest.mark.parametrize("reader", lookup.names("corpora"))
def test_every_reader_says_its_classes_and_groups(reader: str):
    found, module = lookup.constants("corpora", reader), lookup.load("corpora", reader)
    assert (found["CODES"], found["GROUP"]) == (module.CODES, module.GROUP)
    known = found["CODES"].values() if isinstance(found["CODES"], dict) else found["CODES"]
    assert set(known) <= set(CLASSES)


def test_every_feature_is_here():
    assert set(FEATURES) == set(lookup.names("features"))


@pytest.mark.parametrize("name", FEATURES)
def test_lengths_are_those_of_the_prepared_sample(name: str):
    settings, (sample, rate_hz) = FEATURES[name]
    x, _ = lookup.load("features", name).compute(sample, rate_hz, **settings)
    said = lookup.constants("features", name)
    assert x.dtype == said["DTYPE"]
    lengths = lengths_of("mine", {"corpus": "c", "feature": {"name": name, **settings}})
    shape = dict(zip(said["LAYOUT"], x.shape, strict=True))
    assert lengths.keys() & shape.keys()
    for axis, (setting, length) in lengths.items():
        assert setting.removeprefix("datasets.mine.feature.") in settings
        assert length == shape.get(axis, 2), axis  # electrodes are no axis: theirs are 2


def test_a_feature_that_is_wrong_by_itself_tells_no_length():
    """One mistake, one line: not one more for each model that would not fit it."""
    feature = {"name": "mel", **FEATURES["mel"][0], "hop_ms": 30.0}
    assert lengths_of("mine", {"corpus": "c", "feature": feature}) == {}
