"""A small valid params.yaml, changes of it, and the mistakes found in it."""

import copy
from pathlib import Path

import pytest
import yaml

from stages.checks import params
from stages.core.errors import UserError

ROOT = Path(__file__).parents[2]
RUN = "runs.faces_custom_cnn"
RECIPE = "recipes.faces"
FEATURE = "datasets.faces.feature"
MISSING = ...

# Independent of the corpora and runs in the committed file.
SMALL = yaml.safe_load("""
seed: 7
machine: {workers: 2, threads: 2, accelerator: auto, devices: auto, strategy: auto, nodes: 1}
prepare: {max_rejected_fraction: 0.01}
corpora:
  faces:
    {name: null, reader: fer2013, source: synthetic, checksum: null, classes: [angry, happy, sad],
     synthetic: {seed: 7, size: 1400}}
datasets: {faces: {corpus: faces, feature: {name: faces, size_px: 24, color: gray}}}
splits: {faces: {protocol: official, seed: 7, fold: 0, validation_fraction: 0.1, on_duplicate: report}}
recipes:
  faces:
    loss: {class_weights: none, label_smoothing: 0.0}
    optimizer: {name: adam, lr: 0.001}
    gradient_clip_norm: null
    schedule: {name: step, step_epochs: 4, gamma: 0.6}
    batch_size: 16
    max_epochs: 30
    early_stopping: 8
    monitor: validation_accuracy
    augmentation: {name: faces, horizontal_flip: 0.5}
    precision: 32-true
    loading: memory
runs:
  faces_custom_cnn:
    corpus: faces
    dataset: faces
    model: {name: custom_cnn, widths: [8, 8], residual: false, dropout: 0.25}
    recipe: faces
studies: {}
ensembles: {}
distillations: {}
""")
GROUPED = {**SMALL["splits"]["faces"], "protocol": "group_disjoint"}
MEL = {"name": "mel", "sample_rate_hz": 16_000, "window_ms": 25.0, "hop_ms": 10.0, "n_mels": 64, "f_min_hz": 0.0}
MEL |= {"f_max_hz": 8000.0, "duration_s": 3.0, "trim_db": 30.0, "normalize": "mean"}
EEG = {"name": "eeg_de", "channels": ["Fp1", "Cz"], "low_hz": 0.5, "high_hz": 60.0, "notch_hz": 50.0, "window_s": 2.0}
EEG |= {"resample_hz": 200.0, "smoothing": "lds", "padding": "zero", "max_windows": 10}
REAL = {"corpora.faces.source": "/data/faces.zip", "corpora.faces.name": "FER-2013"}


def changed(**changes):
    """Return SMALL with the value at each dotted path replaced or, if it is MISSING, removed."""
    content = copy.deepcopy(SMALL)
    if FEATURE in changes:  # the run's augmentation and model are for images
        changes = {f"{RECIPE}.augmentation": None, f"{RUN}.model": {"name": "adafnn"}} | changes
    for path, value in copy.deepcopy(changes).items():
        *parents, last = path.split(".")
        parent = content
        for key in parents:
            parent = parent.setdefault(key, {})
        if value is MISSING:
            del parent[last]
        else:
            parent[last] = value
    return content


def write(folder, content):
    """Write a text or a mapping as params.yaml and return its path."""
    path = folder / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.dump(content), encoding="utf-8")
    return path


def mistakes(folder, content):
    """Return the lines of the error, without the file's path."""
    path = write(folder, content)
    with pytest.raises(UserError) as caught:
        params.load(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def assert_mistake(folder, content, place, *parts):
    """Check that there is one mistake, reported at `place` in a message that contains all `parts`."""
    (line,) = mistakes(folder, content)
    where, _, message = line.partition(": ")
    assert where == place
    assert [part for part in parts if part not in message] == [], message
