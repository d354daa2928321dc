"""Runs of params.yaml as recognisers with random weights and small inputs, and what `train` writes about them."""

import numpy as np
import torch
from conftest import ROOT
from small_store import DESCRIPTION

from stages.checks.params import load
from stages.core import lookup
from stages.training import model_folder
from stages.training.model_folder import TrainedModel

PARAMS = load(ROOT / "params.yaml")
FACES_RUN = "faces_custom_cnn"
SIZE_PX, STEPS = 24, 20
SMALL = {"faces": {"size_px": SIZE_PX}, "mel": {"duration_s": 0.304}, "eeg": {"max_windows": STEPS}}
SMALL["speaker_embedding"] = {"speeds": [0.9, 1.0]}


def small_info(run: str) -> dict:
    """Return the model.json of a run with small inputs."""
    dataset = PARAMS.datasets[PARAMS.runs[run].dataset]
    name, feature = dataset.feature["name"], lookup.load("features", dataset.feature["name"])
    channels = 3 if dataset.feature.get("color") == "rgb" else 1
    n_features = {"mel": dataset.feature.get("n_mels"), "eeg": 310}.get(name)
    sample = [STEPS, n_features] if n_features else [channels, SIZE_PX, SIZE_PX]
    sample = [2, 6, 256] if name == "speaker_embedding" else sample
    attributes = vars(DESCRIPTION) | {
        "layout": list(feature.LAYOUT),
        "scale_factor": feature.SCALE_FACTOR,
        "add_offset": feature.ADD_OFFSET,
        "shape": sample,
        "feature": dataset.feature | SMALL[name],
        "rate_hz": None,
        "corpus": dataset.corpus,
    }
    shape = (1, n_features) if n_features else (channels, 1, 1)
    shape = (1, 6, 256) if name == "speaker_embedding" else shape
    normaliser = {"mean": np.full(shape, 0.4).tolist(), "sd": np.full(shape, 0.3).tolist()}
    return model_folder.describe(run, PARAMS.runs[run], attributes, normaliser, protocol="official")


def small_model(run: str) -> TrainedModel:
    """Return a run with random weights, and with statistics of batch normalisation from one batch."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    info = small_info(run)
    recogniser = model_folder.build(info).train()
    with torch.no_grad():
        recogniser(0.4 + 0.3 * torch.randn(8, *info["input"]["shape"]))
    return TrainedModel(recogniser.eval(), info)
