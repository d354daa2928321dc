"""The sections of `params.yaml` as frozen types; `params.yaml` explains each setting beside it."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from stages.core.labels import CLASSES
from stages.params.options import Fraction, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

# DVC's template keys: a key forms stage names and paths.
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
# A choice by name with its options, which `checks.params` checks against the signature of what the name stands for.
Choice = dict[str, Any]


TAR_SUFFIXES = ("tar", "tgz", "gz", "tbz2", "bz2", "txz", "xz")

Groups = Annotated[list[str], Field(min_length=1)]
Mixup = Annotated[float, Field(ge=0.01, le=100)]  # beyond, a blend is one of the two, or their mean, to the last digit
BatchSize = Annotated[int, Field(ge=2)]  # batch normalisation knows no variance of one sample


class Section(BaseModel):
    """Unknown keys and wrong types are mistakes; nothing is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Machine(Section):
    workers: PositiveInt
    threads: PositiveInt
    accelerator: Literal["auto", "cpu", "gpu", "mps"]
    devices: PositiveInt | Literal["auto"]
    strategy: Literal["auto", "ddp"]
    nodes: PositiveInt
    checkpoint_every_s: NonNegativeFloat = 0.0
    storage_url: str | None = None


class Prepare(Section):
    max_rejected_fraction: Fraction


class Synthetic(Section):
    """What describes a synthetic corpus; nothing here touches training."""

    seed: NonNegativeInt
    size: PositiveInt
    size_px: PositiveInt | None = None  # of readers that make images of any size


class Corpus(Section):
    name: str | None
    reader: str
    source: str
    checksum: str | None = None
    classes: Annotated[list[Literal[CLASSES]], Field(min_length=2)]
    synthetic: Synthetic


class Dataset(Section):
    corpus: str
    feature: Choice
    normalize_groups: Literal["none", "mean", "mean_sd"] = "none"


class Split(Section):
    protocol: str
    seed: NonNegativeInt
    fold: NonNegativeInt
    validation_fraction: Annotated[float, Field(gt=0, le=0.5)]
    on_duplicate: Literal["report", "drop"] = "report"
    # Of the protocols that keep groups (speakers, subjects) apart: how many folds there are, or which groups each has.
    folds: Annotated[int, Field(ge=2)] | None = None
    test_groups: Annotated[list[Groups], Field(min_length=1)] | None = None
    train_samples: PositiveInt | None = None

    def draws(self) -> int:
        """How many disjoint draws of `validation_fraction` there are; `fold` is one of them."""
        return round(1 / self.validation_fraction)


class Loss(Section):
    class_weights: Literal["none", "balanced"] | dict[str, PositiveFloat] = "none"
    label_smoothing: Fraction = 0.0
    mixup: Mixup | None = None


class Recipe(Section):
    """Training settings that runs share."""

    loss: Loss
    optimizer: Choice
    gradient_clip_norm: PositiveFloat | None = None
    schedule: Choice
    batch_size: BatchSize
    max_epochs: PositiveInt
    early_stopping: PositiveInt | None = None
    monitor: Literal["validation_accuracy", "validation_loss", "last_epoch"]
    augmentation: Choice | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "auto"] = "32-true"
    loading: Literal["memory", "stream"] = "memory"
    ema_decay: Fraction | None = None


class Run(Recipe):
    """One recogniser, resolved: its recipe's settings, and in their place what the run restates."""

    corpus: str
    dataset: str
    model: Choice
    recipe: str


class Study(Section):
    run: str
    corpus: str
    dataset: str
    model: str
    recipe: str
    space: Annotated[dict[str, object], Field(min_length=1)]  # see params.space
    objective: Literal["validation_accuracy", "validation_loss"]
    n_trials: PositiveInt
    max_epochs: PositiveInt | None = None
    train_samples: PositiveInt | None = None
    sampler: Choice
    pruner: Choice
    timeout_s: PositiveFloat | None = None


class Params(Section):
    """The whole file."""

    seed: NonNegativeInt
    machine: Machine
    prepare: Prepare
    corpora: Annotated[dict[Key, Corpus], Field(min_length=1)]
    datasets: Annotated[dict[Key, Dataset], Field(min_length=1)]
    splits: dict[Key, Split]
    recipes: dict[Key, Recipe]
    runs: Annotated[dict[Key, Run], Field(min_length=1)]
    studies: dict[Key, Study]


def source_kind(source: str) -> str | None:
    """`synthetic`, `url`, `kaggle`, of a local path `zip`, `csv`, `tar` or `path`, or None if it is none."""
    if source == "synthetic":
        return source
    if source.startswith(("https://", "http://localhost", "http://127.0.0.1")):
        return "url"
    if source.startswith("kaggle:"):
        return "kaggle" if re.fullmatch(r"kaggle:[\w-]+/[\w-]+(/versions/\d+)?", source) else None
    if not Path(source).is_absolute():
        return None
    suffix = Path(source).suffix.lstrip(".").lower()
    kinds = {"zip": "zip", "csv": "csv"} | dict.fromkeys(TAR_SUFFIXES, "tar")
    return kinds.get(suffix, "path")
