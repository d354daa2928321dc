"""A training on images of three easily separable classes, with a small network."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from stages.params.schema import Machine, Run
from stages.training.fit import Outcome, fit
from stages.training.recogniser import Recogniser

MACHINE = Machine(workers=1, threads=1, accelerator="cpu", devices=1, strategy="auto", nodes=1)
RUN = Run(
    **{"corpus": "faces", "dataset": "faces", "model": {"name": "none"}, "recipe": "none"},
    **{"optimizer": {"name": "adam", "lr": 0.01}, "schedule": {"name": "constant"}, "gradient_clip_norm": None},
    loss={"class_weights": "none", "label_smoothing": 0.0},
    **{"batch_size": 16, "max_epochs": 5, "early_stopping": None, "monitor": "validation_accuracy"},
    **{"augmentation": None, "precision": "32-true", "loading": "memory"},
)
STEPS_PER_EPOCH = 6
MIXUP = {**RUN.loss.model_dump(), "mixup": 0.4}


def changed(**changes: object) -> Run:
    return Run(**{**RUN.model_dump(), **changes})


class FixedBatches:
    """Batches that are the same in each epoch."""

    def __init__(self, batches: list[tuple[torch.Tensor, ...]]) -> None:
        self.batches = batches

    def set_epoch(self, epoch: int) -> None:
        pass

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, ...]]:
        return iter(self.batches)


def batches(count: int, seed: int, noise: float = 10.0, size: int = 16) -> FixedBatches:
    """Return 6x6 images of three classes, in which the left, middle or right third is bright."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(count) % 3)
    x = rng.normal(60, noise, (count, 1, 6, 6))
    for image, third in zip(x, label, strict=True):
        image[:, :, 2 * third : 2 * third + 2] += 80
    packed = torch.from_numpy(np.clip(x, 0, 255).astype(np.uint8))
    columns = (packed, torch.zeros(count, dtype=torch.long), torch.from_numpy(label))
    return FixedBatches(list(zip(*(column.split(size) for column in columns), strict=True)))


class SmallNetwork(nn.Module):
    """A network with all layers that behave differently in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(36, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3)
        )

    def forward(self, x: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        return self.layers(x)


def recogniser(architecture: nn.Module | None = None) -> Recogniser:
    torch.manual_seed(1)
    mean, sd = torch.full((1, 1, 1), 0.35), torch.full((1, 1, 1), 0.2)
    return Recogniser(architecture or SmallNetwork(), mean, sd, 1 / 255, 0.0)


def trained(
    tmp_path: Path,
    run: Run = RUN,
    *,
    model: Recogniser | None = None,
    weights: torch.Tensor | None = None,
    validation: FixedBatches | None = None,
    augmentation: Callable | None = None,
    machine: Machine = MACHINE,
    shares: Callable | None = None,
) -> Outcome:
    """Train and return the outcome; `shares` returns the training labels (B,) as shares of the classes."""
    train = batches(96, 1)
    if shares is not None:
        train = FixedBatches([(x, length, shares(label)) for x, length, label in train])
    return fit(
        model or recogniser(),
        augmentation,
        train,
        validation or batches(45, 2),
        run,
        classes=["angry", "happy", "sad"],
        weights=weights,
        machine=machine,
        seed=7,
        resume_folder=tmp_path / "checkpoints" / "own",
        log_folder=tmp_path / "logs" / "run",
    )


def values(outcome: Outcome, column: str) -> list[float]:
    return [row[column] for row in outcome.history]


def equal_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
