"""What each precision of an exported run weighs, takes and is worth, beside PyTorch."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import torch

from stages.apps.onnx_graph import examples
from stages.apps.onnx_model import OnnxModel
from stages.core.errors import printable
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.training.model_folder import TrainedModel

# (B, …) stored values and (B,) true steps → (B, n_classes) probabilities.
Asked = Callable[[np.ndarray, np.ndarray], np.ndarray]
SECONDS, WARM_UP = 0.5, 3
BATCH_SIZE, BATCH_VALUES = 32, 8_000_000  # samples at once, fewer of large ones


@dataclass(frozen=True)
class Judged:
    """The prepared dataset and the split of a run."""

    dataset: Path
    split: Path


@dataclass(frozen=True)
class Row:
    """One recogniser. `per_second`: samples, in batches. `accuracy` in 0..1 and `apart`, the largest difference of a
    probability from PyTorch's, are None without data."""

    name: str
    size_mb: float
    latency_ms: float
    per_second: float
    accuracy: float | None
    apart: float | None


def ask(model: TrainedModel, packed: np.ndarray, length: np.ndarray) -> np.ndarray:
    """PyTorch's answer."""
    return model.probabilities(torch.from_numpy(packed), torch.from_numpy(length)).numpy()


def rows(model: TrainedModel, graphs: dict[str, onnx.ModelProto], data: Judged | None) -> list[Row]:
    """PyTorch in float32, then each graph."""
    asked: dict[str, Asked] = {"PyTorch": lambda packed, length: ask(model, packed, length)}
    asked |= {name: OnnxModel(graph).run for name, graph in graphs.items()}
    weights = sum(value.nbytes for value in model.recogniser.architecture.state_dict().values())
    sizes = {"PyTorch": weights} | {name: graph.ByteSize() for name, graph in graphs.items()}
    count = batch_size(model)
    one, many = examples(model, 1).values(), examples(model, count).values()
    judged = judge(asked, data, count) if data else dict.fromkeys(asked, (None, None))
    return [
        Row(name, sizes[name] / 1e6, 1000 * seconds(run, *one), count / seconds(run, *many), *judged[name])
        for name, run in asked.items()
    ]


def batch_size(model: TrainedModel) -> int:
    """Samples at once."""
    return max(1, min(BATCH_SIZE, BATCH_VALUES // int(np.prod(model.info["input"]["shape"]))))


def seconds(run: Asked, packed: np.ndarray, length: np.ndarray) -> float:
    """Median time of one answer."""
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 2 * WARM_UP or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        run(packed, length)
        times.append(time.perf_counter() - before)
    return statistics.median(times[WARM_UP:])


def judge(asked: dict[str, Asked], data: Judged, count: int) -> dict[str, tuple[float, float]]:
    """{name: (accuracy on the test part, largest difference of a probability from the first one's)}."""
    right, apart, total = dict.fromkeys(asked, 0), dict.fromkeys(asked, 0.0), 0
    for packed, length, label in test_batches(data, count):
        answers = {name: run(packed, length) for name, run in asked.items()}
        first = next(iter(answers.values()))
        for name, answer in answers.items():
            right[name] += int((answer.argmax(1) == label).sum())
            apart[name] = max(apart[name], float(np.abs(answer - first).max()))
        total += len(label)
    return {name: (right[name] / total, apart[name]) for name in asked}


def test_batches(data: Judged, count: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Stored values, true steps and labels of the test part, `count` samples at a time."""
    with Store(data.dataset) as store:
        test = load_parts(data.split, store.sample_id)["test"]
        for at in np.split(test, range(count, len(test), count)):
            yield store.read_packed(at), store.length[at], store.label[at]


def table(found: list[Row], info: dict[str, Any]) -> str:
    """Lines for the terminal, headed by what the accuracy is of."""
    columns = ["", "MB", "ms", "samples/s", "accuracy", "largest |Δp|"]
    ruled = pd.DataFrame(map(_cells, found), columns=columns).to_string(index=False).splitlines()
    of = printable(f"accuracy on the test part of {info['corpus']} ({info['name']}), {info['protocol']}")
    return "\n".join([*ruled, f"ms: one sample; samples/s: in batches; {torch.get_num_threads()} threads; {of}"])


def _cells(row: Row) -> tuple[str, ...]:
    measured = (row.name, f"{row.size_mb:.2f}", f"{row.latency_ms:.2f}", f"{row.per_second:,.0f}")
    return (
        *measured,
        "–" if row.accuracy is None else f"{row.accuracy:.4f}",
        "–" if row.apart is None else f"{row.apart:.1e}",
    )
