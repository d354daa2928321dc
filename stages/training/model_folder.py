"""The folder `data/models/<run>/`, which holds everything needed to rebuild and serve a trained recogniser.

Loading it needs neither Lightning nor pickle.
"""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from stages.core import lookup
from stages.core.errors import UserError
from stages.core.files import read_json, write_json, written_whole
from stages.params.schema import Run
from stages.training.recogniser import Recogniser

VERSIONS = ("torch", "lightning-fabric", "kornia", "numpy", "h5py", "opencv-python-headless", "pillow")


@dataclass(frozen=True)
class TrainedModel:
    """A trained recogniser and the content of its `model.json`: classes in order, feature settings, origin."""

    recogniser: Recogniser
    info: dict[str, Any]

    @property
    def temperature(self) -> float:
        """Return what the logits are divided by (see `core.calibration`); 1 for runs of earlier versions."""
        return self.info.get("temperature", 1.0)

    @torch.inference_mode()
    def logits(self, packed: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return float32 logits (B, n_classes) for stored values (B, …); `length` (B,) true time steps."""
        at_once = getattr(self.recogniser.architecture, "samples_at_once", max(1, len(packed)))
        lengths = [None] * len(packed) if length is None else length.split(at_once)
        parts = zip(packed.split(at_once), lengths, strict=False)
        return torch.cat([self.recogniser(self.recogniser.unpack(x), n).float() for x, n in parts])

    def probabilities(self, packed: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """Return calibrated float32 probabilities (B, n_classes), for the same."""
        return (self.logits(packed, length) / self.temperature).softmax(1)


def describe(key: str, run: Run, dataset: dict[str, Any], normaliser: dict[str, list], **more: Any) -> dict[str, Any]:
    """Return the content of model.json that is known before training.

    `dataset`: attributes of the prepared file, with `shape`. `more`: protocol, seed, max_epochs, n_train, n_rejected
    (damaged samples that were left out), n_cut (samples that lost their end), longest_steps (true length of the longest
    of them), threads, inputs {path: md5}, teachers (in the labels), ood (see `datasets.novelty`).
    """
    return {
        "run": key,
        "model": run.model,
        "input": {name: dataset[name] for name in ("shape", "layout", "scale_factor", "add_offset", "rate_hz")},
        "normaliser": normaliser,
        **{name: dataset[name] for name in ("classes", "feature", "corpus", "name", "source", "synthetic")},
        **more,
        "precision": run.precision,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in VERSIONS},
    }


def build(info: dict[str, Any]) -> Recogniser:
    """Return the untrained recogniser that `info`, the content of model.json, describes."""
    name, shape = info["model"]["name"], tuple(info["input"]["shape"])
    layout = lookup.load("models", name).LAYOUT
    try:
        if len(shape) != len(layout):
            raise ValueError(f"input is {shape}; allowed: ({', '.join(layout)})")
        architecture = lookup.build("models", info["model"], shape, len(info["classes"]))
    except ValueError as error:
        raise UserError(f"runs.{info['run']}.model ({name}): {error}") from None
    normaliser = (torch.tensor(info["normaliser"][key], dtype=torch.float32) for key in ("mean", "sd"))
    return Recogniser(architecture, *normaliser, info["input"]["scale_factor"], info["input"]["add_offset"])


def save(folder: Path, info: dict[str, Any], weights: dict[str, dict[str, torch.Tensor]]) -> None:
    """Write model.json and <name>.safetensors for each of `weights` (best, final)."""
    for name, tensors in weights.items():
        with written_whole(folder / f"{name}.safetensors") as temporary:
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
    model = info["model"]
    if isinstance(model.get("pretrained"), str):  # only the file name of a local path is recorded
        model = model | {"pretrained": Path(model["pretrained"]).name}
    write_json(folder / "model.json", info | {"model": model})


def load(folder: Path, weights: Literal["best", "final"] = "best") -> TrainedModel:
    """Return the model that `save` wrote, in evaluation mode on the CPU.

    Raises `UserError` for damaged weights. `serving.run_files` loads a folder that is not trusted.
    """
    info, path = read_json(folder / "model.json"), folder / f"{weights}.safetensors"
    recogniser = build(info)
    try:
        recogniser.architecture.load_state_dict(load_file(path))
    except (FileNotFoundError, SafetensorError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not the weights of model.json; train the run again: dvc repro ({why})") from None
    return TrainedModel(recogniser.eval(), info)
