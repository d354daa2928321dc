"""`make bench`: the speed of the pipeline, as ratios to the plainest code that does the same on this machine.

Needs what `make repro` leaves in data/. Absolute times are noisy; each ratio is the median over alternating pairs.
"""

import io
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import feeding, memory, pipeline, trials
from stages.checks.params import load
from stages.core import lookup
from stages.core.errors import exit_with_one_line, warn
from stages.core.files import read_json
from stages.corpora import fer2013, ravdess
from stages.datasets.batches import MemoryBatches
from stages.datasets.store import Store
from stages.features import faces, mel
from stages.params.schema import Params, Run
from stages.training import model_folder

IMAGES = 32_298  # as many as train and PublicTest of FER-2013
CLIPS, CLIP_S = 1_440, 3.5  # RAVDESS's speech
STEPS = 30
MIN_PAIRS, MIN_SECONDS = 5, 5.0  # at least, for each measurement


def main() -> None:
    params = load(Path("params.yaml"))
    torch.set_num_threads(params.machine.threads)
    compare_images(params.machine.workers)
    compare_clips(params.machine.workers, params.datasets["speech"].feature)
    memory.print_growth(params)
    feeding.compare_with_network(params)
    for run in params.runs:
        compare_training(run, params)
    trials.print_overheads(params)
    pipeline.main()


def ratio(ours: Callable[[], float], baseline: Callable[[], float]) -> tuple[float, float, float]:
    """Return the medians of both rates (higher is faster), and the median of the ratios of the pairs."""
    start, pairs = time.perf_counter(), []
    while len(pairs) < MIN_PAIRS or time.perf_counter() - start < MIN_SECONDS:  # short measurements are repeated more
        pairs.append((ours(), baseline()))
    medians = [statistics.median(rates) for rates in zip(*pairs, strict=True)]
    return medians[0], medians[1], statistics.median(one / other for one, other in pairs)


def compare_images(workers: int) -> None:
    """Print the rate from a zip of 48x48 JPEGs to HDF5, start of worker processes included, beside Pillow's."""
    with tempfile.TemporaryDirectory() as folder:
        archive = write_jpegs(Path(folder))
        rates = ratio(partial(images_per_s, archive, workers), partial(pillow_images_per_s, archive))
    print(f"prepare, {IMAGES:,} JPEGs of 48x48: {rates[0]:,.0f} images/s, Pillow loop {rates[1]:,.0f}: x{rates[2]:.2f}")


def images_per_s(archive: Path, count: int) -> float:
    settings = {"size_px": 48, "color": "gray"}
    return memory.append_samples(archive, fer2013, list(fer2013.CODES), faces, settings, count)


def pillow_images_per_s(archive: Path) -> float:
    """Return the rate of a plain loop in one process, which collects all images in one array and writes nothing."""
    start = time.perf_counter()
    with zipfile.ZipFile(archive) as members:
        images = [np.asarray(Image.open(io.BytesIO(members.read(name))).convert("L")) for name in members.namelist()]
    return len(np.stack(images)) / (time.perf_counter() - start)


def write_jpegs(folder: Path) -> Path:
    """Write a zip in FER-2013's layout with random images, and return its path."""
    names = (f"train/{fer2013.CODES[index % 7]}/Training_{index}.jpg" for index in range(IMAGES))
    return memory.write_corpus(folder, zip(names, memory.jpegs(IMAGES, 48), strict=True))


def compare_clips(workers: int, feature: dict) -> None:
    """Print the rate from a zip of 48 kHz clips to HDF5 beside that of one process with librosa, warmed up."""
    options = {key: value for key, value in feature.items() if key != "name"}
    with tempfile.TemporaryDirectory() as folder:
        archive = memory.write_corpus(Path(folder), clips())
        librosa_clips_per_s(archive, options)
        ours = partial(memory.append_samples, archive, ravdess, list(ravdess.CODES.values()), mel, options, workers)
        rates = ratio(ours, partial(librosa_clips_per_s, archive, options))
    print(f"prepare, {CLIPS} clips of {CLIP_S} s: {rates[0]:,.0f} clips/s, librosa {rates[1]:,.0f}: x{rates[2]:.2f}")


def librosa_clips_per_s(archive: Path, options: dict) -> float:
    """Return the rate of the loop found in notebooks: load and resample, trim, mel spectrogram, decibels."""
    import librosa  # a requirement of the benchmark only

    rate_hz, size = options["sample_rate_hz"], round(options["sample_rate_hz"] * options["window_ms"] / 1000)
    start = time.perf_counter()
    with zipfile.ZipFile(archive) as members:
        for name in members.namelist():
            clip, _ = librosa.load(io.BytesIO(members.read(name)), sr=rate_hz)
            clip, _ = librosa.effects.trim(clip, top_db=options["trim_db"] or 60)
            hop = round(rate_hz * options["hop_ms"] / 1000)
            lengths = {"n_fft": mel.fft_length(size), "win_length": size, "hop_length": hop}
            power = librosa.feature.melspectrogram(y=clip, sr=rate_hz, n_mels=options["n_mels"], **lengths)
            librosa.power_to_db(power)
    return CLIPS / (time.perf_counter() - start)


def clips() -> Iterator[tuple[str, bytes]]:
    """Yield files in RAVDESS's layout: 48 kHz noise with a quarter of near-silence at either end of each clip."""
    random, position = np.random.default_rng(0), np.linspace(0, 1, round(48_000 * CLIP_S))
    loudness = np.where(abs(position - 0.5) < 0.25, 0.1, 0.0001)
    for number in range(CLIPS):
        clip = io.BytesIO()
        soundfile.write(clip, loudness * random.normal(size=len(position)), 48_000, "PCM_16", format="WAV")
        actor, emotion, take = number % 24 + 1, number // 24 % 8 + 1, number // 192  # take: 0 … 7
        name = f"03-01-{emotion:02d}-{take // 4 + 1:02d}-{take // 2 % 2 + 1:02d}-{take % 2 + 1:02d}-{actor:02d}.wav"
        yield f"Actor_{actor:02d}/{name}", clip.getvalue()


def compare_training(key: str, params: Params) -> None:
    """Print the rate of the training loop beside that of a bare PyTorch loop, without start-up."""
    model, dataset = Path("data/models") / key, Path("data/prepared") / f"{params.runs[key].dataset}.h5"
    if not model.exists():
        warn(f"{key}: no {model}; run `make repro` first")
        return
    run, info = params.runs[key], read_json(model / "model.json")
    with Store(dataset) as store:
        indices = np.arange(min(STEPS * run.batch_size, len(store)) // run.batch_size * run.batch_size)
    batches = MemoryBatches(dataset, indices, run.batch_size, shuffle_seed=params.seed)
    rates = ratio(partial(training_rate, info, run, params, batches), partial(bare_loop_rate, info, run, batches))
    share = rates[1] * flops_per_sample(info, batches) / matrix_flops_per_s(run)
    speeds = f"{rates[0]:,.0f} samples/s, bare loop {rates[1]:,.0f}: x{rates[2]:.2f}"
    efficiency = f"the bare loop runs at {share:.0%} of a matrix product's FLOP/s"
    print(f"{key}, {run.precision}, batch {run.batch_size}: {speeds}; {efficiency}")


def training_rate(info: dict, run: Run, params: Params, batches: MemoryBatches) -> float:
    """Return the samples per second of the pipeline's training loop, augmentation included."""
    augmentation = lookup.build("datasets.augmentation", run.augmentation) if run.augmentation else None
    learner = feeding.learner_on_cpu(model_folder.build(info), augmentation, run, len(batches), params)
    return (len(batches) - 1) * run.batch_size / feeding.epoch_s(learner, batches)


def autocast(run: Run) -> torch.autocast:
    """Return the context of the run's precision, as Fabric sets it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=run.precision != "32-true")


def bare_loop_rate(info: dict, run: Run, batches: MemoryBatches) -> float:
    """Return the samples per second of forward, loss, backward and step over standardised tensors, nothing else."""
    network = model_folder.build(info).train()
    optimizer = lookup.build("training.optimizers", run.optimizer, network.parameters())
    columns = [torch.cat(column) for column in zip(*batches, strict=True)]
    columns[0] = (network.unpack(columns[0]) - network.mean) / network.sd
    start, order = 0.0, torch.randperm(len(columns[0])).split(run.batch_size)
    for number, indices in enumerate(order):
        x, length, label = (column[indices] for column in columns)
        with autocast(run):
            loss = nn.functional.cross_entropy(network.architecture(x, length), label) + network.penalty()
        optimizer.zero_grad()
        loss.backward()
        if run.gradient_clip_norm:
            nn.utils.clip_grad_norm_(network.parameters(), run.gradient_clip_norm)
        optimizer.step()
        start = time.perf_counter() if number == 0 else start
    return (len(order) - 1) * run.batch_size / (time.perf_counter() - start)


def flops_per_sample(info: dict, batches: MemoryBatches) -> float:
    """Return the floating-point operations of one training step, per sample."""
    network = model_folder.build(info).train()
    packed, length, label = next(iter(batches))
    torch.backends.mkldnn.set_flags(False)  # the counter sees the products of PyTorch's LSTM, but not of oneDNN's
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(network(network.unpack(packed), length), label).backward()
    torch.backends.mkldnn.set_flags(True)
    return counter.get_total_flops() / len(packed)


def matrix_flops_per_s(run: Run, side: int = 2048) -> float:
    """Return the FLOP/s of a matrix product on this machine in the run's precision."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    with autocast(run):
        a @ b
        start = time.perf_counter()
        for _ in range(5):
            a @ b
    return 5 * 2 * side**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    exit_with_one_line(main)
