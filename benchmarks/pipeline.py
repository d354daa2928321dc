"""Part of `make bench`: start-up of the stages, a `dvc repro` with nothing to do, and a whole `make repro`."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

STAGES = ("download", "prepare", "split", "train", "evaluate", "tune", "report")
REPEATS = 5
JOBS = (1, 2)


def main() -> None:
    time_start_up()
    time_up_to_date_repro()
    time_whole_repro()


def seconds(command: Sequence[str | Path], folder: Path | None = None) -> float:
    """Return the wall-clock time of a command in seconds. Raises `RuntimeError` where it fails."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def time_start_up() -> None:
    """Print the median time of importing each stage script, as a ratio to `import torch`."""
    medians = {}
    for name in ("torch", *(f"stages.{stage}" for stage in STAGES)):
        medians[name] = statistics.median(seconds([sys.executable, "-c", f"import {name}"]) for _ in range(REPEATS))
    torch_s = medians.pop("torch")
    ratios = ", ".join(f"{name.removeprefix('stages.')} x{time_s / torch_s:.2f}" for name, time_s in medians.items())
    print(f"start-up, import torch {torch_s:.2f} s: {ratios}")


def time_up_to_date_repro() -> None:
    """Print the time of `dvc repro` with nothing to do; the first call may have had to run something."""
    dvc = [sys.executable, "-m", "dvc", "repro"]
    seconds(dvc)
    print(f"dvc repro with nothing to do: {statistics.median(seconds(dvc) for _ in range(3)):.1f} s")


def time_whole_repro() -> None:
    """Print the time of `make repro` in a new clone of HEAD, in this environment: one stage at a time, then two."""
    for jobs in JOBS:
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "clone"
            seconds(["git", "clone", "-q", Path.cwd(), clone])
            repro_s = seconds(["make", "repro", f"JOBS={jobs}", f"VENV={sys.prefix}"], clone)
        print(f"make repro JOBS={jobs}: {repro_s / 60:.1f} minutes")
