"""The ONNX graphs of a run in float32, fp16 and int8, compared with PyTorch."""

from collections.abc import Iterator

import numpy as np
import onnx

from stages.core.errors import UserError
from stages.core.seeding import derive
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.export import graph as onnx_graph
from stages.export import quantize
from stages.export.table import BATCH_SIZE, EvaluationData, predict
from stages.serving.onnx_model import OnnxModel
from stages.training.model_folder import TrainedModel

PRECISIONS = ("float32", "fp16", "int8")
TOLERANCE = 1e-4  # largest difference of a probability between onnxruntime and PyTorch in float32
CALIBRATION_SAMPLES = 128


def graphs(model: TrainedModel, data: EvaluationData | None) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Yield (precision, graph); int8 is left out where it needs samples for calibration and there are none.

    Raises `UserError` where onnxruntime and PyTorch disagree.
    """
    graph = onnx_graph.export(model)
    require_agreement(model, graph)
    yield "float32", graph
    yield "fp16", onnx_graph.described(quantize.fp16(graph), model.info, "fp16")
    if data or not quantize.convolves(graph):
        small = quantize.int8(graph, calibration(OnnxModel(graph), data))
        yield "int8", onnx_graph.described(small, model.info, "int8")


def require_agreement(model: TrainedModel, graph: onnx.ModelProto) -> None:
    """Raise `UserError` where onnxruntime gives other probabilities than PyTorch, for one sample or several."""
    exported = OnnxModel(graph)
    for count in (1, 7):
        packed, length = onnx_graph.examples(model, count).values()
        apart = np.abs(exported.run(packed, length) - predict(model, packed, length)).max()
        if not apart <= TOLERANCE:
            name = model.info["run"]
            raise UserError(f"{name}: ONNX and PyTorch differ by {apart:.1e} of probability; allowed: {TOLERANCE:g}")


def calibration(model: OnnxModel, data: EvaluationData | None) -> Iterator[dict[str, np.ndarray]]:
    """Yield batches of random samples of the training part; none without data."""
    if data:
        with Store(data.dataset) as store:
            train = load_parts(data.split, store.sample_id)["train"]
            random = np.random.default_rng(derive(0, "calibration"))
            chosen = np.sort(random.permutation(train)[:CALIBRATION_SAMPLES])
            for indices in np.split(chosen, range(BATCH_SIZE, len(chosen), BATCH_SIZE)):
                yield model.inputs(store.read_packed(indices), store.length[indices])
