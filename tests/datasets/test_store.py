"""The HDF5 store returns what was written, and a file is written completely or not at all."""

import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_store import DESCRIPTION, pictures, write_store

from stages.core.errors import UserError
from stages.datasets.store import Store, create

PROJECT = Path(__file__).parents[2]


def test_round_trip(tmp_path: Path):
    x = pictures(250, 1, 8, 8)
    with Store(write_store(tmp_path / "a.h5", x, piece=64)) as store:
        assert len(store) == 250
        assert store.sample_shape == (1, 8, 8)
        np.testing.assert_array_equal(store.read_packed(np.arange(250)), x)
        np.testing.assert_array_equal(store.label, np.arange(250) % 3)
        np.testing.assert_array_equal(store.length, np.arange(250) % 5)
        assert store.sample_id == [f"s{number}" for number in range(250)]
        assert store.group[:3] == ["", "speaker 1", ""]
        assert store.description == DESCRIPTION


def test_shares_of_votes(tmp_path: Path):
    shares = np.random.default_rng(0).dirichlet(np.ones(3), 250)
    with Store(write_store(tmp_path / "a.h5", pictures(250, 1, 8, 8), piece=64, soft_label=shares)) as store:
        assert store.soft_label.dtype == np.float32
        np.testing.assert_allclose(store.soft_label, shares, rtol=1e-6)
        np.testing.assert_array_equal(store.label, np.arange(250) % 3)
    with Store(write_store(tmp_path / "b.h5", pictures(3, 1, 8, 8))) as store:
        assert store.soft_label is None


def test_read_applies_scale_and_offset(tmp_path: Path):
    x = np.array([[[[0, 51]]], [[[255, 102]]]], dtype=np.uint8)
    with Store(write_store(tmp_path / "a.h5", x, scale_factor=2.0, add_offset=-3.0)) as store:
        values = store.read(np.array([1, 0]))
        assert values.dtype == np.float32
        assert values.tolist() == [[[[507.0, 201.0]]], [[[-3.0, 99.0]]]]
        assert store.read_packed(np.array([1])).dtype == np.uint8


def test_read_packed_equals_numpy_indexing(tmp_path: Path):
    x, repeated = pictures(350, 1, 64, 64), np.random.default_rng(0).integers(0, 350, 1000)
    with Store(write_store(tmp_path / "a.h5", x)) as store:
        assert 1 < store.samples_per_chunk < 100  # so that several chunks are read
        for indices in ([], [349], [5, 5, 5], [200, 63, 64, 63, 200, 0], np.arange(350)[::-1], repeated):
            np.testing.assert_array_equal(store.read_packed(indices), x[np.asarray(indices, dtype=int)])


def test_equal_content_gives_equal_bytes(tmp_path: Path):
    first = write_store(tmp_path / "a.h5", pictures(300, 1, 8, 8)).read_bytes()
    again = write_store(tmp_path / "b.h5", pictures(300, 1, 8, 8)).read_bytes()
    assert first == again
    assert first != write_store(tmp_path / "c.h5", pictures(300, 1, 8, 8, seed=1)).read_bytes()


def test_attributes_have_standard_hdf5_types(tmp_path: Path):
    with h5py.File(write_store(tmp_path / "a.h5", pictures(3, 1, 8, 8), synthetic=True)) as file:
        attributes = file.attrs
        assert attributes["scale_factor"].dtype == attributes["add_offset"].dtype == np.float64
        assert attributes["synthetic"].dtype == np.bool_
        assert attributes["corpus"] == "faces"
        assert attributes["rejected"].tolist() == ["b.png: 0 bytes", "é.png: a GIF"]
        assert (attributes["cut"], attributes["longest"]) == (2, 9)
        assert isinstance(attributes["rate_hz"], h5py.Empty)
        assert file["x"].dtype == np.uint8
        assert file["x"].chunks[1:] == (1, 8, 8)


@pytest.mark.parametrize("rejected", [[], [f"sample {number}: 0 bytes" for number in range(9000)]])
def test_description_round_trip(tmp_path: Path, rejected: list[str]):
    change = {"rate_hz": 16000.0, "name": "{FER} «2013»", "feature": {"name": "mel", "nested": {"a": [1, 2.5, None]}}}
    with Store(write_store(tmp_path / "a.h5", pictures(3, 1, 8, 8), rejected=rejected, **change)) as store:
        assert store.description == replace(DESCRIPTION, rejected=rejected, **change)


def test_groupings_of_the_chosen_samples(tmp_path: Path):
    with Store(write_store(tmp_path / "a.h5", pictures(8, 1, 4, 4))) as store:
        expected = {"speaker": ["speaker 1", "speaker 3", ""], "gender": ["male", "male", "female"]}
        assert store.groupings(np.array([1, 3, 4])) == expected
        assert store.groupings(np.array([0, 2])) == {}  # no known speaker, and one gender only


def test_groupings_leave_out_columns_with_many_names(tmp_path: Path):
    with Store(write_store(tmp_path / "a.h5", pictures(40, 1, 4, 4))) as store:
        store.extra = [{"file": str(number)} for number in range(40)]
        assert list(store.groupings(np.arange(40))) == ["speaker"]


def test_failed_write_keeps_the_previous_file(tmp_path: Path):
    path = write_store(tmp_path / "a.h5", pictures(3, 1, 8, 8))
    before = path.read_bytes()

    def write_half() -> None:
        with create(path):
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b""), "not a prepared dataset"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "not a prepared dataset"),
        (lambda path: h5py.File(path, "w").close(), "not a prepared dataset"),
    ],
)
def test_rejects_files_that_are_no_dataset(tmp_path: Path, make, words: str):
    make(tmp_path / "a.h5")
    with pytest.raises(UserError, match=words) as error:
        Store(tmp_path / "a.h5")
    assert str(tmp_path / "a.h5") in str(error.value)
    assert "\n" not in str(error.value)


WRITER = """
import sys
from pathlib import Path
from small_store import pictures, write_store
from stages.core.errors import exit_with_one_line
exit_with_one_line(lambda: write_store(Path(sys.argv[1]), pictures(140, 1, 96, 96)))
"""


@pytest.mark.parametrize("size_bytes", [100, 200_000])
def test_full_disk_is_reported_in_one_line(tmp_path: Path, size_bytes: int):
    """No file is left. Without our handling, h5py would crash at the end of the interpreter."""

    def limit_file_size() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    output = tmp_path / "prepared" / "faces.h5"
    paths = os.pathsep.join(map(str, (PROJECT, PROJECT / "tests")))
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": paths}
    command = [sys.executable, "-c", WRITER, str(output)]
    done = subprocess.run(command, env=environment, preexec_fn=limit_file_size, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert done.stderr.lower() == f"error: {output}: could not be written: file too large\n".lower()
    assert list(output.parent.iterdir()) == []
