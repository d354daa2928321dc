"""A run as one ONNX file: every run of params.yaml, what its metadata tell, what is refused."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_store import DESCRIPTION, pictures, write_store

from stages.apps import export, export_table, latency, onnx_graph, onnx_model, onnx_quantize, pack
from stages.checks.params import load
from stages.core import lookup
from stages.core.errors import UserError
from stages.core.files import md5, read_json, write_json
from stages.training import model_folder
from stages.training.model_folder import TrainedModel

PARAMS = load(Path(__file__).parents[2] / "params.yaml")
RUN = "faces_custom_cnn"
SMALL_PX, STEPS = 24, 20
SMALL = {"faces": {"size_px": SMALL_PX}, "mel": {"duration_s": 0.304}, "eeg": {"max_windows": STEPS}}


def described(run: str) -> dict:
    """model.json of a run as it is trained, on small samples."""
    trained, dataset = PARAMS.runs[run], PARAMS.datasets[PARAMS.runs[run].dataset]
    feature = lookup.load("features", dataset.feature["name"])
    channels = 3 if dataset.feature.get("color") == "rgb" else 1
    n_features = {"mel": dataset.feature.get("n_mels"), "eeg": 310}.get(dataset.feature["name"])
    shape = [STEPS, n_features] if n_features else [channels, SMALL_PX, SMALL_PX]
    about = {"layout": list(feature.LAYOUT), "scale_factor": feature.SCALE_FACTOR, "add_offset": feature.ADD_OFFSET}
    about |= {
        "shape": shape,
        "feature": dataset.feature | SMALL[dataset.feature["name"]],
        "rate_hz": None,
        "corpus": dataset.corpus,
    }
    across = (1, n_features) if n_features else (channels, 1, 1)
    normaliser = {"mean": np.full(across, 0.4).tolist(), "sd": np.full(across, 0.3).tolist()}
    return model_folder.describe(run, trained, vars(DESCRIPTION) | about, normaliser, protocol="official")


def trained(run: str) -> TrainedModel:
    """Its weights random, its batch statistics away from where they start."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    info = described(run)
    recogniser = model_folder.build(info).train()
    with torch.no_grad():
        recogniser(0.4 + 0.3 * torch.randn(8, *info["input"]["shape"]))
    return TrainedModel(recogniser.eval(), info)


@pytest.mark.parametrize("run", sorted(PARAMS.runs))
def test_every_run_answers_as_pytorch_does(run: str):
    model = trained(run)
    served = onnx_model.OnnxModel(onnx_graph.export(model))
    for count in (1, 5):
        packed, length = map(torch.from_numpy, onnx_graph.examples(model, count).values())
        expected = model.probabilities(packed, length)
        assert expected.std() > 0
        torch.testing.assert_close(served.probabilities(packed, length), expected, atol=1e-4, rtol=0)
    assert not model.recogniser.training


@pytest.fixture(scope="module")
def faces() -> TrainedModel:
    return trained(RUN)


@pytest.fixture(scope="module")
def graph(faces: TrainedModel) -> onnx.ModelProto:
    return onnx_graph.export(faces)


def test_normalisation_is_inside(faces: TrainedModel, graph: onnx.ModelProto):
    """Worked out here from stored bytes: a 255th, mean 0.4, deviation 0.3, softmax."""
    packed = torch.from_numpy(pictures(3, 1, SMALL_PX, SMALL_PX))
    with torch.no_grad():
        logits = faces.recogniser.architecture(((packed.double() / 255 - 0.4) / 0.3).float())
    found = onnx_model.OnnxModel(graph).probabilities(packed)
    torch.testing.assert_close(found, torch.softmax(logits, 1), atol=1e-5, rtol=1e-4)


def test_metadata_tell_what_an_answer_needs(faces: TrainedModel, graph: onnx.ModelProto):
    served = onnx_model.OnnxModel(graph)
    assert served.precision == "float32"
    assert served.info == json.loads(json.dumps(faces.info))
    told = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(told["classes"]) == DESCRIPTION.classes
    assert json.loads(told["feature"]) == {"name": "faces", "size_px": SMALL_PX, "color": "gray"}
    given = json.loads(told["input"])
    assert (given["dtype"], given["shape"]) == ("uint8", [1, SMALL_PX, SMALL_PX])
    assert given["signal"] == "x * scale_factor + add_offset"


@pytest.mark.parametrize(("run", "inputs"), [(RUN, ["x"]), ("speech_adafnn", ["x", "length"])])
def test_inputs_and_free_batch(run: str, inputs: list[str]):
    graph = onnx_graph.export(trained(run)).graph
    assert [given.name for given in graph.input] == inputs
    assert [made.name for made in graph.output] == ["probabilities"]
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_padding_does_not_count_where_the_length_is_read():
    model = trained("speech_adafnn")
    served = onnx_model.OnnxModel(onnx_graph.export(model))
    packed, length = torch.zeros(1, STEPS, 64), torch.tensor([7])
    padded = packed.clone()
    padded[:, 7:] = 3.0
    assert torch.equal(served.probabilities(packed, length), served.probabilities(padded, length))
    assert not torch.equal(served.probabilities(packed), served.probabilities(padded))


def test_fp16_halves_the_weights_and_hardly_moves_an_answer(faces: TrainedModel, graph: onnx.ModelProto):
    half = onnx_quantize.fp16(graph)
    assert half.ByteSize() < 0.55 * graph.ByteSize()
    packed, length = onnx_graph.examples(faces, 4).values()
    found, expected = (onnx_model.OnnxModel(each).run(packed, length) for each in (half, graph))
    assert 0 < np.abs(found - expected).max() < 5e-3


def weight_bytes(graph: onnx.ModelProto) -> int:
    """Of all that weighs something."""
    weights = (onnx.numpy_helper.to_array(one) for one in graph.graph.initializer)
    return sum(weight.nbytes for weight in weights if weight.size >= onnx_quantize.FEWEST)


@pytest.mark.parametrize("run", [RUN, "faces_compact"])
def test_int8_of_convolutions(run: str):
    """Also of a network whose weights a graph reads six times, and keeps once."""
    faces = trained(run)
    graph = onnx_graph.export(faces)
    assert onnx_quantize.convolves(graph)
    samples = [onnx_graph.examples(faces, count) for count in (8, 9)]
    small = onnx_quantize.int8(graph, ({"x": sample["x"]} for sample in samples))
    assert weight_bytes(small) <= 0.26 * weight_bytes(graph)
    assert small.ByteSize() < 0.5 * graph.ByteSize()
    found, expected = (ask(onnx_graph.described(each, faces.info, "int8"), samples[0]) for each in (small, graph))
    assert 0 < np.abs(found - expected).max() < 0.1


def test_int8_of_a_sequence_needs_no_samples():
    model = trained("speech_adafnn")
    graph = onnx_graph.export(model)
    assert not onnx_quantize.convolves(graph)
    small = onnx_quantize.int8(graph, [])
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= {node.op_type for node in small.graph.node}
    sample = onnx_graph.examples(model, 3)
    found, expected = (ask(onnx_graph.described(each, model.info, "int8"), sample) for each in (small, graph))
    assert 0 < np.abs(found - expected).max() < 0.1


def ask(graph: onnx.ModelProto, sample: dict[str, np.ndarray]) -> np.ndarray:
    return onnx_model.OnnxModel(graph).run(*sample.values())


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: TrainedModel) -> Path:
    """A folder with the run, its prepared faces and their split, and nothing else."""
    write_store(tmp_path / "faces.h5", pictures(60, 1, SMALL_PX, SMALL_PX), piece=60)
    parts = np.split(np.array([f"s{number}" for number in range(60)]), [30, 36])
    names = ("train", "validation", "test")
    write_json(tmp_path / "faces.json", {"parts": {name: list(ids) for name, ids in zip(names, parts, strict=True)}})
    monkeypatch.chdir(tmp_path)
    info = faces.info | {"inputs": {name: md5(Path(name)) for name in ("faces.h5", "faces.json")}}
    model_folder.save(tmp_path / "data/models" / RUN, info, {"best": faces.recogniser.architecture.state_dict()})
    monkeypatch.setattr(export_table, "SECONDS", 0.0)
    return tmp_path


def run_export(monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    arguments = ["export", "--run", RUN, "--format", "onnx", "--output", "face.onnx", *more]
    monkeypatch.setattr(sys, "argv", arguments)
    export.main()


def test_file_and_table(project: Path, faces: TrainedModel, monkeypatch: pytest.MonkeyPatch, capsys):
    run_export(monkeypatch)
    served = onnx_model.read(project / "face.onnx")
    packed, label = pictures(60, 1, SMALL_PX, SMALL_PX)[36:], np.arange(36, 60) % 3
    expected = (faces.probabilities(torch.from_numpy(packed)).numpy().argmax(1) == label).mean()
    torch.testing.assert_close(
        served.probabilities(torch.from_numpy(packed)), faces.probabilities(torch.from_numpy(packed)), atol=1e-4, rtol=0
    )
    said = capsys.readouterr().out
    cells = {line.split()[0]: line.split()[1:] for line in said.splitlines()[3:7]}
    assert list(cells) == ["PyTorch", "float32", "fp16", "int8"]
    assert all(float(row[3]) == pytest.approx(expected, abs=1e-4) for row in (cells["PyTorch"], cells["float32"]))
    sizes = [float(row[0]) for row in cells.values()]
    assert sizes[1] > sizes[2] > sizes[3] > 0
    assert "official" in said


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_quantized_file(project: Path, monkeypatch: pytest.MonkeyPatch, precision: str):
    run_export(monkeypatch, "--quantize", precision)
    assert onnx_model.read(project / "face.onnx").precision == precision


def test_without_its_data(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    write_json(project / "faces.json", read_json(project / "faces.json") | {"changed": True})
    run_export(monkeypatch)
    said = capsys.readouterr()
    assert "its prepared data and split are not at faces.h5, faces.json" in said.err
    assert "int8" not in said.out
    with pytest.raises(UserError, match=r"int8 of a network that convolves needs samples.*: --quantize fp16, or"):
        run_export(monkeypatch, "--quantize", "int8")


def test_the_table_is_kept(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Beside what else was measured."""
    monkeypatch.setattr(latency, "circumstances", lambda params: {"commit": "abc", "command": "latency"})
    monkeypatch.setattr(export, "load", lambda path: None)
    write_json(project / latency.PATH, {"latency": {"speech": 1}})
    run_export(monkeypatch, "--reference")
    found = read_json(project / latency.PATH)
    assert found["latency"] == {"speech": 1}
    kept = found["export"][RUN]
    assert (kept["name"], kept["protocol"], kept["commit"]) == ("FER-2013", "official", "abc")
    assert kept["command"].startswith(f"python -m stages.apps.export --run {RUN}")
    assert kept["int8"]["size_mb"] < kept["fp16"]["size_mb"] < kept["float32"]["size_mb"]
    assert kept["float32"]["accuracy"] == kept["PyTorch"]["accuracy"]


def test_no_such_run(project: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match=r"--run: no such run.*faces_custom_cnn.*received: 'nobody'"):
        run_export(monkeypatch, "--run", "nobody")


def test_output_not_writable_is_told_before_the_work(project: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UserError, match="--output: its folder does not exist"):
        run_export(monkeypatch, "--output", "no/face.onnx")
    with pytest.raises(UserError, match="--output: a folder"):
        run_export(monkeypatch, "--output", str(project))


def test_its_own_data_are_not_written_over(project: Path, monkeypatch: pytest.MonkeyPatch):
    before = (project / "faces.h5").read_bytes()
    with pytest.raises(UserError, match=r"--output: faces\.h5 is read, and would be written over"):
        run_export(monkeypatch, "--output", "faces.h5")
    assert (project / "faces.h5").read_bytes() == before


def test_a_packed_run_is_exported(project: Path, graph: onnx.ModelProto, monkeypatch: pytest.MonkeyPatch, capsys):
    pack.pack(RUN, project / "run.zip")
    monkeypatch.setattr(export, "data_of", lambda model: None)
    run_export(monkeypatch, "--run", "run.zip")
    packed = torch.from_numpy(pictures(5, 1, SMALL_PX, SMALL_PX))
    found = onnx_model.read(project / "face.onnx").probabilities(packed)
    torch.testing.assert_close(found, onnx_model.OnnxModel(graph).probabilities(packed))


def test_a_wrong_graph_is_not_written(project: Path, monkeypatch: pytest.MonkeyPatch):
    right = onnx_graph.export
    monkeypatch.setattr(onnx_graph, "export", lambda model: right(trained("faces_keras_cnn")))
    with pytest.raises(UserError, match="ONNX and PyTorch differ by"):
        run_export(monkeypatch)
    assert not (project / "face.onnx").exists()


def foreign(path: Path) -> None:
    """A sound graph that is no recogniser."""
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch"])
    made = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch"])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [made])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)


def elsewhere(path: Path) -> None:
    """Its weights in another file, here one that is not the user's to give."""
    graph = onnx.load(path)
    weight = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(graph.SerializeToString())


@pytest.mark.parametrize(
    "damage",
    [
        foreign,
        elsewhere,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 no graph" * 9),
        lambda path: path.write_bytes(path.read_bytes()[:-500]),
        lambda path: path.unlink(),
    ],
)
def test_files_that_are_none(graph: onnx.ModelProto, tmp_path: Path, damage):
    path = tmp_path / "face.onnx"
    onnx.save(graph, path)
    damage(path)
    with pytest.raises(UserError) as error:
        onnx_model.read(path)
    assert str(path) in str(error.value)
    assert "stages.apps.export" in str(error.value)
    assert "\n" not in str(error.value)


def told(graph: onnx.ModelProto, **changes: object) -> onnx.ModelProto:
    """With other metadata: {key: content}."""
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    texts = {entry.key: entry.value for entry in graph.metadata_props}
    onnx.helper.set_model_props(made, texts | {key: json.dumps(value) for key, value in changes.items()})
    return made


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("classes", ["angry", "happy"], "no probabilities of 2 classes"),
        ("classes", ["angry", "\x1b[2J"], "metadata: classes.1"),
        ("feature", {"name": "os"}, "metadata: feature.name: unknown name"),
        ("input", {"shape": [1, 10**6, 10**6]}, "metadata: input"),
        ("run", {"run": "../x"}, "metadata: run"),
        ("run", [], "not a recogniser in ONNX"),
    ],
)
def test_tampered_metadata(graph: onnx.ModelProto, tmp_path: Path, key: str, change: object, words: str):
    info = json.loads({entry.key: entry.value for entry in graph.metadata_props}[key])
    onnx.save(told(graph, **{key: info | change if isinstance(change, dict) else change}), tmp_path / "face.onnx")
    with pytest.raises(UserError) as error:
        onnx_model.read(tmp_path / "face.onnx")
    assert words in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "face.onnx"))
    assert "\n" not in str(error.value)


def test_of_a_graph_that_takes_other_samples_than_it_tells(faces: TrainedModel, graph: onnx.ModelProto, tmp_path: Path):
    given = faces.info["input"] | {"shape": [1, 2 * SMALL_PX, 2 * SMALL_PX]}
    feature = faces.info["feature"] | {"size_px": 2 * SMALL_PX}
    onnx.save(told(graph, input=given, feature=feature), tmp_path / "face.onnx")
    with pytest.raises(UserError, match=r"not a recogniser in ONNX .*(dimension|shape)"):
        onnx_model.read(tmp_path / "face.onnx")
