"""A trained recogniser as one ONNX graph.

    input   x (batch, …), as the prepared dataset stores it: uint8 for images, else float32
            length (batch,) int64, true time steps, where the network reads it
    output  probabilities (batch, n_classes) float32, in the order of `classes`

Unpacking, normalising, temperature and softmax are inside the graph. The metadata, each as JSON, hold what else a
program needs: `classes`; `feature`, the settings that compute x from a signal; `input`, its shape, axes, type and
scale; `run`, the origin of the run and its normaliser; `precision`.
"""

import io
import json
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from stages.serving.onnx_model import LENGTH, PROBABILITIES, X, stored_dtype
from stages.training.model_folder import TrainedModel

SEPARATE = ("classes", "feature", "input")  # keys of model.json that are not under `run`


class Served(nn.Module):
    """The recogniser from stored values to probabilities, as in `TrainedModel.probabilities`."""

    def __init__(self, model: TrainedModel) -> None:
        super().__init__()
        self.recogniser, self.temperature = model.recogniser, model.temperature

    def forward(self, packed: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Return (B, n_classes) for stored values (B, …) with true time steps (B,)."""
        return (self.recogniser(self.recogniser.unpack(packed), length) / self.temperature).softmax(1)


def export(model: TrainedModel) -> onnx.ModelProto:
    """Return the graph in float32, with a dynamic batch size."""
    inputs, stream = examples(model, 2), io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the exporter with dynamo needs another package, onnxscript
        torch.onnx.export(
            Served(model).eval(),
            tuple(torch.from_numpy(value) for value in inputs.values()),
            stream,
            input_names=list(inputs),  # the graph leaves out an input that is not read
            output_names=[PROBABILITIES],
            dynamic_axes={name: {0: "batch"} for name in (*inputs, PROBABILITIES)},
            dynamo=False,
        )
    return described(onnx.load_model_from_string(stream.getvalue()), model.info, "float32")


def described(graph: onnx.ModelProto, info: dict[str, Any], precision: str) -> onnx.ModelProto:
    """Replace the metadata of a graph by those of a run, and return it."""
    run = {key: value for key, value in info.items() if key not in SEPARATE}
    given = info["input"] | {"dtype": stored_dtype(info), "signal": f"{X} * scale_factor + add_offset"}
    metadata = {"classes": info["classes"], "feature": info["feature"], "input": given, "run": run}
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()}
    onnx.helper.set_model_props(graph, texts | {"precision": precision})
    graph.doc_string = f"{info['run']} ({info['model']['name']}), trained on {info['corpus']}: {info['name']}"
    return graph


def examples(model: TrainedModel, count: int) -> dict[str, np.ndarray]:
    """Return {input: stored values} of random samples with the mean and standard deviation of the training part.

    Their numbers of true time steps are 1, all, half, and so on.
    """
    shape, normal = tuple(model.info["input"]["shape"]), model.recogniser
    random = torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))
    packed = (normal.mean + normal.sd * random - normal.add_offset) / normal.scale_factor
    if stored_dtype(model.info) == "uint8":
        packed = packed.round().clamp(0, 255)
    steps = np.array([1, shape[0], (shape[0] + 1) // 2], dtype=np.int64)
    return {X: packed.numpy().astype(stored_dtype(model.info)), LENGTH: np.resize(steps, count)}
