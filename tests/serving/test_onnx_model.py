"""Reading an exported file, which is untrusted: damaged, foreign and tampered graphs are refused in one line."""

import json
from pathlib import Path

import onnx
import pytest
from small_models import SIZE_PX

from stages.core.errors import UserError
from stages.serving import onnx_model


def error_of(path: Path) -> str:
    """Return the message with which a file is refused."""
    with pytest.raises(UserError) as error:
        onnx_model.read(path)
    assert str(error.value).startswith(str(path))
    return str(error.value)


def write_foreign_graph(path: Path) -> None:
    """Write a valid graph that is no recogniser."""
    given = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch"])
    returned = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch"])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [given], [returned])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)


def refer_to_another_file(path: Path) -> None:
    """Replace a weight by a reference to a file that is not the user's."""
    graph = onnx.load(path)
    weight = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(graph.SerializeToString())


@pytest.mark.parametrize(
    "damage",
    [
        write_foreign_graph,
        refer_to_another_file,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PK\x03\x04 no graph" * 9),
        lambda path: path.write_bytes(path.read_bytes()[:-500]),
        lambda path: path.unlink(),
    ],
)
def test_refuses_a_file_that_is_no_export(faces_graph: onnx.ModelProto, tmp_path: Path, damage):
    path = tmp_path / "face.onnx"
    onnx.save(faces_graph, path)
    damage(path)
    assert "stages.apps.export" in error_of(path)


def with_metadata(graph: onnx.ModelProto, **changes: object) -> onnx.ModelProto:
    """Return the graph with other metadata, {key: content}."""
    changed = onnx.ModelProto()
    changed.CopyFrom(graph)
    texts = {entry.key: entry.value for entry in graph.metadata_props}
    onnx.helper.set_model_props(changed, texts | {key: json.dumps(value) for key, value in changes.items()})
    return changed


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("classes", ["angry", "happy"], "not probabilities of 2 classes"),
        ("classes", ["angry", "\x1b[2J"], "metadata: classes.1"),
        ("feature", {"name": "os"}, "metadata: feature.name: unknown name"),
        ("input", {"shape": [1, 10**6, 10**6]}, "metadata: input"),
        ("run", {"run": "../x"}, "metadata: run"),
        ("run", [], "not a recogniser in ONNX"),
    ],
)
def test_refuses_tampered_metadata(faces_graph: onnx.ModelProto, tmp_path: Path, key: str, change: object, words: str):
    info = json.loads({entry.key: entry.value for entry in faces_graph.metadata_props}[key])
    content = info | change if isinstance(change, dict) else change
    onnx.save(with_metadata(faces_graph, **{key: content}), tmp_path / "face.onnx")
    assert words in error_of(tmp_path / "face.onnx")


def test_refuses_metadata_with_another_shape_than_the_graph(faces_model, faces_graph: onnx.ModelProto, tmp_path: Path):
    given = faces_model.info["input"] | {"shape": [1, 2 * SIZE_PX, 2 * SIZE_PX]}
    feature = faces_model.info["feature"] | {"size_px": 2 * SIZE_PX}
    onnx.save(with_metadata(faces_graph, input=given, feature=feature), tmp_path / "face.onnx")
    assert "not a recogniser in ONNX" in error_of(tmp_path / "face.onnx")
