"""Whether the input pipeline keeps a network busy: images a second through a network that does next to nothing."""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Callback
from torch import nn

from stages.apps import memory
from stages.core import lookup
from stages.corpora import image_folder
from stages.datasets.batches import StreamBatches
from stages.features import faces
from stages.params.schema import Machine, Params, Run
from stages.training.fit import make_trainer
from stages.training.learner import Learner
from stages.training.recogniser import Recogniser

RUN = "portraits_cnn_attention_bilstm"  # the largest images and the most augmentation
BATCHES_FED, BATCHES_TRAINED = 16, 3


class Stopwatch(Callback):
    """Seconds between the end of the first batch and the end of the last: start-up left out."""

    def on_train_batch_end(self, *arguments: object) -> None:
        index = arguments[-1]
        self.start = time.perf_counter() if index == 0 else self.start
        self.seconds = time.perf_counter() - self.start


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
    seconds = training_s(Learner(recogniser, augmentation, run, None, 1, params.seed), batches, run, params.machine)
    return (len(batches) - 1) * run.batch_size / seconds


def training_s(learner: Learner, batches: Iterable, run: Run, machine: Machine) -> float:
    """Seconds of one epoch on the CPU, but its first batch."""
    watch = Stopwatch()
    make_trainer(run, machine.model_copy(update={"accelerator": "cpu"}), 1, [watch], False).fit(learner, batches)
    return watch.seconds
