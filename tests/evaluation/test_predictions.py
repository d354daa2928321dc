"""The predictions file: round trip, same bytes twice, whole or absent, foreign files named."""

import time

import h5py
import numpy as np
import pytest

from stages.core.errors import UserError
from stages.evaluation import predictions


@pytest.fixture
def content():
    return {
        "sample_id": ["a/ä.jpg", "b", "c"],
        "part": ["validation", "test", "test"],
        "label": np.array([0, 1, 1]),
        "group": ["s1", None, ""],
        "probabilities": np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]]),
        "attributes": {
            "classes": ["angry", "happy"],
            "run": "r",
            "name": "Ä",
            "synthetic": True,
            "protocol": "official",
        },
    }


def test_round_trip(tmp_path, content):
    predictions.write(tmp_path / "r.h5", **content)
    found = predictions.read(tmp_path / "r.h5")
    assert found.sample_id.tolist() == content["sample_id"]
    assert found.group.tolist() == ["s1", "", ""]
    assert found.part.tolist() == content["part"]
    assert found.label.tolist() == [0, 1, 1]
    assert found.probabilities.dtype == np.float32
    np.testing.assert_array_equal(found.probabilities, content["probabilities"])
    assert found.attributes == content["attributes"]
    assert found.classes == ["angry", "happy"]
    assert found.attributes["synthetic"] is True


def test_part_only(tmp_path, content):
    predictions.write(tmp_path / "r.h5", **content)
    test = predictions.read(tmp_path / "r.h5").part_only("test")
    assert test.sample_id.tolist() == ["b", "c"]
    assert test.probabilities.shape == (2, 2)
    with pytest.raises(ValueError, match="part must be one of"):
        test.part_only("train")


def test_same_content_gives_same_bytes(tmp_path, content):
    predictions.write(tmp_path / "1.h5", **content)
    time.sleep(1.1)  # HDF5's time stamps count whole seconds
    content["attributes"] = dict(reversed(content["attributes"].items()))
    predictions.write(tmp_path / "2.h5", **content)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path, content):
    predictions.write(tmp_path / "r.h5", **content)
    before = (tmp_path / "r.h5").read_bytes()
    content["attributes"]["unstorable"] = object()
    with pytest.raises(TypeError):
        predictions.write(tmp_path / "r.h5", **content)
    assert [path.name for path in tmp_path.iterdir()] == ["r.h5"]
    assert (tmp_path / "r.h5").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("part", ["test", "test", "train"], "part must be one of"),
        ("sample_id", ["a", "a", "b"], "unique"),
        ("sample_id", ["a", "b"], "sample_id must hold 3 values"),
        ("group", ["a\0b", "", ""], "NUL"),
        ("probabilities", np.zeros((3, 5)), r"probabilities must be \(3, 2\)"),
    ],
)
def test_refuses_inconsistent_content(tmp_path, content, name, value, message):
    with pytest.raises(ValueError, match=message):
        predictions.write(tmp_path / "r.h5", **content | {name: value})
    assert not list(tmp_path.iterdir())


def test_no_samples_at_all(tmp_path, content):
    empty = {"sample_id": [], "part": [], "group": [], "label": np.zeros(0, int), "probabilities": np.zeros((0, 2))}
    predictions.write(tmp_path / "r.h5", **content | empty)
    assert len(predictions.read(tmp_path / "r.h5").label) == 0


def test_missing_and_foreign_files_are_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        predictions.read(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["sample_id"] = [1, 2]
    for name in ("text.h5", "other.h5"):
        with pytest.raises(UserError, match="not a predictions file"):
            predictions.read(tmp_path / name)
