"""Size, latency, throughput and accuracy of each precision of an exported run, beside PyTorch."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pandas as pd
import torch

from stages.core.errors import printable, warn
from stages.core.files import md5
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.export.graph import examples
from stages.serving.onnx_model import OnnxModel
from stages.training.model_folder import TrainedModel

# Stored values (B, …) and true time steps (B,) → probabilities (B, n_classes).
Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
SECONDS, WARM_UP = 0.5, 3
BATCH_SIZE, BATCH_VALUES = 32, 8_000_000  # samples per batch, fewer large ones


class EvaluationData(NamedTuple):
    """The prepared dataset and the split of a run."""

    dataset: Path
    split: Path


@dataclass(frozen=True)
class Row:
    """One precision. `per_second`: samples, in batches. `accuracy` in 0..1 and `apart`, the largest difference of a
    probability from PyTorch's, are None without data."""

    name: str
    size_mb: float
    latency_ms: float
    per_second: float
    accuracy: float | None
    apart: float | None


def evaluation_data(model: TrainedModel) -> EvaluationData | None:
    """Return the data that the run was trained on if they are where model.json says, unchanged; else warn."""
    inputs = model.info.get("inputs", {})
    paths = [Path(path) for path in inputs]
    if len(paths) != 2 or not all(path.is_file() and md5(path) == inputs[str(path)] for path in paths):
        where = printable(", ".join(inputs))
        warn(f"{model.info['run']}: its prepared data and split are not at {where}, or changed; no accuracy")
        return None
    return EvaluationData(*paths)


def predict(model: TrainedModel, packed: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return PyTorch's probabilities."""
    return model.probabilities(torch.from_numpy(packed), torch.from_numpy(length)).numpy()


def rows(model: TrainedModel, graphs: dict[str, onnx.ModelProto], data: EvaluationData | None) -> list[Row]:
    """Return a row for PyTorch in float32, then one for each graph."""
    predictors: dict[str, Predict] = {"PyTorch": lambda packed, length: predict(model, packed, length)}
    predictors |= {name: OnnxModel(graph).run for name, graph in graphs.items()}
    weights = sum(value.nbytes for value in model.recogniser.architecture.state_dict().values())
    sizes = {"PyTorch": weights} | {name: graph.ByteSize() for name, graph in graphs.items()}
    count = batch_size(model)
    one, many = examples(model, 1).values(), examples(model, count).values()
    quality = evaluate(predictors, data, count) if data else dict.fromkeys(predictors, (None, None))
    return [
        Row(
            name, sizes[name] / 1e6, 1000 * seconds_per_call(run, *one), count / seconds_per_call(run, *many),
            *quality[name],
        )
        for name, run in predictors.items()
    ]  # fmt: skip


def batch_size(model: TrainedModel) -> int:
    """Return the number of samples per batch."""
    return max(1, min(BATCH_SIZE, BATCH_VALUES // int(np.prod(model.info["input"]["shape"]))))


def seconds_per_call(run: Callable[..., Any], *inputs: Any, at_least_s: float | None = None) -> float:
    """Return the median time of a call, from calls over `at_least_s` seconds."""
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 2 * WARM_UP or time.perf_counter() - start < (SECONDS if at_least_s is None else at_least_s):
        before = time.perf_counter()
        run(*inputs)
        times.append(time.perf_counter() - before)
    return statistics.median(times[WARM_UP:])


def evaluate(predictors: dict[str, Predict], data: EvaluationData, count: int) -> dict[str, tuple[float, float]]:
    """Return {name: (accuracy on the test part, largest difference of a probability from the first predictor's)}."""
    correct, apart, total = dict.fromkeys(predictors, 0), dict.fromkeys(predictors, 0.0), 0
    for packed, length, label in test_batches(data, count):
        probabilities = {name: run(packed, length) for name, run in predictors.items()}
        first = next(iter(probabilities.values()))
        for name, values in probabilities.items():
            correct[name] += int((values.argmax(1) == label).sum())
            apart[name] = max(apart[name], float(np.abs(values - first).max()))
        total += len(label)
    return {name: (correct[name] / total, apart[name]) for name in predictors}


def test_batches(data: EvaluationData, count: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield stored values, true time steps and labels of the test part, `count` samples at a time."""
    with Store(data.dataset) as store:
        test = load_parts(data.split, store.sample_id)["test"]
        for indices in np.split(test, range(count, len(test), count)):
            yield store.read_packed(indices), store.length[indices], store.label[indices]


def table(rows: list[Row], info: dict[str, Any]) -> str:
    """Return the table for the terminal, and below it what was measured on what."""
    columns = ["", "MB", "ms", "samples/s", "accuracy", "largest |Δp|"]
    text = pd.DataFrame(map(_cells, rows), columns=columns).to_string(index=False)
    test_part = printable(f"accuracy on the test part of {info['corpus']} ({info['name']}), {info['protocol']}")
    return f"{text}\nms: one sample; samples/s: in batches; {torch.get_num_threads()} threads; {test_part}"


def _cells(row: Row) -> tuple[str, ...]:
    accuracy = "–" if row.accuracy is None else f"{row.accuracy:.4f}"
    apart = "–" if row.apart is None else f"{row.apart:.1e}"
    return row.name, f"{row.size_mb:.2f}", f"{row.latency_ms:.2f}", f"{row.per_second:,.0f}", accuracy, apart
