"""`make bench`: how fast the pipeline is, as ratios to the plainest code that does the same on this machine.

Needs what `make repro` leaves in data/. Absolute times are noisy; each ratio is the median of alternating pairs.
"""

import io
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stages.apps import bench_pipeline, bench_trials, feeding, memory
from stages.checks.params import load
from stages.core import lookup
from stages.core.errors import exit_with_one_line, warn
from stages.core.files import read_json
from stages.corpora import fer2013, ravdess
from stages.corpora.archive.pack import pack
from stages.datasets.batches import MemoryBatches
from stages.datasets.decoding import Workers, computing, decode
from stages.datasets.filling import append_all
from stages.datasets.store import Store, create
from stages.features import faces, mel
from stages.params.schema import Params, Run
from stages.training import model_folder

IMAGES = 32_298  # as many as train and PublicTest of FER-2013
CLIPS, CLIP_S = 1_440, 3.5  # RAVDESS's speech
STEPS = 30
PAIRS, SECONDS = 5, 5.0  # at least


def main() -> None:
    params = load(Path("params.yaml"))
    torch.set_num_threads(params.machine.threads)
    prepare_against_pillow(params.machine.workers)
    prepare_against_librosa(params.machine.workers, params.datasets["speech"].feature)
    memory.growth(params)
    feeding.pipeline_against_network(params)
    for run in params.runs:
        training_against_bare_loop(run, params)
    bench_trials.against_their_epochs(params)
    bench_pipeline.main()


def ratio(ours: Callable[[], float], plain: Callable[[], float]) -> tuple[float, float, float]:
    """Medians of both rates (higher is faster), and the median of their ratios pair by pair."""
    start, pairs = time.perf_counter(), []
    while len(pairs) < PAIRS or time.perf_counter() - start < SECONDS:  # what is short is repeated more often
        pairs.append((ours(), plain()))
    middle = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return middle[0], middle[1], statistics.median(one / other for one, other in pairs)


def prepare_against_pillow(workers: int) -> None:
    """Zip of 48x48 JPEGs → HDF5, start of the worker processes included, against one process with Pillow."""
    with tempfile.TemporaryDirectory() as folder:
        archive = write_jpegs(Path(folder))
        rates = ratio(partial(prepare_rate, archive, workers), partial(pillow_rate, archive))
    print(f"prepare, {IMAGES:,} JPEGs of 48x48: {rates[0]:,.0f} images/s, Pillow loop {rates[1]:,.0f}: x{rates[2]:.2f}")


def prepare_rate(archive: Path, count: int) -> float:
    """Images per second of the stage's own path."""
    start = time.perf_counter()
    settings = {"size_px": 48, "color": "gray"}
    compute = computing(faces, settings)
    workers = Workers(count, faces.WORKERS, faces.samples_per_chunk(settings))
    with create(archive.with_suffix(".h5")) as writer:
        written, _ = append_all(writer, decode(fer2013.read(archive), compute, workers), list(fer2013.CODES))
    return written / (time.perf_counter() - start)


def pillow_rate(archive: Path) -> float:
    """Images per second of the plain loop, which keeps them in one array and writes nothing."""
    start = time.perf_counter()
    with zipfile.ZipFile(archive) as members:
        images = [np.asarray(Image.open(io.BytesIO(members.read(name))).convert("L")) for name in members.namelist()]
    return len(np.stack(images)) / (time.perf_counter() - start)


def write_jpegs(folder: Path) -> Path:
    """A FER-2013-like zip of random faces-sized images, different in every pixel."""
    random, source = np.random.default_rng(0), folder / "source.zip"
    with zipfile.ZipFile(source, "w") as members:
        for index in range(IMAGES):
            image = io.BytesIO()
            coarse = random.integers(0, 256, (12, 12), dtype=np.uint8)
            Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(image, "JPEG", quality=90)
            members.writestr(f"train/{fer2013.CODES[index % 7]}/Training_{index}.jpg", image.getvalue())
    pack(source, folder / "faces.zip")
    return folder / "faces.zip"


def prepare_against_librosa(workers: int, feature: dict) -> None:
    """Zip of 48 kHz clips → HDF5 against one process that loads each file with librosa, warmed up."""
    options = {key: value for key, value in feature.items() if key != "name"}
    with tempfile.TemporaryDirectory() as folder:
        archive = write_clips(Path(folder))
        librosa_rate(archive, options)
        rates = ratio(partial(speech_rate, archive, workers, options), partial(librosa_rate, archive, options))
    print(f"prepare, {CLIPS} clips of {CLIP_S} s: {rates[0]:,.0f} clips/s, librosa {rates[1]:,.0f}: x{rates[2]:.2f}")


def speech_rate(archive: Path, count: int, options: dict) -> float:
    """Clips per second of the stage's own path."""
    start = time.perf_counter()
    workers = Workers(count, mel.WORKERS, mel.samples_per_chunk(options))
    with create(archive.with_suffix(".h5")) as writer:
        decoded = decode(ravdess.read(archive), computing(mel, options), workers)
        written, _ = append_all(writer, decoded, list(ravdess.CODES.values()))
    return written / (time.perf_counter() - start)


def librosa_rate(archive: Path, options: dict) -> float:
    """Clips per second of the loop one finds in notebooks: load and resample, trim, mel-spectrogram, decibels."""
    import librosa  # only the bench needs it

    rate_hz, size = options["sample_rate_hz"], round(options["sample_rate_hz"] * options["window_ms"] / 1000)
    start = time.perf_counter()
    with zipfile.ZipFile(archive) as members:
        for name in members.namelist():
            clip, _ = librosa.load(io.BytesIO(members.read(name)), sr=rate_hz)
            clip, _ = librosa.effects.trim(clip, top_db=options["trim_db"] or 60)
            hop = round(rate_hz * options["hop_ms"] / 1000)
            power = librosa.feature.melspectrogram(
                y=clip, sr=rate_hz, n_fft=mel.n_fft(size), win_length=size, hop_length=hop, n_mels=options["n_mels"]
            )
            librosa.power_to_db(power)
    return CLIPS / (time.perf_counter() - start)


def write_clips(folder: Path) -> Path:
    """A zip like RAVDESS's: 48 kHz, a quarter of each clip near-silence at either end, in between noise."""
    random, source = np.random.default_rng(0), folder / "source.zip"
    place = np.linspace(0, 1, round(48_000 * CLIP_S))
    loudness = np.where(abs(place - 0.5) < 0.25, 0.1, 0.0001)
    with zipfile.ZipFile(source, "w") as members:
        for number in range(CLIPS):
            clip = io.BytesIO()
            soundfile.write(clip, loudness * random.normal(size=len(place)), 48_000, "PCM_16", format="WAV")
            actor, emotion, take = number % 24 + 1, number // 24 % 8 + 1, number // 192  # take: 0 … 7
            name = f"03-01-{emotion:02d}-{take // 4 + 1:02d}-{take // 2 % 2 + 1:02d}-{take % 2 + 1:02d}-{actor:02d}.wav"
            members.writestr(f"Actor_{actor:02d}/{name}", clip.getvalue())
    pack(source, folder / "speech.zip")
    return folder / "speech.zip"


def training_against_bare_loop(key: str, params: Params) -> None:
    """Samples per second of the training loop against a bare PyTorch loop, start-up left out."""
    model, dataset = Path("data/models") / key, Path("data/prepared") / f"{params.runs[key].dataset}.h5"
    if not model.exists():
        warn(f"{key}: no {model}; run `make repro` first")
        return
    run, info = params.runs[key], read_json(model / "model.json")
    with Store(dataset) as store:
        indices = np.arange(min(STEPS * run.batch_size, len(store)) // run.batch_size * run.batch_size)
    batches = MemoryBatches(dataset, indices, run.batch_size, shuffle_seed=params.seed)
    rates = ratio(partial(our_rate, info, run, params, batches), partial(bare_rate, info, run, batches))
    share = rates[1] * flops_per_sample(info, batches) / matrix_flops_per_s(run)
    print(
        f"{key}, {run.precision}, batch {run.batch_size}: {rates[0]:,.0f} samples/s, bare loop {rates[1]:,.0f}: "
        f"x{rates[2]:.2f}; the bare loop runs at {share:.0%} of a matrix product's FLOP/s"
    )


def our_rate(info: dict, run: Run, params: Params, batches: MemoryBatches) -> float:
    """Samples per second of the training loop the pipeline runs, its augmentation included."""
    augmentation = lookup.build("datasets.augmentation", run.augmentation) if run.augmentation else None
    learner = feeding.learner_on_cpu(model_folder.build(info), augmentation, run, len(batches), params)
    return (len(batches) - 1) * run.batch_size / feeding.training_s(learner, batches)


def autocast(run: Run) -> torch.autocast:
    """The run's precision, as Fabric sets it."""
    return torch.autocast("cpu", torch.bfloat16, enabled=run.precision != "32-true")


def bare_rate(info: dict, run: Run, batches: MemoryBatches) -> float:
    """Samples per second of forward, loss, backward and step over standardised tensors, and nothing else."""
    network = model_folder.build(info).train()
    optimizer = lookup.build("training.optimizers", run.optimizer, network.parameters())
    columns = [torch.cat(column) for column in zip(*batches, strict=True)]
    columns[0] = (network.unpack(columns[0]) - network.mean) / network.sd
    start, places = 0.0, torch.randperm(len(columns[0])).split(run.batch_size)
    for index, chosen in enumerate(places):
        x, length, label = (column[chosen] for column in columns)
        with autocast(run):
            loss = nn.functional.cross_entropy(network.architecture(x, length), label) + network.penalty()
        optimizer.zero_grad()
        loss.backward()
        if run.gradient_clip_norm:
            nn.utils.clip_grad_norm_(network.parameters(), run.gradient_clip_norm)
        optimizer.step()
        start = time.perf_counter() if index == 0 else start
    return (len(places) - 1) * run.batch_size / (time.perf_counter() - start)


def flops_per_sample(info: dict, batches: MemoryBatches) -> float:
    """Floating-point operations of one training step, per sample."""
    network = model_folder.build(info).train()
    packed, length, label = next(iter(batches))
    torch.backends.mkldnn.set_flags(False)  # the counter does not see into oneDNN's LSTM; PyTorch's own is of products
    with FlopCounterMode(display=False) as counter:
        nn.functional.cross_entropy(network(network.unpack(packed), length), label).backward()
    torch.backends.mkldnn.set_flags(True)
    return counter.get_total_flops() / len(packed)


def matrix_flops_per_s(run: Run, side: int = 2048) -> float:
    """What this machine's matrix product reaches in the run's precision."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    with autocast(run):
        a @ b
        start = time.perf_counter()
        for _ in range(5):
            a @ b
    return 5 * 2 * side**3 / (time.perf_counter() - start)


if __name__ == "__main__":
    exit_with_one_line(main)
