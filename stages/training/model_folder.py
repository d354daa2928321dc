"""`data/models/<run>/`: all that is needed to rebuild a trained recogniser and serve it. No Lightning, no pickle."""

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
    """A recogniser ready to be asked, and `model.json`: classes in order, feature settings, where it comes from."""

    recogniser: Recogniser
    info: dict[str, Any]

    @torch.inference_mode()
    def probabilities(self, packed: torch.Tensor, length: torch.Tensor | None = None) -> torch.Tensor:
        """One batch of stored values (B, …), and true time steps (B,) → (B, n_classes) float32 probabilities."""
        logits = self.recogniser(self.recogniser.unpack(packed), length)  # (B, n_classes)
        return logits.float().softmax(1)


def describe(key: str, run: Run, dataset: dict[str, Any], normaliser: dict[str, list], **more: Any) -> dict[str, Any]:
    """The content of model.json as known before training. `dataset`: the attributes of the prepared file and `shape`.

    `more`: protocol, seed, max_epochs, n_train, n_rejected (damaged samples left out), threads, inputs {path: md5}.
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
    """The untrained recogniser `info` (the content of model.json) describes."""
    options = {key: value for key, value in info["model"].items() if key != "name"}
    try:
        architecture = lookup.load("models", info["model"]["name"]).build(
            tuple(info["input"]["shape"]), len(info["classes"]), **options
        )
    except ValueError as error:
        raise UserError(f"runs.{info['run']}.model ({info['model']['name']}): {error}") from None
    normaliser = (torch.tensor(info["normaliser"][key], dtype=torch.float32) for key in ("mean", "sd"))
    return Recogniser(architecture, *normaliser, info["input"]["scale_factor"], info["input"]["add_offset"])


def save(folder: Path, info: dict[str, Any], weights: dict[str, dict[str, torch.Tensor]]) -> None:
    """Write model.json and <name>.safetensors for each of `weights` (best, final)."""
    for name, tensors in weights.items():
        with written_whole(folder / f"{name}.safetensors") as temporary:
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
    write_json(folder / "model.json", info | {"model": _told(info["model"])})


def _told(model: dict[str, Any]) -> dict[str, Any]:
    """Weights that training started from by their name alone: where they lay says nothing elsewhere."""
    start = model.get("pretrained")
    return model | {"pretrained": Path(start).name} if isinstance(start, str) else model


def load(folder: Path, weights: Literal["best", "final"] = "best") -> TrainedModel:
    """Rebuild what `save` wrote, in evaluation mode on the CPU. Raises `UserError` for a damaged folder."""
    info = read_json(folder / "model.json")
    path = folder / f"{weights}.safetensors"
    try:
        recogniser = build(info)
        recogniser.architecture.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; train the run first: dvc repro") from None
    except KeyError as error:
        raise UserError(f"{folder / 'model.json'}: {error} is missing; not a model this project wrote") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / 'model.json'}: not a model this project wrote: {error}") from None
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: does not fit model.json: {' '.join(str(error).split())[:200]}") from None
    return TrainedModel(recogniser.eval(), info)
