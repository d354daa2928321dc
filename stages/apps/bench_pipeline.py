"""Part of `make bench`: start-up of the stages, a `dvc repro` with nothing to do, and `make repro` from nothing."""

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
    start_up()
    nothing_to_do()
    from_nothing()


def seconds(command: Sequence[str | Path], folder: Path | None = None) -> float:
    """Wall-clock time of a command that must succeed, in seconds."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr[-2000:]}")
    return time.perf_counter() - start


def start_up() -> None:
    """Importing each stage script, as a ratio to `import torch`; medians."""
    modules = ["torch", *(f"stages.{stage}" for stage in STAGES)]
    times = {
        module: [seconds([sys.executable, "-c", f"import {module}"]) for _ in range(REPEATS)] for module in modules
    }
    torch_s, *others = (statistics.median(found) for found in times.values())
    ratios = ", ".join(f"{stage} x{other / torch_s:.2f}" for stage, other in zip(STAGES, others, strict=True))
    print(f"start-up, import torch {torch_s:.2f} s: {ratios}")


def nothing_to_do() -> None:
    """`dvc repro` where everything is up to date (the second call: the first may have had to run something)."""
    dvc = [sys.executable, "-m", "dvc", "repro"]
    seconds(dvc)
    print(f"dvc repro with nothing to do: {statistics.median(seconds(dvc) for _ in range(3)):.1f} s")


def from_nothing() -> None:
    """`make repro` in a fresh clone of what is committed, with this environment: one by one, and side by side."""
    environment = Path(sys.prefix)
    for jobs in JOBS:
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "clone"
            seconds(["git", "clone", "-q", Path.cwd(), clone])
            taken = seconds(["make", "repro", f"JOBS={jobs}", f"VENV={environment}"], clone)
        print(f"make repro JOBS={jobs}: {taken / 60:.1f} minutes")
