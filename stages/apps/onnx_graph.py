"""A trained recogniser as one ONNX graph: values as the prepared dataset stores them in, probabilities out.

    x (batch, …) uint8 of images, float32 of all else      length (batch,) int64, true steps, where the network reads it
    probabilities (batch, n_classes) float32, in the order of `classes`

Unpacking, normalising and softmax are inside. Its metadata (JSON each) tell what else an answer needs: `classes`;
`feature`, the settings that make x of a signal; `input`, its shape, axes, type and scale; `run`, where it comes from
(its normaliser, too, for who wants to see x as the network does); `precision`.
"""

import io
import json
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from stages.core import lookup
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import Recogniser

X, LENGTH, PROBABILITIES = "x", "length", "probabilities"
APART = ("classes", "feature", "input")  # of model.json, what is not told under `run`


class Served(nn.Module):
    """The recogniser between stored values and probabilities, as `TrainedModel.probabilities` asks it."""

    def __init__(self, recogniser: Recogniser) -> None:
        super().__init__()
        self.recogniser = recogniser

    def forward(self, packed: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """(B, …) as stored, (B,) true steps → (B, n_classes)."""
        return self.recogniser(self.recogniser.unpack(packed), length).softmax(1)


def export(model: TrainedModel) -> onnx.ModelProto:
    """The graph in float32, for any number of samples. Raises `UserError` for a feature that is none of ours."""
    inputs, stream = examples(model, 2), io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # the newer exporter needs onnxscript
        torch.onnx.export(
            Served(model.recogniser).eval(),
            tuple(torch.from_numpy(value) for value in inputs.values()),
            stream,
            input_names=list(inputs),  # of which ONNX leaves out what is not read
            output_names=[PROBABILITIES],
            dynamic_axes={name: {0: "batch"} for name in (*inputs, PROBABILITIES)},
            dynamo=False,
        )
    return described(onnx.load_model_from_string(stream.getvalue()), model.info, "float32")


def described(graph: onnx.ModelProto, info: dict[str, Any], precision: str) -> onnx.ModelProto:
    """The same graph with the metadata of a run; whatever stood there is gone."""
    run = {key: value for key, value in info.items() if key not in APART}
    given = info["input"] | {"dtype": stored_dtype(info), "signal": f"{X} * scale_factor + add_offset"}
    told = {"classes": info["classes"], "feature": info["feature"], "input": given, "run": run}
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in told.items()}
    onnx.helper.set_model_props(graph, texts | {"precision": precision})
    graph.doc_string = f"{info['run']} ({info['model']['name']}), trained on {info['corpus']}: {info['name']}"
    return graph


def stored_dtype(info: dict[str, Any]) -> str:
    """'uint8' of images, 'float32' of all else."""
    return lookup.load("features", info["feature"]["name"]).DTYPE


def examples(model: TrainedModel, count: int) -> dict[str, np.ndarray]:
    """{input: stored values} of samples drawn from the training part's mean and deviation; 1 true step, all, half."""
    shape, normal = tuple(model.info["input"]["shape"]), model.recogniser
    drawn = torch.randn(count, *shape, generator=torch.Generator().manual_seed(count))
    packed = (normal.mean + normal.sd * drawn - normal.add_offset) / normal.scale_factor
    if stored_dtype(model.info) == "uint8":
        packed = packed.round().clamp(0, 255)
    steps = np.array([1, shape[0], (shape[0] + 1) // 2], dtype=np.int64)
    return {X: packed.numpy().astype(stored_dtype(model.info)), LENGTH: np.resize(steps, count)}
