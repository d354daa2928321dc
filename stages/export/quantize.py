"""Smaller versions of an exported graph: weights in half precision, or in 8-bit integers."""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

MIN_VALUES = 1024  # smaller tensors, such as the normaliser, stay float32: halving them saves nothing
# Operators with a calibrated output range: a convolution is faster in 8 bits only if its range is known beforehand.
CALIBRATED = ("Conv", "Relu", "MaxPool", "Add")
# Operators whose input range is measured for every prediction.
DYNAMIC = ("MatMul", "LSTM")


def fp16(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph with weights in float16, half the size, converted to float32 when it is loaded.

    It is as fast as float32 on a CPU; onnxruntime has no CPU kernels that compute in float16.
    """
    half_size = onnx.ModelProto()
    half_size.CopyFrom(graph)
    casts = []
    for weight in half_size.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and np.prod(weight.dims) >= MIN_VALUES:
            name, half = weight.name, onnx.numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_float16"))
            casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *half_size.graph.node]
    del half_size.graph.node[:]
    half_size.graph.node.extend(nodes)
    return half_size


def convolves(graph: onnx.ModelProto) -> bool:
    """Return whether the graph has convolutions, for which `int8` needs samples."""
    return any(node.op_type == "Conv" for node in graph.graph.node)


def int8(graph: onnx.ModelProto, samples: Iterable[dict[str, np.ndarray]]) -> onnx.ModelProto:
    """Return a graph with 8-bit weights of convolutions, matrix products and LSTMs.

    `samples` ({input: batch} each) calibrate the convolutions.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        onnx.save(graph, path)
        quant_pre_process(path, path, skip_symbolic_shape=True)
        if convolves(graph):
            quantize_static(
                path, path, _Samples(samples), quant_format=QuantFormat.QDQ, op_types_to_quantize=list(CALIBRATED),
                per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            )  # fmt: skip
            quant_pre_process(path, path, skip_symbolic_shape=True, skip_optimization=True)
        quantize_dynamic(path, path, op_types_to_quantize=list(DYNAMIC), per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning of onnxruntime that the second pass sees a quantized graph."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class _Samples(CalibrationDataReader):
    def __init__(self, samples: Iterable[dict[str, np.ndarray]]) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._samples, None)
