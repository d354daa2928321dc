"""The predictions file: round trip, reproducible bytes, atomic writes, rejection of other files."""

import time

import h5py
import numpy as np
import pytest

from stages.core.errors import UserError
from stages.evaluation import predictions

COLUMNS = {
    "sample_id": ["a/ä.jpg", "b", "c"],
    "part": ["validation", "test", "test"],
    "label": np.array([0, 1, 1]),
    "group": ["s1", None, ""],
    "probabilities": np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]]),
}
GROUPINGS = {"speaker": ["s1", None, "ö"], "gender": ["", "", "female"]}
ATTRIBUTES = {"classes": ["angry", "happy"], "run": "r", "name": "Ä", "synthetic": True, "protocol": "official"}


def test_round_trip(tmp_path):
    predictions.write(tmp_path / "r.h5", COLUMNS, GROUPINGS, ATTRIBUTES)
    found = predictions.read(tmp_path / "r.h5")
    assert {name: values.tolist() for name, values in found.items()} == {
        **{name: COLUMNS[name] for name in ("sample_id", "part")},
        "group": ["s1", "", ""],
        **{name: COLUMNS[name].tolist() for name in ("label", "probabilities")},
    }
    assert found["probabilities"].dtype == np.float32
    _, groupings, origin = predictions.read_with_origin(tmp_path / "r.h5")
    assert {kind: names.tolist() for kind, names in groupings.items()} == {
        "speaker": ["s1", "", "ö"],
        "gender": ["", "", "female"],
    }
    assert origin["classes"].tolist() == ["angry", "happy"]
    assert (origin["name"], origin["synthetic"]) == ("Ä", True)


def test_same_content_gives_same_bytes(tmp_path):
    predictions.write(tmp_path / "1.h5", COLUMNS, GROUPINGS, ATTRIBUTES)
    time.sleep(1.1)  # HDF5's time stamps have a resolution of one second
    predictions.write(tmp_path / "2.h5", COLUMNS, GROUPINGS, dict(reversed(ATTRIBUTES.items())))
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        predictions.write(tmp_path / "r.h5", COLUMNS, GROUPINGS, ATTRIBUTES | {"unstorable": object()})
    assert list(tmp_path.iterdir()) == []


def test_rejects_missing_and_other_files(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        predictions.read(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["sample_id"] = [1, 2]
    for name in ("text.h5", "other.h5"):
        with pytest.raises(UserError, match="not a predictions file"):
            predictions.read(tmp_path / name)
