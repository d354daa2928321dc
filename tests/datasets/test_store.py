"""The HDF5 store: what goes in comes out, whole or not at all."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from small_store import DESCRIPTION, pictures, write_store

from stages.core.errors import UserError
from stages.corpora.archive.pack import pack
from stages.datasets.store import Store, create
from stages.params.load import parse

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


def test_values_are_unpacked_with_scale_and_offset(tmp_path: Path):
    x = np.array([[[[0, 51]]], [[[255, 102]]]], dtype=np.uint8)
    with Store(write_store(tmp_path / "a.h5", x, scale_factor=2.0, add_offset=-3.0)) as store:
        found = store.read(np.array([1, 0]))
        assert found.dtype == np.float32
        assert found.tolist() == [[[[507.0, 201.0]]], [[[-3.0, 99.0]]]]
        assert store.read_packed(np.array([1])).dtype == np.uint8


def test_faces_come_back_between_zero_and_one(tmp_path: Path):
    x = np.array([[[[0, 255]]]], dtype=np.uint8)
    with Store(write_store(tmp_path / "a.h5", x)) as store:
        np.testing.assert_allclose(store.read(np.array([0])).ravel(), [0, 1], rtol=1e-6)


@pytest.mark.parametrize(
    "indices",
    [
        [],
        np.array([]),
        [0],
        [349],
        [349, 0, 348, 1],
        [5, 5, 5],
        [200, 63, 64, 63, 200, 0],
        np.arange(350)[::-1],
        np.random.default_rng(0).integers(0, 350, 1000),
        np.random.default_rng(1).permutation(350),
    ],
)
def test_any_indices_read_as_numpy_reads_them(tmp_path: Path, indices: list[int] | np.ndarray):
    x = pictures(350, 1, 64, 64)
    with Store(write_store(tmp_path / "a.h5", x)) as store:
        assert 1 < store.samples_per_chunk < 100  # so that several chunks are read
        np.testing.assert_array_equal(store.read_packed(indices), x[np.asarray(indices, dtype=int)])


def test_same_content_same_bytes(tmp_path: Path):
    first = write_store(tmp_path / "a.h5", pictures(300, 1, 8, 8)).read_bytes()
    again = write_store(tmp_path / "other name.h5", pictures(300, 1, 8, 8)).read_bytes()
    assert first == again
    assert first != write_store(tmp_path / "c.h5", pictures(300, 1, 8, 8, seed=1)).read_bytes()


def test_attributes_are_what_any_hdf5_reader_understands(tmp_path: Path):
    with h5py.File(write_store(tmp_path / "a.h5", pictures(3, 1, 8, 8), synthetic=True)) as file:
        attributes = file.attrs
        assert attributes["scale_factor"].dtype == np.float64
        assert attributes["scale_factor"] == 1 / 255
        assert attributes["add_offset"].dtype == np.float64
        assert attributes["synthetic"].dtype == np.bool_
        assert attributes["synthetic"]
        assert attributes["classes"].tolist() == ["angry", "happy", "sad"]
        assert attributes["layout"].tolist() == ["channel", "height", "width"]
        assert attributes["corpus"] == "faces"
        assert attributes["rejected"].tolist() == ["b.png: 0 bytes", "é.png: a GIF"]
        assert isinstance(attributes["rate_hz"], h5py.Empty)
        assert file["x"].dtype == np.uint8
        assert file["x"].chunks[1:] == (1, 8, 8)


@pytest.mark.parametrize(
    "change",
    [
        {"rate_hz": 16000.0},
        {"rejected": []},
        {"rejected": [f"sample {number}: 0 bytes" for number in range(9000)]},
        {"name": "{FER} «2013»"},
        {"feature": {"name": "mel", "nested": {"a": [1, 2.5, None]}}},
        {"classes": ["happy", "angry"]},
    ],
)
def test_any_description_survives(tmp_path: Path, change: dict[str, object]):
    with Store(write_store(tmp_path / "a.h5", pictures(3, 1, 8, 8), **change)) as store:
        for key, value in change.items():
            assert getattr(store.description, key) == value


def test_nothing_is_left_after_an_exception(tmp_path: Path):
    class OurMistakeError(Exception):
        pass

    def half() -> None:
        with create(tmp_path / "sub" / "a.h5") as writer:
            row = {"length": [0], "label": [0], "group": [""], "sample_id": ["a"]}
            writer.append(np.zeros((1, 1, 8, 8), np.uint8), **row)
            raise OurMistakeError

    with pytest.raises(OurMistakeError):
        half()
    assert list((tmp_path / "sub").iterdir()) == []


def test_a_failed_write_leaves_the_file_before_it(tmp_path: Path):
    path = write_store(tmp_path / "a.h5", pictures(3, 1, 8, 8))
    before = path.read_bytes()

    def half() -> None:
        with create(path):
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def empty_hdf5(path: Path) -> None:
    h5py.File(path, "w").close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b""), "not a prepared dataset"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "not a prepared dataset"),
        (empty_hdf5, "not a prepared dataset"),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path: Path, make, words: str):
    make(tmp_path / "a.h5")
    with pytest.raises(UserError, match=words) as error:
        Store(tmp_path / "a.h5")
    assert str(tmp_path / "a.h5") in str(error.value)
    assert "\n" not in str(error.value)


def _disk_of(size_bytes: int) -> None:
    """As a full disk does, every write beyond `size_bytes` of a file fails."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


@pytest.mark.parametrize("size_bytes", [100, 200_000])
def test_disk_full(tmp_path: Path, size_bytes: int):
    """`prepare` says so in one line and leaves nothing; h5py alone would crash as the interpreter ends."""
    rng = np.random.default_rng(0)
    faces = (" ".join(map(str, rng.integers(0, 256, 2304))) for _ in range(140))
    rows = [f"{number % 7},{face},Training" for number, face in enumerate(faces)]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    pack(tmp_path / "fer2013.csv", tmp_path / "faces.zip")
    params = parse((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    params["datasets"]["faces"]["feature"]["size_px"] = 96
    with (tmp_path / "params.yaml").open("w") as stream:
        yaml.safe_dump(params, stream)
    output = tmp_path / "prepared" / "faces.h5"
    command = [sys.executable, "-m", "stages.prepare", "faces", "--params", tmp_path / "params.yaml"]
    done = subprocess.run(
        [*command, "--archive", tmp_path / "faces.zip", "--output", output],
        cwd=PROJECT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: _disk_of(size_bytes),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line]
    assert [line for line in lines if line.startswith("error: ")] == lines
    assert len(lines) == 1
    assert lines[0].lower() == f"error: {output}: could not be written: file too large".lower()
    assert list(output.parent.iterdir()) == []
