"""Part of `make bench`: whether the input pipeline, timed with a trivial network, keeps a real one busy."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import memory
from stages.core import lookup
from stages.corpora import image_folder
from stages.datasets.batches import StreamBatches
from stages.features import faces
from stages.params.schema import Params, Run
from stages.training.devices import connect
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser

RUN = "portraits_cnn_attention_bilstm"  # the largest images and the most augmentation
BATCHES_FED, BATCHES_TRAINED = 16, 3


def compare_with_network(params: Params) -> None:
    """Print the rate of reading, unpacking, augmenting and standardising beside that of training the run's network."""
    run = params.runs[RUN]
    with tempfile.TemporaryDirectory() as folder:
        archive = memory.write_images(Path(folder), BATCHES_FED * run.batch_size)
        memory.prepare(archive, params.machine.workers)
        options = {key: value for key, value in run.model.items() if key != "name"} | {"pretrained": "none"}
        shape = (3, memory.SIDE_PX, memory.SIDE_PX)
        network = lookup.load("models", run.model["name"]).build(shape, len(image_folder.CODES), **options)
        fed, trained = (
            images_per_s(model, archive.with_suffix(".h5"), n_batches, run, params)
            for model, n_batches in ((memory.MeanColor(), BATCHES_FED), (network, BATCHES_TRAINED))
        )
    print(f"input of {RUN}, streamed: {fed:,.0f} images/s, its network trains {trained:,.1f}: x{fed / trained:.1f}")


def images_per_s(model: nn.Module, dataset: Path, n_batches: int, run: Run, params: Params) -> float:
    """Return the rate of the training loop, augmentation included."""
    batches = StreamBatches(dataset, np.arange(n_batches * run.batch_size), run.batch_size, shuffle_seed=7)
    recogniser = Recogniser(model, torch.full((1, 1, 1), 0.5), torch.ones(1, 1, 1), faces.SCALE_FACTOR, 0.0)
    augmentation = lookup.build("datasets.augmentation", run.augmentation)
    learner = learner_on_cpu(recogniser, augmentation, run, n_batches, params)
    return (n_batches - 1) * run.batch_size / epoch_s(learner, batches)


def learner_on_cpu(recogniser: Recogniser, augmentation: nn.Module | None, run: Run, n: int, params: Params) -> Learner:
    """Return the learner of the stage `train` for one epoch of `n` batches, on the CPU."""
    fabric = connect(params.machine.model_copy(update={"accelerator": "cpu"}), run.precision)
    return Learner(fabric, recogniser, augmentation, run, None, n, params.seed)


def epoch_s(learner: Learner, batches: Iterable) -> float:
    """Return the time of one epoch in seconds without its first batch, which allocates memory."""
    ends = []

    def timed() -> Iterator:
        for batch in batches:
            yield batch
            ends.append(time.perf_counter())  # the loop requests the next batch after finishing this one

    learner.train_epoch(timed())
    return time.perf_counter() - ends[0]
