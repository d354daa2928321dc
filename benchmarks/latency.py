"""The cost of one prediction on this machine's CPU, recorded in `metrics/reference/cost.json`.

    python -m benchmarks.latency [run …]

One sample passes through each run at its published size: normalising and network, without decoding; `without_tta`: a
single view of a run that averages several, as `live` does. `feature_ms`: for speech, the feature of a clip of 3 s. The
weights are random, since they do not change the time. Needs what `make repro` leaves in data/.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.checks.params import load
from stages.core import lookup
from stages.core.command import HelpFormatter, item
from stages.core.errors import UserError, exit_with_one_line
from stages.core.files import read_json
from stages.datasets.decoding import compute_function
from stages.evaluation.cost import flops
from stages.experiments.cost_record import PATH, add_to_record, circumstances
from stages.experiments.published_settings import FEATURES, SIZE_PX, published_model
from stages.export.table import seconds_per_call
from stages.params.schema import Params
from stages.training import model_folder
from stages.training.recogniser import Recogniser, disable_tta

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MIN_SECONDS = 2.0
SPEECH, RATE_HZ = ("mel", "speaker_embedding"), 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("runs", nargs="*", help="default: all of params.yaml")
    runs, params = parser.parse_args().runs, load(Path("params.yaml"))
    for run in runs:
        item(params.runs, run, "runs")
    torch.set_num_threads(params.machine.threads)
    measured = {run: measure(run, params) for run in runs or params.runs}
    add_to_record("latency", measured, **circumstances(params, "python -m benchmarks.latency"))
    print(f"{PATH}: {len(measured)} runs")


def measure(run: str, params: Params) -> dict[str, Any]:
    """Return the input shape, parameters and FLOPs of one sample; for each precision milliseconds and samples/s."""
    recogniser, shape = published_recogniser(run, params)
    x, length = torch.rand(1, *shape), torch.tensor([shape[0]])  # all time steps are true ones
    n_weights = sum(weight.numel() for weight in recogniser.architecture.parameters())
    measured = {"input": list(shape), "parameters": n_weights, "flops": flops(recogniser, x, length)}
    measured |= latencies(recogniser, x, length)
    feature = params.datasets[params.prepared(params.runs[run].dataset)].feature
    if feature["name"] in SPEECH:
        measured["feature_ms"] = feature_ms(feature)
    if disable_tta(recogniser.architecture):
        measured["without_tta"] = latencies(recogniser, x, length)
    times = ", ".join(f"{name} {measured[name]['latency_ms']} ms" for name in PRECISIONS)
    print(f"{run}: {' x '.join(map(str, shape))}, {times}")
    return measured


def latencies(recogniser: Recogniser, x: torch.Tensor, length: torch.Tensor) -> dict[str, dict[str, float]]:
    """Return {precision: milliseconds and samples per second}."""
    seconds = {name: latency_s(recogniser, x, length, dtype) for name, dtype in PRECISIONS.items()}
    return {
        name: {"latency_ms": round(1000 * each, 3), "per_second": round(1 / each, 1)} for name, each in seconds.items()
    }


def feature_ms(settings: dict[str, Any]) -> float:
    """Return the median time in which a speech feature is computed from 3 s of noise at its published settings."""
    name = settings["name"]
    options = {key: value for key, value in (settings | FEATURES.get(name, {})).items() if key != "name"}
    compute = compute_function(lookup.load("features", name), options)
    clip = np.random.default_rng(0).normal(0, 0.1, (1, 3 * RATE_HZ)).astype(np.float32)
    seconds = seconds_per_call(lambda: list(compute([lambda: (clip, float(RATE_HZ))])), at_least_s=MIN_SECONDS)
    return round(1000 * seconds, 3)


def published_recogniser(run: str, params: Params) -> tuple[Recogniser, tuple[int, ...]]:
    """Return the run's recogniser at its published size and the shape of its input."""
    folder = Path("data/models") / run
    if not folder.exists():
        raise UserError(f"{run}: no {folder}; run `dvc repro` first")
    info = read_json(folder / "model.json")
    model, shape = published_model(params.runs[run].model), tuple(info["input"]["shape"])
    if size_px := SIZE_PX.get(model["name"]):
        shape = (shape[0], size_px, size_px)
    info |= {"model": model, "input": info["input"] | {"shape": shape}}
    return model_folder.build(info).eval(), shape


def latency_s(recogniser: Recogniser, x: torch.Tensor, length: torch.Tensor, dtype: torch.dtype) -> float:
    """Return the median time of one prediction in seconds."""
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        return seconds_per_call(recogniser, x, length, at_least_s=MIN_SECONDS)


if __name__ == "__main__":
    exit_with_one_line(main)
