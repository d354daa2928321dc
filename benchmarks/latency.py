"""The cost of one prediction on this machine's CPU, recorded in `metrics/reference/cost.json`.

    python -m benchmarks.latency [run …]

One sample passes through each run at its published size: normalising and network, without decoding. The weights are
random, since they do not change the time. Needs what `make repro` leaves in data/.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from stages.checks.params import load
from stages.core.command import HelpFormatter, item
from stages.core.errors import UserError, exit_with_one_line
from stages.core.files import read_json
from stages.evaluation.cost import flops
from stages.experiments.cost_record import PATH, add_to_record, circumstances
from stages.experiments.published_settings import SIZE_PX, published_model
from stages.export.table import seconds_per_call
from stages.params.schema import Params
from stages.training import model_folder
from stages.training.recogniser import Recogniser

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MIN_SECONDS = 2.0


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
    for name, dtype in PRECISIONS.items():
        seconds = latency_s(recogniser, x, length, dtype)
        measured[name] = {"latency_ms": round(1000 * seconds, 3), "per_second": round(1 / seconds, 1)}
    times = ", ".join(f"{name} {measured[name]['latency_ms']} ms" for name in PRECISIONS)
    print(f"{run}: {' x '.join(map(str, shape))}, {times}")
    return measured


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
