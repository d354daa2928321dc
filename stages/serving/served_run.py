"""Serves a trained run: raw signal → the run's own feature → probabilities, the same as in `evaluate`.

    run = serve("faces_compact")                # a name, a folder, a packed zip; None: the run that ships
    run = serve(model=Path("face.onnx"))        # a run exported by `stages.apps.export`
    run.probabilities([run.prepare(image)])     # (1, n_classes)

Only the run is read: its model.json holds feature settings, layout, scale, normaliser and classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from stages.core import lookup
from stages.core.errors import UserError, warn
from stages.core.records import DamagedSample
from stages.datasets import novelty
from stages.serving.run_files import KINDS, load_run
from stages.training.model_folder import TrainedModel
from stages.training.recogniser import Recogniser

MAX_BATCH_VALUES = 8_000_000  # the same limit as in `evaluate`

Prepared = tuple[np.ndarray, int]


@dataclass(frozen=True)
class ServedRun:
    """A recogniser with the preparation of its input. `kind`: image | audio | windows (EEG) | recording (EEG)."""

    model: Any  # TrainedModel, or onnx_model.OnnxModel, which has no `recogniser`

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
        """Return the PyTorch module, for gradients (Grad-CAM). Raises `UserError` for an exported graph."""
        if not isinstance(self.model, TrainedModel):
            raise UserError(f"{self.info['run']}: an exported graph has no gradients; use --run")
        return self.model.recogniser

    @cached_property
    def batch_size(self) -> int:
        """Return the number of samples per batch: up to 64, fewer if they are large."""
        return max(1, min(64, MAX_BATCH_VALUES // int(np.prod(self.info["input"]["shape"]))))

    def prepare(self, signal: np.ndarray, rate_hz: float | None = None) -> Prepared:
        """Return the feature of a decoded signal (see `core.records.Record`), as stored, and its true time steps.

        Raises `DamagedSample` for a signal that the feature refuses or whose feature has another shape than the run's.
        """
        expected = tuple(self.info["input"]["shape"])
        if self.kind == "windows" and signal.shape[1] != expected[1]:  # checked before memory is allocated
            self._refuse((expected[0], signal.shape[1]))
        feature, settings = _feature(self.info)
        x, length = feature.compute(signal, rate_hz, **settings)
        if x.shape != expected:
            self._refuse(x.shape)
        return x, min(length, len(x))

    def probabilities(self, prepared: Sequence[Prepared]) -> np.ndarray:
        """Return (n, n_classes) float32 for n prepared samples, computed in batches."""
        found = [np.empty((0, len(self.classes)), np.float32)]
        for start in range(0, len(prepared), self.batch_size):
            x, length = self.batch(prepared[start : start + self.batch_size])
            found.append(self.model.probabilities(x, length).numpy())
        return np.concatenate(found)

    @staticmethod
    def batch(prepared: Sequence[Prepared]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return stored values (B, …) and true time steps (B,)."""
        return torch.from_numpy(np.stack([x for x, _ in prepared])), torch.tensor([length for _, length in prepared])

    def standardised(self, prepared: Prepared) -> np.ndarray:
        """Return the prepared sample standardised by the mean and standard deviation of the training part."""
        scaling, normal = self.info["input"], self.info["normaliser"]
        signal = prepared[0] * np.float32(scaling["scale_factor"]) + np.float32(scaling["add_offset"])
        return (signal - np.array(normal["mean"], np.float32)) / np.array(normal["sd"], np.float32)

    def is_unlike_training(self, prepared: Prepared) -> bool:
        """Return whether the sample is beyond the training data's threshold; False for a run that stores none."""
        ood = self.info.get("ood")
        if not ood:
            return False
        x = self.standardised(prepared)
        # A NaN distance, of values that overflow, is beyond any threshold.
        return (
            not novelty.distance(novelty.statistics(x, prepared[1], self.info["input"]["layout"]), ood)
            <= ood["threshold"]
        )

    def warn(self) -> None:
        """Warn where the predictions do not mean what a user may expect."""
        if self.info["synthetic"]:
            warn(f"{self.info['run']} was trained on a synthetic corpus: its predictions say nothing about people")
        if "normalised over all own samples" in self.info["protocol"]:
            name = self.info["run"]
            warn(f"{name} was trained on samples normalised per group, which one file cannot be: expect lower accuracy")

    def _refuse(self, shape: tuple[int, ...]) -> NoReturn:
        given, expected = (
            " x ".join(f"{axis} {size}" for axis, size in zip(self.info["input"]["layout"], sizes, strict=False))
            for sizes in (shape, self.info["input"]["shape"])
        )
        raise DamagedSample(f"gives {given}; run {self.info['run']} takes {expected}")


def serve(run: str | None = None, model: Path | None = None, kind: str = "image") -> ServedRun:
    """Return a run (see `run_files.load_run`; None: the one of `kind` that ships) or an exported `model`.

    Warns of weights that are not for commercial use. Raises `UserError` for a damaged run, and where `model.json`
    contradicts the layout and scale of its feature.
    """
    if model is None:
        served = ServedRun(load_run(run, kind))
    else:
        from stages.serving import onnx_model  # onnxruntime takes half a second to import

        served = ServedRun(onnx_model.read(model))
    given, (feature, settings) = served.info["input"], _feature(served.info)
    stored = list(feature.LAYOUT), feature.SCALE_FACTOR, feature.ADD_OFFSET, feature.output_rate_hz(settings)
    if (given["layout"], given["scale_factor"], given["add_offset"], given["rate_hz"]) != stored:
        name = served.info["feature"]["name"]
        raise UserError(f"{served.info['run']}: model.json: input: not what feature {name!r} gives: {stored}")
    if "NC" in served.info.get("licence", ""):
        warn(f"{served.info['run']}: not for commercial use: {served.info['licence']}")
    return served


def _feature(info: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the module and the settings of a run's feature."""
    settings = dict(info["feature"])
    return lookup.load("features", settings.pop("name")), settings
