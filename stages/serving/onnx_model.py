"""Runs an exported ONNX file as if it were a `TrainedModel`. The file is untrusted."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from stages.core import lookup
from stages.core.errors import UserError
from stages.serving import run_checks

X, LENGTH, PROBABILITIES = "x", "length", "probabilities"
MAX_BYTES = 1 << 30  # EfficientNet-B4 in float32 has 80 MB
METADATA = ("classes", "feature", "input", "run")
INPUT = ("shape", "layout", "scale_factor", "add_offset", "rate_hz")  # keys of model.json that serving reads
ALLOWED = "a file that `python -m stages.apps.export` wrote"


class OnnxModel:
    """`info` as in model.json; `precision`: float32 | fp16 | int8."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        content, providers = graph.SerializeToString(), ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(content, options, providers=providers)
        metadata = {entry.key: entry.value for entry in graph.metadata_props}
        parsed = {key: json.loads(metadata[key]) for key in METADATA}
        self.info: dict[str, Any] = parsed.pop("run") | parsed
        self.info["input"] = {key: value for key, value in self.info["input"].items() if key in INPUT}
        self.precision = metadata["precision"]
        self._reads_length = LENGTH in [given.name for given in self._session.get_inputs()]

    def probabilities(self, packed: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return probabilities (B, n_classes) float32 of stored values (B, …) with true time steps (B,)."""
        length = torch.full((len(packed),), packed.shape[1]) if length is None else length
        return torch.from_numpy(self.run(packed.numpy(), length.numpy()))

    def run(self, packed: np.ndarray, length: np.ndarray) -> np.ndarray:
        """Return the same for NumPy arrays."""
        return self._session.run([PROBABILITIES], self.inputs(packed, length))[0]

    def inputs(self, packed: np.ndarray, length: np.ndarray) -> dict[str, np.ndarray]:
        """Return the graph's named inputs."""
        return {X: packed} | ({LENGTH: length.astype(np.int64)} if self._reads_length else {})


def read(path: Path) -> OnnxModel:
    """Return the model of an exported file. Raises `UserError` for any other file and for wrong metadata."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; allowed: {ALLOWED}")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: {path.stat().st_size:,} bytes; allowed: {ALLOWED}, at most {MAX_BYTES:,}")
    try:
        graph = onnx.load_model_from_string(path.read_bytes())
        _require_whole(graph)
        model = OnnxModel(graph)
    except Exception as error:  # protobuf, ONNX and onnxruntime share no narrower type of error
        raise _not_ours(path, error) from None
    run_checks.require_valid(model.info, f"{path}: metadata")
    try:
        _require_probabilities(model)
    except Exception as error:  # onnxruntime has no narrower type of error, either
        raise _not_ours(path, error) from None
    return model


def _not_ours(path: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:160]
    return UserError(f"{path}: not a recogniser in ONNX ({reason}); allowed: {ALLOWED}")


def _require_whole(graph: onnx.ModelProto) -> None:
    """Raise ValueError where weights lie in other files, which onnxruntime would read."""
    onnx.checker.check_model(graph)
    nodes = [*graph.graph.node, *(node for function in graph.functions for node in function.node)]
    if any(map(onnx.external_data_helper.uses_external_data, [*graph.graph.initializer, *_tensors(nodes)])):
        raise ValueError("weights in another file")


def _tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    """Yield the tensors in the attributes of nodes and of their inner graphs (branches, loops)."""
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from (attribute.t, *attribute.tensors)
        for inner in (attribute.g, *attribute.graphs):
            yield from inner.initializer
            yield from _tensors(inner.node)


def _require_probabilities(model: OnnxModel) -> None:
    """Raise ValueError unless one sample and several give probabilities of the classes."""
    shape, n_classes = model.info["input"]["shape"], len(model.info["classes"])
    for count in (1, 3):
        packed = np.zeros((count, *shape), stored_dtype(model.info))
        found = model.run(packed, np.full(count, shape[0]))
        if found.shape != (count, n_classes) or not np.allclose(found.sum(1), 1, atol=1e-2):
            raise ValueError(f"{count} samples give {found.shape}, not probabilities of {n_classes} classes")


def stored_dtype(info: dict[str, Any]) -> str:
    """Return 'uint8' for images, 'float32' for everything else."""
    return lookup.load("features", info["feature"]["name"]).DTYPE
