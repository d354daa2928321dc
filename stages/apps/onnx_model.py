"""What `export` wrote, at work: asked as a `TrainedModel` is, without its folder. A file from elsewhere is hostile."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from stages.apps import run_checks
from stages.apps.onnx_graph import LENGTH, PROBABILITIES, X, stored_dtype
from stages.core.errors import UserError

MAX_BYTES = 1 << 30  # EfficientNet-B4 in float32 has 80 MB
TOLD = ("classes", "feature", "input", "run")
INPUT = ("shape", "layout", "scale_factor", "add_offset", "rate_hz")  # of model.json; the rest is for other programs
ALLOWED = "a file that `python -m stages.apps.export` wrote"


class OnnxModel:
    """`info` as in model.json; `precision`: float32 | fp16 | int8."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        told = {entry.key: entry.value for entry in graph.metadata_props}
        texts = {key: run_checks.parsed(told[key]) for key in TOLD}
        self.info: dict[str, Any] = texts.pop("run") | texts
        self.info["input"] = {key: value for key, value in self.info["input"].items() if key in INPUT}
        self.precision = told["precision"]
        self._reads_length = LENGTH in [given.name for given in self._session.get_inputs()]

    def probabilities(self, packed: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """One batch of stored values (B, …), and true time steps (B,) → (B, n_classes) float32 probabilities."""
        length = torch.full((len(packed),), packed.shape[1]) if length is None else length
        return torch.from_numpy(self.run(packed.numpy(), length.numpy()))

    def run(self, packed: np.ndarray, length: np.ndarray) -> np.ndarray:
        """The same of arrays."""
        return self._session.run([PROBABILITIES], self.inputs(packed, length))[0]

    def inputs(self, packed: np.ndarray, length: np.ndarray) -> dict[str, np.ndarray]:
        """As the graph takes them."""
        return {X: packed} | ({LENGTH: length.astype(np.int64)} if self._reads_length else {})


def read(path: Path) -> OnnxModel:
    """Raises `UserError` for a file that `export` did not write, or that does not do what its metadata tell."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; allowed: {ALLOWED}")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path}: {path.stat().st_size:,} bytes; allowed: {ALLOWED}, at most {MAX_BYTES:,}")
    try:
        graph = onnx.load_model_from_string(path.read_bytes())
        _require_whole(graph)
        model = OnnxModel(graph)
    except Exception as error:  # protobuf's, ONNX's and onnxruntime's kinds have nothing narrower in common
        raise _none(path, error) from None
    run_checks.require_sound(model.info, f"{path}: metadata")
    try:
        _require_answers(model)
    except Exception as error:  # as above
        raise _none(path, error) from None
    return model


def _none(path: Path, error: Exception) -> UserError:
    said = " ".join(str(error).split())[:160]
    return UserError(f"{path}: not a recogniser in ONNX ({said}); allowed: {ALLOWED}")


def _require_whole(graph: onnx.ModelProto) -> None:
    """Its weights inside: a graph may name other files to read."""
    onnx.checker.check_model(graph)
    for tensor in onnx.external_data_helper._get_all_tensors(graph):
        if onnx.external_data_helper.uses_external_data(tensor):
            raise ValueError("weights in another file")


def _require_answers(model: OnnxModel) -> None:
    """Of one sample, of several: a graph may take and give anything."""
    shape, n_classes = model.info["input"]["shape"], len(model.info["classes"])
    for count in (1, 3):
        packed = np.zeros((count, *shape), stored_dtype(model.info))
        found = model.run(packed, np.full(count, shape[0]))
        if found.shape != (count, n_classes) or not np.allclose(found.sum(1), 1, atol=1e-2):
            raise ValueError(f"{count} samples give {found.shape}, no probabilities of {n_classes} classes")
