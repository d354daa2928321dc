"""Part of `make bench`: whether memory grows with the corpus, from peaks for few and for many images of 224x224 px.

Each peak is that of a separate process and the processes that it starts.
"""

import io
import itertools
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from stages.core.errors import warn
from stages.corpora import image_folder
from stages.corpora.archive.pack import pack
from stages.datasets.batches import StreamBatches
from stages.datasets.decoding import Workers, append_all, compute_function, decode
from stages.datasets.statistics import mean_and_sd
from stages.datasets.store import Description, Store, create
from stages.features import faces
from stages.params.schema import Params
from stages.training.devices import connect
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser

FEW, MANY, SIDE_PX = 2_000, 10_000, 224
DISTINCT = 64  # encoded images; the others are copies under other names
INTERVAL_S = 0.1


def print_growth(params: Params) -> None:
    """Print by how much the peaks of preparing, and of one epoch of a tiny network, grow from few to many images."""
    if not Path("/proc/self/smaps_rollup").exists():
        warn("memory is measured on Linux only")
        return
    few, many = (peaks(count, params) for count in (FEW, MANY))
    sizes = f"{FEW:,} to {MANY:,} images of {SIDE_PX}x{SIDE_PX}x3"
    for stage in few:
        growth = f"{few[stage]:,.0f} to {many[stage]:,.0f} MB, grows by {many[stage] - few[stage]:,.0f} MB"
        print(f"{stage}, {sizes}: {growth}")


def peaks(count: int, params: Params) -> dict[str, float]:
    """Return {stage: peak in MB} for `count` images."""
    with tempfile.TemporaryDirectory() as folder:
        archive = write_images(Path(folder), count)
        prepared = peak_mb(prepare, archive, params.machine.workers)
        return {"prepare": prepared, "train": peak_mb(train, archive.with_suffix(".h5"), params)}


def peak_mb(work: Callable[..., None], *arguments: Any) -> float:
    """Run `work` in a new process and return the largest memory of this process and those that it starts."""
    process = get_context("spawn").Process(target=work, args=arguments)
    process.start()
    peak = 0.0
    while process.is_alive():
        peak = max(peak, resident_mb(process.pid))
        time.sleep(INTERVAL_S)
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} ended with status {process.exitcode}")
    return peak


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process and its descendants; each counts its part of shared memory. Linux only.

    Processes that start or end meanwhile may be left out, but are never counted twice: children are listed before the
    memory is read.
    """
    try:
        children = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # ended meanwhile
        return 0.0
    own_kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return own_kib * 1024 / 1e6 + sum(resident_mb(int(child)) for child in children.split())


def jpegs(count: int, side_px: int, *channels: int) -> Iterator[bytes]:
    """Yield random images that differ in every pixel."""
    random = np.random.default_rng(0)
    for _ in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (side_px // 4, side_px // 4, *channels), dtype=np.uint8))
        image = io.BytesIO()
        coarse.resize((side_px, side_px), Image.Resampling.BICUBIC).save(image, "JPEG", quality=90)
        yield image.getvalue()


def write_images(folder: Path, count: int) -> Path:
    """Write a corpus of class folders, as `download` packs it, and return its path."""
    contents, labels = list(jpegs(DISTINCT, SIDE_PX, 3)), image_folder.CODES
    names = (f"train/{labels[number % len(labels)]}/{number:05d}.jpg" for number in range(count))
    return write_corpus(folder, zip(names, itertools.cycle(contents)))


def write_corpus(folder: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write a packed corpus of (name, content), and return its path."""
    with zipfile.ZipFile(folder / "source.zip", "w") as members:
        for name, content in files:
            members.writestr(name, content)
    pack(folder / "source.zip", folder / "corpus.zip")
    return folder / "corpus.zip"


def prepare(archive: Path, count: int) -> None:
    """Prepare the dataset of `write_images`, as `train` needs it."""
    settings = {"size_px": SIDE_PX, "color": "rgb"}
    append_samples(archive, image_folder, list(image_folder.CODES), faces, settings, count, Description(
        classes=list(image_folder.CODES), corpus="portraits", name="synthetic", source="synthetic", synthetic=True,
        layout=list(faces.LAYOUT), scale_factor=faces.SCALE_FACTOR, add_offset=faces.ADD_OFFSET, rate_hz=None,
        group_kind=None, feature={"name": "faces", **settings}, normalize_groups="none", rejected=[], cut=0, longest=0,
    ))  # fmt: skip


def append_samples(
    archive: Path, reader: ModuleType, classes: list[str], feature: ModuleType, settings: dict[str, Any], count: int,
    description: Description | None = None,
) -> float:  # fmt: skip
    """Write the dataset beside the archive with the stage's own code and `count` worker processes.

    Return the samples per second, start of the processes included.
    """
    start = time.perf_counter()
    workers = Workers(count, feature.WORKERS, feature.samples_per_chunk(settings))
    with create(archive.with_suffix(".h5")) as writer:
        chunks = decode(reader.read(archive), compute_function(feature, settings), workers)
        written, _ = append_all(writer, chunks, classes)
        if description:
            writer.describe(description)
    return written / (time.perf_counter() - start)


class MeanColor(nn.Module):
    """Logits from the mean color. It computes so little that the time and memory are those of the input pipeline."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, len(image_folder.CODES))

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(x.mean((2, 3)))  # (B, 3, 224, 224) → (B, 3) → (B, n_classes)


def train(dataset: Path, params: Params) -> None:
    """Compute the normaliser and train one epoch, as the stage does with `loading: stream`."""
    with Store(dataset) as store:
        indices = np.arange(len(store))
        mean, sd = map(torch.from_numpy, mean_and_sd(store, indices))
    run = next(iter(params.runs.values())).model_copy(update={"batch_size": 32, "precision": "32-true"})
    recogniser = Recogniser(MeanColor(), mean, sd, faces.SCALE_FACTOR, faces.ADD_OFFSET)
    batches = StreamBatches(dataset, indices, run.batch_size, shuffle_seed=params.seed)
    fabric = connect(params.machine.model_copy(update={"accelerator": "cpu"}), run.precision)
    Learner(fabric, recogniser, None, run, None, len(batches), params.seed).train_epoch(batches)
