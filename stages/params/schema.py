"""The sections of `params.yaml` as frozen types. The comments in `params.yaml` explain the settings."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from stages.core.labels import CLASSES
from stages.params.options import Fraction, Names, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

# DVC puts these keys into stage names and paths.
Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
# {name: …, <option>: …}; `checks.params` validates the options against the signature of the named function.
Choice = dict[str, Any]

TAR_SUFFIXES = ("tar", "tgz", "gz", "tbz2", "bz2", "txz", "xz")


def _texts(names: Any) -> Any:
    """Return the mapping with keys that are text: `0` and `"0"` are the same folder."""
    if not isinstance(names, dict):
        return names
    return {str(key) if type(key) is int else key: meaning for key, meaning in names.items()}


# {name of a folder: what it means}
ClassNames = Annotated[dict[str, Literal[(*CLASSES, "train", "validation", "test", "ignore")]], BeforeValidator(_texts)]


class Section(BaseModel):
    """Base class: unknown keys and wrong types are errors, and no type is converted silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Machine(Section):
    workers: PositiveInt
    cluster: str | None = None
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
    """Settings of a synthetic corpus. They do not affect training."""

    seed: NonNegativeInt
    size: PositiveInt
    size_px: PositiveInt | None = None  # only for readers whose synthetic images have no fixed size


class Corpus(Section):
    name: str | None
    reader: str
    source: str
    checksum: str | None = None
    classes: Annotated[list[Literal[CLASSES]], Field(min_length=2)]
    class_names: ClassNames | None = None
    labels: Literal["majority", "distribution"] | None = None  # how the votes of several annotators become labels
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
    merge_similar_groups: bool = True  # 'Anna' and 'anna', '01' and '1' are one speaker
    # group_disjoint needs one of them: the number of folds, or the test groups (speakers, subjects) of each fold.
    folds: Annotated[int, Field(ge=2)] | None = None
    test_groups: Annotated[list[Names], Field(min_length=1)] | None = None
    train_samples: PositiveInt | None = None

    def draws(self) -> int:
        """Return the number of disjoint parts of size `validation_fraction`; `fold` selects one of them."""
        return round(1 / self.validation_fraction)


class Loss(Section):
    class_weights: Literal["none", "balanced"] | dict[str, PositiveFloat] = "none"
    label_smoothing: Fraction = 0.0
    # beyond this range, float32 blends are one sample or the mean
    mixup: Annotated[float, Field(ge=0.01, le=100)] | None = None


class Recipe(Section):
    """Training settings that several runs share."""

    loss: Loss = Loss()
    optimizer: Choice
    gradient_clip_norm: PositiveFloat | None = None
    schedule: Choice
    batch_size: Annotated[int, Field(ge=2)]  # batch normalisation needs the variance of several samples
    max_epochs: PositiveInt
    early_stopping: PositiveInt | None = None
    monitor: Literal["validation_accuracy", "validation_loss", "last_epoch"]
    augmentation: Choice | None = None
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "auto"] = "32-true"
    loading: Literal["memory", "stream"] = "memory"
    ema_decay: Fraction | None = None


class Run(Recipe):
    """One model and its training, merged with its recipe: the run's own settings replace the recipe's."""

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
    space: Annotated[dict[str, object], Field(min_length=1)]  # see `params.space`
    objective: Literal["validation_accuracy", "validation_loss"]
    n_trials: PositiveInt
    max_epochs: PositiveInt | None = None
    train_samples: PositiveInt | None = None
    sampler: Choice
    pruner: Choice
    timeout_s: PositiveFloat | None = None


class Ensemble(Section):
    """The weighted mean of the probabilities of several runs on one corpus."""

    corpus: str
    members: Annotated[list[str], Field(min_length=2)]
    weights: Literal["validation", "equal"]


class Distillation(Section):
    """A dataset whose training labels a trained run, the teacher, has changed; runs name it as their dataset."""

    corpus: str
    dataset: str
    teacher: str
    teacher_dataset: str
    weight: Annotated[float, Field(gt=0, le=1)]
    temperature: Annotated[float, Field(ge=0.1, le=20)]


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
    ensembles: dict[Key, Ensemble]
    distillations: dict[Key, Distillation]

    def prepared(self, dataset: str) -> str:
        """Return the key in `datasets` of a run's dataset, which may be a distillation of it, or one of another."""
        while dataset in self.distillations:
            dataset = self.distillations[dataset].dataset
        return dataset


IN_PLACE = "in_place:"  # before the path of a folder that `download` shall list, not copy


def source_kind(source: str) -> str | None:
    """Return `synthetic`, `url` (https, or http of this computer), `kaggle`, `zip`, `csv`, `tar` or `path`, or None."""
    if source == "synthetic":
        return source
    if source.startswith(("https://", "http://")):
        try:
            host = urlsplit(source).hostname
        except ValueError:  # such as 'https://[::1/a'
            return None
        is_allowed = host in ("localhost", "127.0.0.1") if source.startswith("http://") else bool(host)
        return "url" if is_allowed else None
    if source.startswith("kaggle:"):
        return "kaggle" if re.fullmatch(r"kaggle:[\w-]+/[\w-]+(/versions/\d+)?", source) else None
    path = source.removeprefix(IN_PLACE)
    if not Path(path).is_absolute():
        return None
    if path != source:
        return "path"
    suffix = Path(source).suffix.lstrip(".").lower()
    return "tar" if suffix in TAR_SUFFIXES else suffix if suffix in ("zip", "csv") else "path"
