"""The command `export`: the file, the table, the record, and mistakes in its options."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import FACES_RUN, SIZE_PX, small_model
from small_store import pictures, write_store

from stages.apps import export
from stages.core.errors import UserError
from stages.core.files import md5, read_json, write_json
from stages.experiments import cost_record
from stages.export import graph as onnx_graph
from stages.export import pack, table
from stages.serving import onnx_model
from stages.training import model_folder
from stages.training.model_folder import TrainedModel


@pytest.fixture(scope="module")
def faces() -> TrainedModel:
    return small_model(FACES_RUN)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: TrainedModel) -> Path:
    """A folder with the run, its prepared faces and their split."""
    write_store(tmp_path / "faces.h5", pictures(60, 1, SIZE_PX, SIZE_PX), piece=60)
    parts = np.split(np.array([f"s{number}" for number in range(60)]), [30, 36])
    names = ("train", "validation", "test")
    write_json(tmp_path / "faces.json", {"parts": {name: list(ids) for name, ids in zip(names, parts, strict=True)}})
    monkeypatch.chdir(tmp_path)
    info = faces.info | {"inputs": {name: md5(Path(name)) for name in ("faces.h5", "faces.json")}}
    model_folder.save(tmp_path / "data/models" / FACES_RUN, info, {"best": faces.recogniser.architecture.state_dict()})
    monkeypatch.setattr(table, "SECONDS", 0.0)
    return tmp_path


def run_export(monkeypatch: pytest.MonkeyPatch, *more: object) -> None:
    arguments = ["export", "--run", FACES_RUN, "--format", "onnx", "--output", "face.onnx", *map(str, more)]
    monkeypatch.setattr(sys, "argv", arguments)
    export.main()


def test_writes_file_and_table(project: Path, faces: TrainedModel, monkeypatch: pytest.MonkeyPatch, capsys):
    run_export(monkeypatch)
    test_part, label = torch.from_numpy(pictures(60, 1, SIZE_PX, SIZE_PX)[36:]), np.arange(36, 60) % 3
    expected = faces.probabilities(test_part)
    exported = onnx_model.read(project / "face.onnx").probabilities(test_part)
    torch.testing.assert_close(exported, expected, atol=1e-4, rtol=0)
    output = capsys.readouterr().out
    cells = {line.split()[0]: line.split()[1:] for line in output.splitlines()[3:7]}
    assert list(cells) == ["PyTorch", "float32", "fp16", "int8"]
    accuracy = (expected.numpy().argmax(1) == label).mean()
    assert all(float(row[3]) == pytest.approx(accuracy, abs=1e-4) for row in (cells["PyTorch"], cells["float32"]))
    sizes = [float(row[0]) for row in cells.values()]
    assert sizes[1] > sizes[2] > sizes[3] > 0
    assert "official" in output


def test_leaves_out_int8_and_accuracy_without_the_data(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    write_json(project / "faces.json", read_json(project / "faces.json") | {"changed": True})
    with pytest.raises(UserError, match=r"int8 of a network with convolutions needs samples.*: --quantize fp16, or"):
        run_export(monkeypatch, "--quantize", "int8")
    run_export(monkeypatch, "--quantize", "fp16")
    output = capsys.readouterr()
    assert "its prepared data and split are not at faces.h5, faces.json" in output.err
    assert "int8" not in output.out
    assert onnx_model.read(project / "face.onnx").precision == "fp16"


def test_exports_a_packed_run_in_int8_and_adds_the_table_to_the_record(project: Path, monkeypatch: pytest.MonkeyPatch):
    """The other entries of the record stay."""
    pack.pack(FACES_RUN, project / "run.zip")
    monkeypatch.setattr(cost_record, "circumstances", lambda params, command: {"commit": "abc", "command": command})
    monkeypatch.setattr(export, "load", lambda path: None)
    write_json(project / cost_record.PATH, {"latency": {"speech": 1}})
    run_export(monkeypatch, "--run", "run.zip", "--quantize", "int8", "--reference")
    assert onnx_model.read(project / "face.onnx").precision == "int8"
    record = read_json(project / cost_record.PATH)
    assert record["latency"] == {"speech": 1}
    entry = record["export"][FACES_RUN]
    assert (entry["name"], entry["protocol"], entry["commit"]) == ("FER-2013", "official", "abc")
    assert entry["command"].startswith(f"python -m stages.apps.export --run {FACES_RUN}")
    assert entry["int8"]["size_mb"] < entry["fp16"]["size_mb"] < entry["float32"]["size_mb"]
    assert entry["float32"]["accuracy"] == entry["PyTorch"]["accuracy"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--run", "nobody"), r"--run: no such run.*faces_custom_cnn.*received: 'nobody'"),
        (("--output", "no/face.onnx"), "--output: its folder does not exist"),
        (("--output", "faces.h5"), r"--output: faces\.h5 is an input"),
    ],
)
def test_refuses_a_mistake_before_the_work(project: Path, monkeypatch: pytest.MonkeyPatch, options: tuple, words: str):
    before = (project / "faces.h5").read_bytes()
    with pytest.raises(UserError, match=words):
        run_export(monkeypatch, *options)
    assert (project / "faces.h5").read_bytes() == before


def test_refuses_to_write_a_graph_that_disagrees_with_pytorch(project: Path, monkeypatch: pytest.MonkeyPatch):
    other = onnx_graph.export(small_model("faces_keras_cnn"))
    monkeypatch.setattr(onnx_graph, "export", lambda model: other)
    with pytest.raises(UserError, match="ONNX and PyTorch differ by"):
        run_export(monkeypatch)
    assert not (project / "face.onnx").exists()
