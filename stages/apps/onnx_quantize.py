"""An exported graph made smaller: half-precision weights, or 8-bit integers."""

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

FEWEST = 1024  # values of a tensor that is worth halving: what is smaller, the normaliser among it, weighs nothing
# Calibrated, since the range of what a convolution yields must be known beforehand to gain time by it.
CALIBRATED = ("Conv", "Relu", "MaxPool", "Add")
# Whose input's range is taken anew for every answer.
DYNAMIC = ("MatMul", "LSTM")


def fp16(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Weights in float16, half the size, widened once when the file is loaded: as fast on a CPU as float32.

    Computing in float16, too, would need kernels that onnxruntime does not have for a CPU.
    """
    made = onnx.ModelProto()
    made.CopyFrom(graph)
    casts = []
    for weight in made.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and np.prod(weight.dims) >= FEWEST:
            name, half = weight.name, onnx.numpy_helper.to_array(weight).astype(np.float16)
            weight.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_float16"))
            casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *made.graph.node]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def convolves(graph: onnx.ModelProto) -> bool:
    """Whether `int8` needs samples."""
    return any(node.op_type == "Conv" for node in graph.graph.node)


def int8(graph: onnx.ModelProto, samples: Iterable[dict[str, np.ndarray]]) -> onnx.ModelProto:
    """Weights in 8 bits: of convolutions, calibrated by `samples` ({input: batch} each), of products and LSTMs."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        onnx.save(graph, path)
        quant_pre_process(path, path, skip_symbolic_shape=True)
        if convolves(graph):
            quantize_static(
                path,
                path,
                _Samples(samples),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(CALIBRATED),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            quant_pre_process(path, path, skip_symbolic_shape=True, skip_optimization=True)
        quantize_dynamic(path, path, op_types_to_quantize=list(DYNAMIC), per_channel=True, weight_type=QuantType.QInt8)
        return onnx.load(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime asks on standard error whether a graph that was made in two passes is quantised already."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class _Samples(CalibrationDataReader):
    def __init__(self, samples: Iterable[dict[str, np.ndarray]]) -> None:
        self._rest = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rest, None)
