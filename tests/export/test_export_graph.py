"""Exported graphs: every run of params.yaml, what is inside, the metadata, smaller precisions."""

import json

import numpy as np
import onnx
import pytest
import torch
from small_models import FACES_RUN, PARAMS, SIZE_PX, STEPS, small_model
from small_store import DESCRIPTION, pictures

from stages.export import graph as onnx_graph
from stages.export import quantize
from stages.serving.onnx_model import OnnxModel
from stages.training.model_folder import TrainedModel


@pytest.mark.parametrize("run", sorted(PARAMS.runs))
def test_every_run_agrees_with_pytorch(run: str):
    model = small_model(run)
    exported = OnnxModel(onnx_graph.export(model))
    for count in (1, 5):
        packed, length = map(torch.from_numpy, onnx_graph.examples(model, count).values())
        expected = model.probabilities(packed, length)
        assert expected.std() > 0
        torch.testing.assert_close(exported.probabilities(packed, length), expected, atol=1e-4, rtol=0)
    assert not model.recogniser.training


def test_normalising_and_softmax_are_inside(faces_model: TrainedModel, faces_graph: onnx.ModelProto):
    """Computed here from stored bytes: divided by 255, mean 0.4, standard deviation 0.3, softmax."""
    packed = torch.from_numpy(pictures(3, 1, SIZE_PX, SIZE_PX))
    with torch.no_grad():
        logits = faces_model.recogniser.architecture(((packed.double() / 255 - 0.4) / 0.3).float())
    probabilities = OnnxModel(faces_graph).probabilities(packed)
    torch.testing.assert_close(probabilities, torch.softmax(logits, 1), atol=1e-5, rtol=1e-4)


def test_temperature_is_inside(faces_model: TrainedModel):
    packed = torch.from_numpy(pictures(3, 1, SIZE_PX, SIZE_PX))
    warm = TrainedModel(faces_model.recogniser, faces_model.info | {"temperature": 2.5})
    expected = torch.softmax(faces_model.logits(packed) / 2.5, 1)
    torch.testing.assert_close(warm.probabilities(packed), expected)
    torch.testing.assert_close(OnnxModel(onnx_graph.export(warm)).probabilities(packed), expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(expected, faces_model.probabilities(packed), atol=1e-3)


def test_metadata_hold_what_a_prediction_needs(faces_model: TrainedModel, faces_graph: onnx.ModelProto):
    exported = OnnxModel(faces_graph)
    assert exported.precision == "float32"
    assert exported.info == json.loads(json.dumps(faces_model.info))
    metadata = {entry.key: json.loads(entry.value) for entry in faces_graph.metadata_props if entry.key != "precision"}
    assert metadata["classes"] == DESCRIPTION.classes
    assert metadata["feature"] == {"name": "faces", "size_px": SIZE_PX, "color": "gray"}
    expected = {"dtype": "uint8", "shape": [1, SIZE_PX, SIZE_PX], "signal": "x * scale_factor + add_offset"}
    assert {key: metadata["input"][key] for key in expected} == expected


@pytest.mark.parametrize(("run", "inputs"), [(FACES_RUN, ["x"]), ("speech_adafnn", ["x", "length"])])
def test_names_of_inputs_and_dynamic_batch(run: str, inputs: list[str]):
    graph = onnx_graph.export(small_model(run)).graph
    assert [value.name for value in graph.input] == inputs
    assert [value.name for value in graph.output] == ["probabilities"]
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_padding_has_no_effect_where_the_length_is_read():
    exported = OnnxModel(onnx_graph.export(small_model("speech_adafnn")))
    packed, length = torch.zeros(1, STEPS, 64), torch.tensor([7])
    padded = packed.clone()
    padded[:, 7:] = 3.0
    assert torch.equal(exported.probabilities(packed, length), exported.probabilities(padded, length))
    assert not torch.equal(exported.probabilities(packed), exported.probabilities(padded))


# ---- smaller precisions ----


def predict(graph: onnx.ModelProto, sample: dict[str, np.ndarray]) -> np.ndarray:
    return OnnxModel(graph).run(*sample.values())


def weight_bytes(graph: onnx.ModelProto) -> int:
    """Return the size of all large weights."""
    weights = (onnx.numpy_helper.to_array(one) for one in graph.graph.initializer)
    return sum(weight.nbytes for weight in weights if weight.size >= quantize.MIN_VALUES)


def test_fp16_halves_the_weights_and_keeps_predictions(faces_model: TrainedModel, faces_graph: onnx.ModelProto):
    half = quantize.fp16(faces_graph)
    assert half.ByteSize() < 0.55 * faces_graph.ByteSize()
    sample = onnx_graph.examples(faces_model, 4)
    assert 0 < np.abs(predict(half, sample) - predict(faces_graph, sample)).max() < 5e-3


@pytest.mark.parametrize("run", [FACES_RUN, "faces_compact"])
def test_int8_quarters_the_weights_of_convolutions(run: str):
    """Also where a graph reads its weights six times, once for each test-time crop."""
    model = small_model(run)
    graph = onnx_graph.export(model)
    assert quantize.convolves(graph)
    samples = [onnx_graph.examples(model, count) for count in (8, 9)]
    small = quantize.int8(graph, ({"x": sample["x"]} for sample in samples))
    assert weight_bytes(small) <= 0.26 * weight_bytes(graph)
    assert small.ByteSize() < 0.5 * graph.ByteSize()
    small = onnx_graph.described(small, model.info, "int8")
    assert 0 < np.abs(predict(small, samples[0]) - predict(graph, samples[0])).max() < 0.1


def test_int8_of_a_sequence_model_needs_no_samples():
    model = small_model("speech_adafnn")
    graph = onnx_graph.export(model)
    assert not quantize.convolves(graph)
    small = quantize.int8(graph, [])
    assert {"DynamicQuantizeLSTM", "MatMulInteger"} <= {node.op_type for node in small.graph.node}
    sample = onnx_graph.examples(model, 3)
    small = onnx_graph.described(small, model.info, "int8")
    assert 0 < np.abs(predict(small, sample) - predict(graph, sample)).max() < 0.1
