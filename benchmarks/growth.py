"""`make growth`: time and largest memory of each stage for N, 4 N and 16 N portraits.

The table is kept as docs/growth.csv, and drawn as docs/growth.png. Stages are run as by DVC, one after the other, on
images of noise in class folders; the training reads them from the file (`loading: stream`) for one epoch.
"""

import argparse
import csv
import itertools
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import yaml

from benchmarks.memory import DISTINCT, INTERVAL_S, jpegs, resident_mb
from stages.core.errors import exit_with_one_line, refuse
from stages.corpora import image_folder
from stages.evaluation.pictures import canvas
from stages.params.load import parse

ROOT = Path(__file__).parents[1]
TABLE, PICTURE = ROOT / "docs/growth.csv", ROOT / "docs/growth.png"
FACTORS, SIZE_PX, FEWEST = (1, 4, 16), 96, 100
STAGES = ("download", "prepare", "split", "train", "evaluate", "report")
PARTS = ("train",) * 8 + ("validation", "test")  # of ten images that follow each other
COLUMNS = ("stage", "samples", "seconds", "peak_mb")
FLAT_MB = 100  # a stage whose memory grows by less does not hold the corpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2_000, help="N (default: 2000)")
    first = parser.parse_args().samples
    if first < FEWEST:
        refuse("too few", where="--samples", allowed=f"{FEWEST} or more, for each class in each part", received=first)
    rows = [row for factor in FACTORS for row in measured(first * factor)]
    with TABLE.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])
    table = pd.read_csv(TABLE)
    draw(table)
    print(closing_line(table))


def measured(count: int) -> Iterator[tuple[str, int, float, float]]:
    """Yield a row of the table for each stage."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder, write_source(folder, count))
        for stage in stages(folder):
            start, peak = time.perf_counter(), 0.0
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            command = stage.cmd.replace("python ", f"{sys.executable} ", 1)
            with (folder / "errors.txt").open("w") as errors:
                pipes = {"stdout": subprocess.DEVNULL, "stderr": errors}
                process = subprocess.Popen(command.split(), cwd=folder, env=environment, **pipes)
                while process.poll() is None:
                    peak = max(peak, resident_mb(process.pid))
                    time.sleep(INTERVAL_S)
            if process.returncode:
                raise RuntimeError(f"{command}: {(folder / 'errors.txt').read_text()[-2000:]}")
            row = stage.name.partition("@")[0], count, round(time.perf_counter() - start, 1), round(peak)
            print("{:<10}{:>9,} samples{:>8} s{:>7,} MB".format(*row), flush=True)
            yield row


def write_source(folder: Path, count: int) -> Path:
    """Write a corpus of class folders as a zip, and return its path. All bytes differ, so that none is a duplicate."""
    contents, labels = itertools.cycle(list(jpegs(DISTINCT, SIZE_PX, 3))), list(image_folder.CODES)
    with zipfile.ZipFile(folder / "source.zip", "w") as members:
        for number in range(count):
            part, label = PARTS[number % len(PARTS)], labels[number // len(PARTS) % len(labels)]
            comment = f"{number:08d}".encode()  # after the end of the JPEG, where decoders do not look
            members.writestr(f"{part}/{label}/{number:08d}.jpg", next(contents) + comment)
    return folder / "source.zip"


def write_project(folder: Path, source: Path) -> None:
    """Write dvc.yaml, and params.yaml with one corpus and one small run on it."""
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section in ("corpora", "datasets", "splits", "recipes"):
        params[section] = {"portraits": params[section]["portraits"]}
    params["corpora"]["portraits"] |= {"source": str(source), "name": "noise"}
    params["datasets"]["portraits"]["feature"]["size_px"] = SIZE_PX
    run = {"corpus": "portraits", "dataset": "portraits", "recipe": "portraits", "max_epochs": 1, "loading": "stream"}
    params["runs"] = {"small": run | {"model": {"name": "custom_cnn", "widths": [4, 8, 8], "hidden": 16}}}
    params |= {"studies": {}, "ensembles": {}, "distillations": {}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    (folder / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    for name in ("metrics/tune", "plots/tune", "metrics/ensembles", "plots/ensembles"):
        (folder / name).mkdir(parents=True)


def stages(folder: Path) -> list:
    """Return the stages of the project as DVC resolves them, in the order of `STAGES`."""
    from dvc.repo import Repo

    Repo.init(str(folder), no_scm=True)
    found = {stage.name.partition("@")[0]: stage for stage in Repo(str(folder)).index.stages}
    return [found[name] for name in STAGES]


def draw(table: pd.DataFrame) -> None:
    """Draw seconds and megabytes over the number of samples, a line for each stage."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for one, column, label in zip(axes, COLUMNS[2:], ("seconds", "largest memory, MB"), strict=True):
        for stage, rows in table.groupby("stage", sort=False):
            one.plot(rows["samples"], rows[column], marker="o", markersize=4, label=stage)
        canvas.quiet_axes(one)
        one.set(xscale="log", xlabel="portraits of 96 px", ylabel=label)
        one.set_xticks(sorted(table["samples"].unique()), [f"{count:,}" for count in sorted(table["samples"].unique())])
        one.minorticks_off()
    axes[0].set_yscale("log")
    axes[1].set_ylim(bottom=0)
    axes[1].legend(fontsize=8, frameon=False, ncols=2)
    figure.savefig(PICTURE, dpi=110)


def closing_line(table: pd.DataFrame) -> str:
    """Return the figures in one line: of each stage the seconds per 1,000 further samples, and the memory it adds.

    Memory is compared from the second size on: the first fits in the buffers.
    """
    parts = []
    for stage, rows in table.groupby("stage", sort=False):
        first, second, last = rows.iloc[0], rows.iloc[1], rows.iloc[-1]
        rate = 1000 * (last["seconds"] - first["seconds"]) / (last["samples"] - first["samples"])
        grown = last["peak_mb"] - second["peak_mb"]
        parts.append(f"{stage} {rate:.2f} s {grown:+.0f} MB{'' if grown <= FLAT_MB else ' (grows)'}")
    few, many = table["samples"].min(), table["samples"].max()
    return f"growth, per 1,000 samples from {few:,} to {many:,}: {', '.join(parts)}"


if __name__ == "__main__":
    exit_with_one_line(main)
