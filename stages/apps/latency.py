"""What an answer costs on this machine's CPU, `metrics/reference/cost.json`: `python -m stages.apps.latency [run …]`.

One sample through each run at its published size, its weights random, since no weight changes the time: normalising and
network, without decoding the file. Needs what `make repro` leaves in data/.
"""

import argparse
import datetime
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from stages.apps.finished import git
from stages.apps.provenance import hardware
from stages.apps.published import SIZE_PX, published_model
from stages.apps.reference import FOLDER
from stages.checks.params import load
from stages.core.errors import UserError, exit_with_one_line, unknown_name
from stages.core.files import read_json, write_json
from stages.evaluation.cost import flops
from stages.params.schema import Params
from stages.training import model_folder
from stages.training.recogniser import Recogniser

PATH = FOLDER / "cost.json"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SECONDS, WARM_UP = 2.0, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help="default: all of params.yaml")
    chosen, params = parser.parse_args().runs, load(Path("params.yaml"))
    for run in chosen:
        if run not in params.runs:
            raise UserError(unknown_name("run", run, params.runs))
    torch.set_num_threads(params.machine.threads)
    measured = {run: cost(run, params) for run in chosen or params.runs}
    before = read_json(PATH) if PATH.exists() else {}
    write_json(PATH, before | {"latency": before.get("latency", {}) | measured} | circumstances(params))
    print(f"{PATH}: {len(measured)} runs")


def circumstances(params: Params) -> dict[str, Any]:
    """On what, when, by which command."""
    return {
        "command": "python -m stages.apps.latency",
        "commit": git("rev-parse", "HEAD"),
        "hardware": hardware(params.machine.model_dump() | {"accelerator": "cpu"}),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def cost(run: str, params: Params) -> dict[str, Any]:
    """Of one sample: its shape, parameters, FLOPs, and by precision milliseconds and samples a second."""
    recogniser, shape, steps = built(run, params)
    x, length = torch.rand(1, *shape), torch.tensor([steps])
    weights = sum(weight.numel() for weight in recogniser.architecture.parameters())
    found = {"input": list(shape), "parameters": weights, "flops": flops(recogniser, x, length)}
    for name, dtype in PRECISIONS.items():
        seconds = latency_s(recogniser, x, length, dtype)
        found[name] = {"latency_ms": round(1000 * seconds, 3), "per_second": round(1 / seconds, 1)}
    print(f"{run}: {' x '.join(map(str, shape))}, " + ", ".join(f"{p} {found[p]['latency_ms']} ms" for p in PRECISIONS))
    return found


def built(run: str, params: Params) -> tuple[Recogniser, tuple[int, ...], int]:
    """The run's recogniser with the shape of its input and how many steps are true: all of them."""
    folder = Path("data/models") / run
    if not folder.exists():
        raise UserError(f"{run}: no {folder}; run `dvc repro` first")
    info = read_json(folder / "model.json")
    model, shape = published_model(params.runs[run].model), tuple(info["input"]["shape"])
    if size_px := SIZE_PX.get(model["name"]):
        shape = (shape[0], size_px, size_px)
    info |= {"model": model, "input": info["input"] | {"shape": shape}}
    return model_folder.build(info).eval(), shape, shape[0]


@torch.inference_mode()
def latency_s(recogniser: Recogniser, x: torch.Tensor, length: torch.Tensor, dtype: torch.dtype) -> float:
    """Median seconds of one answer."""
    times: list[float] = []
    start = time.perf_counter()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        while len(times) < 2 * WARM_UP or time.perf_counter() - start < SECONDS:
            before = time.perf_counter()
            recogniser(x, length)
            times.append(time.perf_counter() - before)
    return statistics.median(times[WARM_UP:])


if __name__ == "__main__":
    exit_with_one_line(main)
