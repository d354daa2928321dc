"""What memory a corpus larger than memory takes: peaks of few and of many images of 224x224 px, made on the fly.

Each figure is of a process of its own and those that it starts.
"""

import io
import tempfile
import time
import zipfile
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from stages.core.errors import warn
from stages.corpora import image_folder
from stages.corpora.archive.pack import pack
from stages.datasets.batches import StreamBatches
from stages.datasets.decoding import Workers, computing, decode
from stages.datasets.filling import append_all
from stages.datasets.statistics import mean_and_sd
from stages.datasets.store import Description, Store, create
from stages.features import faces
from stages.params.schema import Params
from stages.training.devices import connect
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser

FEW, MANY, SIDE_PX = 2_000, 10_000, 224
DISTINCT = 64  # images that are encoded; the others are copies under other names
INTERVAL_S = 0.1


def growth(params: Params) -> None:
    """Peak memory of preparing, and of one epoch of a network that does next to nothing, from few to many images."""
    if not Path("/proc/self/smaps_rollup").exists():
        warn("memory is measured on Linux alone")
        return
    found = [peaks(count, params) for count in (FEW, MANY)]
    for what in found[0]:
        few, many = (peak[what] for peak in found)
        sizes = f"{FEW:,} to {MANY:,} images of {SIDE_PX}x{SIDE_PX}x3"
        print(f"{what}, {sizes}: {few:,.0f} to {many:,.0f} MB, grows by {many - few:,.0f} MB")


def peaks(count: int, params: Params) -> dict[str, float]:
    """{stage: peak in MB} with `count` images."""
    with tempfile.TemporaryDirectory() as folder:
        archive, dataset = Path(folder) / "images.zip", Path(folder) / "images.h5"
        write_images(archive, count)
        return {
            "prepare": peak_mb(prepare, archive, dataset, params.machine.workers),
            "train": peak_mb(train, dataset, params),
        }


def peak_mb(work: Callable[..., None], *arguments: Any) -> float:
    """What a fresh process that does `work`, and those it starts, hold together at most."""
    process = get_context("spawn").Process(target=work, args=arguments)
    process.start()
    peak = 0.0
    while process.is_alive():
        peak = max(peak, held_mb(process.pid))
        time.sleep(INTERVAL_S)
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} ended with status {process.exitcode}")
    return peak


def held_mb(pid: int) -> float:
    """Resident memory of a process and its descendants now; of what they share, each counts its part. Linux only.

    Who starts or ends meanwhile may be left out, never counted twice: children are listed before, and read after.
    """
    try:
        started = " ".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # ended meanwhile
        return 0.0
    own_kib = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return own_kib * 1024 / 1e6 + sum(held_mb(int(child)) for child in started.split())


def write_images(archive: Path, count: int) -> None:
    """A corpus of class folders, as `download` packs it."""
    random, contents = np.random.default_rng(0), []
    for _ in range(DISTINCT):
        coarse = Image.fromarray(random.integers(0, 256, (28, 28, 3), dtype=np.uint8))
        image = io.BytesIO()
        coarse.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(image, "JPEG", quality=90)
        contents.append(image.getvalue())
    source = archive.with_suffix(".source.zip")
    with zipfile.ZipFile(source, "w") as members:
        for number in range(count):
            label = image_folder.CODES[number % len(image_folder.CODES)]
            members.writestr(f"train/{label}/{number:05d}.jpg", contents[number % DISTINCT])
    pack(source, archive)


def prepare(archive: Path, dataset: Path, count: int) -> None:
    """The stage's own path."""
    settings = {"size_px": SIDE_PX, "color": "rgb"}
    compute = computing(faces, settings)
    workers = Workers(count, faces.WORKERS, faces.samples_per_chunk(settings))
    with create(dataset) as writer:
        append_all(writer, decode(image_folder.read(archive), compute, workers), list(image_folder.CODES))
        writer.describe(described())


def described() -> Description:
    """What training asks of a dataset: classes, axes, packing."""
    return Description(
        classes=list(image_folder.CODES),
        corpus="portraits",
        name="synthetic",
        source="synthetic",
        synthetic=True,
        layout=list(faces.LAYOUT),
        scale_factor=faces.SCALE_FACTOR,
        add_offset=faces.ADD_OFFSET,
        rate_hz=None,
        group_kind=None,
        feature={"name": "faces", "size_px": SIDE_PX, "color": "rgb"},
        normalize_groups="none",
        rejected=[],
    )


class Means(nn.Module):
    """Logits from the mean colour: what is left is the work of the input pipeline."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, len(image_folder.CODES))

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.head(x.mean((2, 3)))  # (B, 3, 224, 224) → (B, 3) → (B, n_classes)


def train(dataset: Path, params: Params) -> None:
    """Normaliser and one epoch, as in the stage with `loading: stream`."""
    with Store(dataset) as store:
        indices = np.arange(len(store))
        mean, sd = mean_and_sd(store, indices)
    run = next(iter(params.runs.values())).model_copy(update={"batch_size": 32, "precision": "32-true"})
    recogniser = Recogniser(Means(), torch.from_numpy(mean), torch.from_numpy(sd), faces.SCALE_FACTOR, faces.ADD_OFFSET)
    batches = StreamBatches(dataset, indices, run.batch_size, shuffle_seed=params.seed)
    fabric = connect(params.machine.model_copy(update={"accelerator": "cpu"}), run.precision)
    Learner(fabric, recogniser, None, run, None, len(batches), params.seed).train_epoch(batches)
