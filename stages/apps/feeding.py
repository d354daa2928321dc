"""Whether the input pipeline keeps a network busy: images a second through a network that does next to nothing."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.apps import memory
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


def pipeline_against_network(params: Params) -> None:
    """Reading, unpacking, augmenting and standardising alone, against the same with the published network trained."""
    run = params.runs[RUN]
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        archive, dataset = Path(folder) / "images.zip", Path(folder) / "images.h5"
        memory.write_images(archive, BATCHES_FED * run.batch_size)
        memory.prepare(archive, dataset, params.machine.workers)
        options = {key: value for key, value in run.model.items() if key != "name"} | {"pretrained": "none"}
        shape = (3, memory.SIDE_PX, memory.SIDE_PX)
        network = lookup.load("models", run.model["name"]).build(shape, len(image_folder.CODES), **options)
        for model, count in ((memory.Means(), BATCHES_FED), (network, BATCHES_TRAINED)):
            batches = StreamBatches(dataset, np.arange(count * run.batch_size), run.batch_size, shuffle_seed=7)
            rates[model] = images_per_s(model, batches, run, params)
    fed, trained = rates.values()
    print(f"input of {RUN}, streamed: {fed:,.0f} images/s, its network trains {trained:,.1f}: x{fed / trained:.1f}")


def images_per_s(model: nn.Module, batches: StreamBatches, run: Run, params: Params) -> float:
    """Through the training loop, augmentation included."""
    recogniser = Recogniser(model, torch.full((1, 1, 1), 0.5), torch.ones(1, 1, 1), faces.SCALE_FACTOR, 0.0)
    augmentation = lookup.build("datasets.augmentation", run.augmentation)
    learner = learner_on_cpu(recogniser, augmentation, run, len(batches), params)
    return (len(batches) - 1) * run.batch_size / training_s(learner, batches)


def learner_on_cpu(
    recogniser: Recogniser, augmentation: nn.Module | None, run: Run, n_batches: int, params: Params
) -> Learner:
    """The network as `train` trains it, on the CPU."""
    fabric = connect(params.machine.model_copy(update={"accelerator": "cpu"}), run.precision)
    return Learner(fabric, recogniser, augmentation, run, None, n_batches, params.seed)


def training_s(learner: Learner, batches: Iterable) -> float:
    """Seconds of one epoch without its first batch, for which memory is fetched."""
    starts = []

    def watched() -> Iterator:
        for batch in batches:
            yield batch
            starts.append(time.perf_counter())  # the loop comes back for the next one

    learner.train_epoch(watched())
    return time.perf_counter() - starts[0]
