"""A trained run at work: raw signal → the run's own feature → probabilities, exactly as `evaluate` had them.

    run = serve("faces_compact")            # or a folder, or a packed zip, or None for the one that ships
    run = serve(model=Path("face.onnx"))    # or what `stages.apps.export` made of one
    run.probabilities([run.prepare(image)])     # (1, n_classes)

Nothing but the run is read: feature settings, layout, scale, normaliser and classes stand in its model.json.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, Protocol

import numpy as np
import torch

from stages.apps.run_files import load_run
from stages.core import lookup
from stages.core.errors import UserError
from stages.core.records import DamagedSample
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import Recogniser

# What a run takes, by its feature.
KINDS = {"faces": "image", "mel": "audio", "eeg": "windows", "eeg_de": "recording"}
VALUES_AT_ONCE = 8_000_000  # of a batch, as `evaluate` has them

Prepared = tuple[np.ndarray, int]


class Model(Protocol):
    """`TrainedModel`, or `onnx_model.OnnxModel`, which has no `recogniser`."""

    info: dict[str, Any]

    def probabilities(self, packed: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor: ...


@dataclass(frozen=True)
class ServedRun:
    """A recogniser with all that stands before it. `kind`: image | audio | windows (of EEG) | recording (of EEG)."""

    model: Model

    @property
    def info(self) -> dict[str, Any]:
        """model.json: run, classes in order, feature, corpus, name, synthetic, protocol, …"""
        return self.model.info

    @property
    def classes(self) -> list[str]:
        return self.info["classes"]

    @property
    def kind(self) -> str:
        return KINDS[self.info["feature"]["name"]]

    @property
    def recogniser(self) -> Recogniser:
        """Asks with gradients where one wants them (Grad-CAM). Raises `UserError` for an exported graph."""
        if not isinstance(self.model, TrainedModel):
            raise UserError(f"{self.info['run']}: an exported graph has no gradients; --run takes the run it came from")
        return self.model.recogniser

    @cached_property
    def batch_size(self) -> int:
        """Samples that are asked at once: up to 64, fewer of large ones."""
        return max(1, min(64, VALUES_AT_ONCE // int(np.prod(self.info["input"]["shape"]))))

    def prepare(self, signal: np.ndarray, rate_hz: float | None = None) -> Prepared:
        """A decoded signal (see `core.records.Record`) → (…) as the prepared dataset stores it, and its true steps.

        Raises `DamagedSample` for a signal that the feature refuses or that has other features than the run's.
        """
        expected = tuple(self.info["input"]["shape"])
        if self.kind == "windows" and signal.shape[1] != expected[1]:  # before room is made for them
            self._refuse((expected[0], signal.shape[1]))
        settings = {key: value for key, value in self.info["feature"].items() if key != "name"}
        x, length = self._feature.compute(signal, rate_hz, **settings)
        if x.shape != expected:
            self._refuse(x.shape)
        return x, length

    def probabilities(self, prepared: Sequence[Prepared]) -> np.ndarray:
        """What `prepare` gave, of any number of samples → (n, n_classes) float32, in batches."""
        found = [np.empty((0, len(self.classes)), np.float32)]
        for start in range(0, len(prepared), self.batch_size):
            x, length = self.batch(prepared[start : start + self.batch_size])
            found.append(self.model.probabilities(x, length).numpy())
        return np.concatenate(found)

    @staticmethod
    def batch(prepared: Sequence[Prepared]) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, …) as stored, (B,) true steps."""
        return torch.from_numpy(np.stack([x for x, _ in prepared])), torch.tensor([length for _, length in prepared])

    def standardised(self, prepared: Prepared) -> np.ndarray:
        """What `prepare` gave → (…) in standard deviations of the training part, around its mean."""
        told, normal = self.info["input"], self.info["normaliser"]
        signal = prepared[0] * np.float32(told["scale_factor"]) + np.float32(told["add_offset"])
        return (signal - np.array(normal["mean"], np.float32)) / np.array(normal["sd"], np.float32)

    @property
    def _feature(self) -> ModuleType:
        return lookup.load("features", self.info["feature"]["name"])

    def _refuse(self, shape: tuple[int, ...]) -> NoReturn:
        takes = self._named(tuple(self.info["input"]["shape"]))
        raise DamagedSample(f"gives {self._named(shape)}; run {self.info['run']} takes {takes}")

    def _named(self, shape: tuple[int, ...]) -> str:
        return " x ".join(f"{axis} {size}" for axis, size in zip(self.info["input"]["layout"], shape, strict=False))


def serve(run: str | None = None, model: Path | None = None) -> ServedRun:
    """A run, see `run_files.load_run`, or a `model` that was exported. Raises `UserError`.

    Also for a feature that is not the one its layout tells of.
    """
    return _checked(load_run(run) if model is None else _exported(model))


def _exported(path: Path) -> Model:
    from stages.apps import onnx_model  # half a second to load, where one asks for it

    return onnx_model.read(path)


def _checked(model: Model) -> ServedRun:
    feature = lookup.load("features", model.info["feature"]["name"])
    told = model.info["input"]
    rate_hz = feature.output_rate_hz({key: value for key, value in model.info["feature"].items() if key != "name"})
    stored = list(feature.LAYOUT), feature.SCALE_FACTOR, feature.ADD_OFFSET, rate_hz
    if (told["layout"], told["scale_factor"], told["add_offset"], told["rate_hz"]) != stored:
        name = model.info["feature"]["name"]
        raise UserError(f"{model.info['run']}: model.json: input: not what feature {name!r} gives: {stored}")
    return ServedRun(model)
