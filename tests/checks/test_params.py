"""Every mistake in params.yaml gives exactly one line that says where, what is allowed and what was received."""

import contextlib
import copy
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.checks import params
from stages.core.errors import UserError

ROOT = Path(__file__).parents[2]
COMMITTED = (ROOT / "params.yaml").read_text(encoding="utf-8")
RUN = "runs.faces_custom_cnn"
RECIPE = "recipes.faces"

# What the tests of mistakes start from: independent of the corpora and runs the committed file has.
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
""")
MISSING = object()
GRAY = "datasets.faces.feature.color"


def portraits(**options):
    """The change that makes SMALL's run one of `dual_attention`, whose images are coloured."""
    return {f"{RUN}.model": {"name": "dual_attention", "backbone": "resnet18", **options}, GRAY: "rgb"}


def changed(**changes):
    """SMALL with the value at each dotted path replaced, or taken out."""
    content = copy.deepcopy(SMALL)
    if "datasets.faces.feature" in changes:  # the run's augmentation and model are for pictures
        changes = {f"{RECIPE}.augmentation": None, f"{RUN}.model": {"name": "adafnn"}} | changes
    for path, value in changes.items():
        *folders, last = path.split(".")
        at = content
        for key in folders:
            at = at[key]
        if value is MISSING:
            del at[last]
        else:
            at[last] = value
    return content


def write(folder, content):
    path = folder / "params.yaml"
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8") as stream:
            yaml.dump(content, stream)
    return path


def mistakes(folder, content):
    """The lines, without the file's path in front."""
    path = write(folder, content)
    with pytest.raises(UserError) as caught:
        params.load(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


def test_committed_file_is_in_order():
    assert params.load(ROOT / "params.yaml").runs


def test_small_file_is_in_order(tmp_path):
    assert params.load(write(tmp_path, SMALL)).runs["faces_custom_cnn"].optimizer["lr"] == 0.001


def test_committed_defaults_are_offline():
    assert {corpus.source for corpus in params.load(ROOT / "params.yaml").corpora.values()} == {"synthetic"}


RECIPE_KEYS = (
    "loss, optimizer, gradient_clip_norm, schedule, batch_size, max_epochs, early_stopping, monitor, augmentation, "
    "precision, loading, ema_decay"
)
RUN_KEYS = f"{RECIPE_KEYS}, corpus, dataset, model, recipe"
CLASSES = (
    "'angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral', 'contempt', 'calm', 'boredom', 'rest' "
    "or 'arithmetic'"
)
SOURCES = "synthetic, an absolute path, https://…, kaggle:<owner>/<slug>"

GROUPED = {**SMALL["splits"]["faces"], "protocol": "group_disjoint"}
MEL = {"name": "mel", "sample_rate_hz": 16_000, "window_ms": 25.0, "hop_ms": 10.0, "n_mels": 64, "f_min_hz": 0.0}
MEL |= {"f_max_hz": 8000.0, "duration_s": 3.0, "trim_db": 30.0, "normalize": "mean"}
EEG = {"name": "eeg_de", "channels": ["Fp1", "Cz"], "low_hz": 0.5, "high_hz": 60.0, "notch_hz": 50.0, "window_s": 2.0}
EEG |= {"resample_hz": 200.0, "smoothing": "lds", "padding": "zero", "max_windows": 10}

REAL = {"corpora.faces.source": "/data/faces.zip", "corpora.faces.name": "FER-2013"}

# (changes, the one line): the value that is wrong, where it stands, and what the user reads.
ONE_LINE = [
    # unknown keys
    (
        {"sead": 7},
        "sead: unknown key; Did you mean 'seed'? allowed: seed, machine, prepare, corpora, datasets, splits, recipes, "
        "runs, studies",
    ),
    (
        {"machine.treads": 2},
        "machine.treads: unknown key; Did you mean 'threads'? "
        "allowed: workers, threads, accelerator, devices, strategy, nodes, checkpoint_every_s, storage_url",
    ),
    ({f"{RUN}.wibble": 2}, f"{RUN}.wibble: unknown key; allowed: {RUN_KEYS}"),
    (
        {"corpora.faces.synthetic.sise": 2},
        "corpora.faces.synthetic.sise: unknown key; Did you mean 'size'? allowed: seed, size, size_px",
    ),
    (
        {f"{RECIPE}.schedule.gama": 0.5},
        f"{RECIPE}.schedule.gama: unknown key; Did you mean 'gamma'? allowed: step_epochs, gamma",
    ),
    (
        {"datasets.faces.feature.size": 48},
        "datasets.faces.feature.size: unknown key; Did you mean 'size_px'? allowed: size_px, color",
    ),
    ({f"{RECIPE}.schedule": {"name": "constant", "lr": 1.0}}, f"{RECIPE}.schedule.lr: unknown key; allowed: none"),
    # wrong types
    ({f"{RECIPE}.optimizer.lr": "fast"}, f"{RECIPE}.optimizer.lr: allowed: a number; received: 'fast'"),
    ({f"{RECIPE}.optimizer.lr": True}, f"{RECIPE}.optimizer.lr: allowed: a number; received: true"),
    ({f"{RECIPE}.batch_size": 3.5}, f"{RECIPE}.batch_size: allowed: a whole number; received: 3.5"),
    ({f"{RECIPE}.batch_size": True}, f"{RECIPE}.batch_size: allowed: a whole number; received: true"),
    ({f"{RECIPE}.batch_size": None}, f"{RECIPE}.batch_size: allowed: a whole number; received: null"),
    ({f"{RUN}.model.residual": 1}, f"{RUN}.model.residual: allowed: true or false; received: 1"),
    ({f"{RUN}.model.widths": 32}, f"{RUN}.model.widths: allowed: a list; received: 32"),
    ({f"{RUN}.model.widths": [32, "a"]}, f"{RUN}.model.widths.1: allowed: a whole number; received: 'a'"),
    ({f"{RECIPE}.gradient_clip_norm": "x"}, f"{RECIPE}.gradient_clip_norm: allowed: a number or null; received: 'x'"),
    ({"corpora.faces.name": 2013}, "corpora.faces.name: allowed: text or null; received: 2013"),
    ({"seed": date(2024, 1, 1)}, "seed: allowed: a whole number; received: datetime.date(2024, 1, 1)"),
    # ranges
    ({f"{RECIPE}.optimizer.lr": -1}, f"{RECIPE}.optimizer.lr: allowed: more than 0; received: -1"),
    ({f"{RECIPE}.optimizer.lr": float("inf")}, f"{RECIPE}.optimizer.lr: allowed: a finite number; received: inf"),
    ({f"{RUN}.model.dropout": 1.0}, f"{RUN}.model.dropout: allowed: less than 1; received: 1.0"),
    ({f"{RECIPE}.gradient_clip_norm": 0}, f"{RECIPE}.gradient_clip_norm: allowed: more than 0 or null; received: 0"),
    ({f"{RECIPE}.ema_decay": 1}, f"{RECIPE}.ema_decay: allowed: less than 1 or null; received: 1"),
    ({f"{RECIPE}.loss.mixup": 0}, f"{RECIPE}.loss.mixup: allowed: 0.01 or more or null; received: 0"),
    (portraits(spatial_kernel=4), f"{RUN}.model.spatial_kernel: allowed: an odd number; received: 4"),
    (portraits(spatial_kernel=-1), f"{RUN}.model.spatial_kernel: allowed: more than 0; received: -1"),
    (
        portraits(pretrained="imagnet"),
        f"{RUN}.model.pretrained: allowed: 'imagenet', 'none' or the path of a state dict, such as resnet18.pth; "
        "received: 'imagnet'. Did you mean 'imagenet'?",
    ),
    (
        portraits() | {GRAY: "gray"},
        f"{GRAY}: allowed: rgb for {RUN}.model (dual_attention); received: 'gray'",
    ),
    ({"seed": -1}, "seed: allowed: 0 or more; received: -1"),
    (
        {"splits.faces.validation_fraction": 0.7},
        "splits.faces.validation_fraction: allowed: 0.5 or less; received: 0.7",
    ),
    ({"machine.devices": 0}, "machine.devices: allowed: more than 0 or 'auto'; received: 0"),
    (
        {"machine.devices": "aut"},
        "machine.devices: allowed: a whole number or 'auto'; received: 'aut'. Did you mean 'auto'?",
    ),
    ({f"{RECIPE}.batch_size": 1}, f"{RECIPE}.batch_size: allowed: 2 or more; received: 1"),
    ({"splits.faces.fold": 99}, "splits.faces.fold: allowed: 0 to 9; received: 99"),
    # words from a fixed list
    (
        {f"{RECIPE}.precision": "32"},
        f"{RECIPE}.precision: allowed: '32-true', 'bf16-mixed', '16-mixed' or 'auto'; received: '32'",
    ),
    (
        {f"{RECIPE}.monitor": "validation_acuracy"},
        f"{RECIPE}.monitor: allowed: 'validation_accuracy', 'validation_loss' or 'last_epoch'; "
        "received: 'validation_acuracy'. Did you mean 'validation_accuracy'?",
    ),
    (
        {"corpora.faces.classes": ["angry", "hapy"]},
        f"corpora.faces.classes.1: allowed: {CLASSES}; received: 'hapy'. Did you mean 'happy'?",
    ),
    # names
    (
        {f"{RUN}.model.name": "custom_cn"},
        f"{RUN}.model.name: unknown name; Did you mean 'custom_cnn'? allowed: MODELS; received: 'custom_cn'",
    ),
    (
        {"corpora.faces.reader": "fer2031"},
        "corpora.faces.reader: unknown name; Did you mean 'fer2013'? allowed: CORPORA; received: 'fer2031'",
    ),
    (
        {f"{RECIPE}.optimizer.name": "adm"},
        f"{RECIPE}.optimizer.name: unknown name; Did you mean 'adam'? allowed: OPTIMIZERS; received: 'adm'",
    ),
    (
        {"splits.faces.protocol": "oficial"},
        "splits.faces.protocol: unknown name; Did you mean 'official'? allowed: PROTOCOLS; received: 'oficial'",
    ),
    ({f"{RUN}.model.name": MISSING}, f"{RUN}.model.name: missing; allowed: MODELS"),
    ({f"{RUN}.model.name": ["x"]}, f"{RUN}.model.name: unknown name; allowed: MODELS; received: ['x']"),
    # missing keys
    ({f"{RECIPE}.batch_size": MISSING}, f"{RECIPE}.batch_size: missing"),
    ({f"{RECIPE}.optimizer.lr": MISSING}, f"{RECIPE}.optimizer.lr: missing"),
    ({"prepare": MISSING}, "prepare: missing"),
    ({"corpora": MISSING}, "corpora: missing"),
    # a scalar or nothing where a section belongs
    ({"machine": None}, "machine: allowed: a mapping; received: null"),
    ({"corpora": 3}, "corpora: allowed: a mapping; received: 3"),
    ({"corpora.faces": "synthetic"}, "corpora.faces: allowed: a mapping; received: 'synthetic'"),
    ({"runs": None}, "runs: allowed: a mapping; received: null"),
    ({"runs": {}}, "runs: allowed: 1 or more of them; received: {}"),
    ({f"{RECIPE}.loss": "none"}, f"{RECIPE}.loss: allowed: a mapping; received: 'none'"),
    (
        {f"{RUN}.model": "custom_cnn"},
        f"{RUN}.model: allowed: a mapping {{name: …, <option>: …}}; received: 'custom_cnn'",
    ),
    (
        {f"{RECIPE}.augmentation": "faces"},
        f"{RECIPE}.augmentation: allowed: a mapping {{name: …, <option>: …}} or null; received: 'faces'",
    ),
    # sources
    (
        {"corpora.faces.source": "/data/fer2013.zip"},
        "corpora.faces.name: missing; a real source needs a name (such as FER-2013), shown with every figure",
    ),
    (
        {"corpora.faces.source": "https://example.org/fer.zip", "corpora.faces.name": "FER-2013"},
        "corpora.faces.checksum: missing; a URL needs 'sha256:<hex>' or 'md5:<hex>'",
    ),
    (
        {"corpora.faces.source": "data/fer2013.zip", "corpora.faces.name": "FER-2013"},
        f"corpora.faces.source: allowed: {SOURCES}; received: 'data/fer2013.zip'",
    ),
    (
        {"corpora.faces.source": "sythetic"},
        f"corpora.faces.source: allowed: {SOURCES}; received: 'sythetic'",
    ),
    (
        {"corpora.faces.source": "kaggle:fer2013", "corpora.faces.name": "FER-2013"},
        f"corpora.faces.source: allowed: {SOURCES}; received: 'kaggle:fer2013'",
    ),
    (
        {"corpora.faces.checksum": "abc"},
        "corpora.faces.checksum: allowed: sha256:<64 hex digits> or md5:<32 hex digits>; received: 'abc'",
    ),
    # sections that contradict each other
    (
        {f"{RUN}.corpus": "face"},
        f"{RUN}.corpus: allowed: 'faces', its dataset's; received: 'face'",
    ),
    (
        {f"{RUN}.dataset": "face"},
        f"{RUN}.dataset: unknown name; Did you mean 'faces'? allowed: faces; received: 'face'",
    ),
    (
        {"datasets.faces.corpus": "speech"},
        "datasets.faces.corpus: unknown name; allowed: faces; received: 'speech'",
    ),
    ({"splits.faces": MISSING}, "splits.faces: missing; every corpus needs a split"),
    ({"splits.face": SMALL["splits"]["faces"]}, "splits.face: no such corpus; Did you mean 'faces'? allowed: faces"),
    # classes and their weights
    (
        {"corpora.faces.classes": ["happy", "sad", "happy"]},
        "corpora.faces.classes: 'happy' stands 2 times; allowed: each class once",
    ),
    ({"corpora.faces.classes": ["happy"]}, "corpora.faces.classes: allowed: 2 or more of them; received: ['happy']"),
    (
        {f"{RECIPE}.loss.class_weights": "blanced"},
        f"{RECIPE}.loss.class_weights: allowed: 'none' or 'balanced' or a mapping; received: 'blanced'. "
        "Did you mean 'balanced'?",
    ),
    (
        {f"{RECIPE}.loss.class_weights": 2},
        f"{RECIPE}.loss.class_weights: allowed: 'none' or 'balanced' or a mapping; received: 2",
    ),
    (
        {f"{RECIPE}.loss.class_weights": {"angry": 1.0, "happy": 1.0, "sad": -1.0}},
        f"{RECIPE}.loss.class_weights.sad: allowed: more than 0; received: -1.0",
    ),
    (
        {f"{RECIPE}.loss.class_weights": {"angry": 1.0, "fear": 1.0}},
        f"{RECIPE}.loss.class_weights: allowed: one weight for each of angry, happy, sad; received: angry, fear",
    ),
    # groups kept apart
    (
        {"splits.faces.folds": 5},
        "splits.faces.folds: allowed: null with this protocol; received: 5",
    ),
    (
        {"splits.faces.test_groups": [["a"], ["b"]]},
        "splits.faces.test_groups: allowed: null with this protocol; received: [['a'], ['b']]",
    ),
    (
        {"splits.faces": GROUPED},
        "splits.faces: allowed: one of folds and test_groups, with protocol group_disjoint; received: neither",
    ),
    (
        {"splits.faces": {**GROUPED, "folds": 2, "test_groups": [["a"], ["b"]]}},
        "splits.faces: allowed: one of folds and test_groups, with protocol group_disjoint; "
        "received: folds and test_groups",
    ),
    (
        {f"{RECIPE}.monitor": "last_epoch", f"{RECIPE}.early_stopping": 5, f"{RECIPE}.schedule": {"name": "constant"}},
        f"{RECIPE}.early_stopping: allowed: null with monitor last_epoch; received: 5",
    ),
    (
        {
            f"{RECIPE}.monitor": "last_epoch",
            f"{RECIPE}.early_stopping": None,
            f"{RECIPE}.schedule": {"name": "plateau"},
        },
        f"{RECIPE}.schedule.name: allowed: any but plateau with monitor last_epoch; received: 'plateau'",
    ),
    (
        {f"{RECIPE}.augmentation": {"name": "speech"}},
        f"{RECIPE}.augmentation.name: allowed: one for the feature 'faces', (channel, height, width); "
        "received: 'speech', for (time, mel)",
    ),
    ({"splits.faces": {**GROUPED, "folds": 1}}, "splits.faces.folds: allowed: 2 or more or null; received: 1"),
    ({"splits.faces": {**GROUPED, "folds": 6, "fold": 6}}, "splits.faces.fold: allowed: 0 to 5; received: 6"),
    (
        {"splits.faces": {**GROUPED, "test_groups": [["a"], ["b"]], "fold": 2}},
        "splits.faces.fold: allowed: 0 to 1; received: 2",
    ),
    (
        {"splits.faces": {**GROUPED, "test_groups": [["a", "b"], ["c", "a"]]}},
        "splits.faces.test_groups: 'a' stands 2 times; allowed: each group once",
    ),
    (
        {"splits.faces": {**GROUPED, "test_groups": [[1], ["b"]]}},
        "splits.faces.test_groups.0.0: allowed: text; received: 1",
    ),
    (
        {"splits.faces": {**GROUPED, "test_groups": [[["a"]], ["b"]]}},
        "splits.faces.test_groups.0.0: allowed: text; received: ['a']",
    ),
    (
        {"splits.faces": {**GROUPED, "test_groups": [["a"], []]}},
        "splits.faces.test_groups.1: allowed: 1 or more of them; received: []",
    ),
    # what a spectrogram has no room for
    (
        {"datasets.faces.feature": {**MEL, "f_max_hz": 8000.5}},
        "datasets.faces.feature.f_max_hz: allowed: half of sample_rate_hz (16000) or less; received: 8000.5",
    ),
    (
        {"datasets.faces.feature": {**MEL, "f_min_hz": 8000.0}},
        "datasets.faces.feature.f_min_hz: allowed: less than f_max_hz (8000.0); received: 8000.0",
    ),
    (
        {"datasets.faces.feature": {**MEL, "hop_ms": 25.5}},
        "datasets.faces.feature.hop_ms: allowed: window_ms (25.0) or less; received: 25.5",
    ),
    (
        {"datasets.faces.feature": {**MEL, "hop_ms": 0.03}},
        "datasets.faces.feature.hop_ms: allowed: one sample or more, of 16000 a second; received: 0.03",
    ),
    (
        {"datasets.faces.feature": {**MEL, "duration_s": 0.02}},
        "datasets.faces.feature.window_ms: allowed: duration_s (0.02) or less; received: 25.0",
    ),
    (
        {"datasets.faces.feature": {**MEL, "n_mels": 0}},
        "datasets.faces.feature.n_mels: allowed: more than 0; received: 0",
    ),
    # frequencies that are gone before the bands of EEG are taken
    (
        {"datasets.faces.feature": {**EEG, "low_hz": 2.0}},
        "datasets.faces.feature.low_hz: allowed: 1 or less, where the delta band begins; received: 2.0",
    ),
    (
        {"datasets.faces.feature": {**EEG, "high_hz": 45}},
        "datasets.faces.feature.high_hz: allowed: 50 or more, where the gamma band ends; received: 45",
    ),
    (
        {"datasets.faces.feature": {**EEG, "resample_hz": 120}},
        "datasets.faces.feature.resample_hz: allowed: more than twice high_hz (60.0), or null; received: 120",
    ),
    (
        {"datasets.faces.feature": {**EEG, "channels": ["Cz", "Fp1", "Cz"]}},
        "datasets.faces.feature.channels: 'Cz' stands 2 times; allowed: each channel once",
    ),
    (
        {"datasets.faces.feature": {**EEG, "channels": []}},
        "datasets.faces.feature.channels: allowed: 1 or more of them; received: []",
    ),
    (
        {"datasets.faces.feature": {**MEL, "sample_rate_hz": 400_000}},
        "datasets.faces.feature.sample_rate_hz: allowed: 384000 or less; received: 400000",
    ),
    (
        {"datasets.faces.feature": {**MEL, "n_mels": 600, "f_min_hz": 50.0}},
        "datasets.faces.feature.n_mels: bands that hold no frequency of the transform; "
        "allowed: 188 or fewer with this window_ms (25.0); received: 600",
    ),
    (
        {"datasets.faces.feature": {**MEL, "window_ms": 0.07, "hop_ms": 0.07}},
        "datasets.faces.feature.n_mels: bands that hold no frequency of the transform; "
        "allowed: a longer window_ms; received: 64",
    ),
    (
        {"datasets.faces.feature": {**MEL, "duration_s": 1e5}},
        "datasets.faces.feature: allowed: 134,217,728 values a sample or fewer; "
        "received: 640,000,064 (time 10,000,001 x mel 64)",
    ),
    (
        {"datasets.faces.feature": {**EEG, "max_windows": 10**8}},
        "datasets.faces.feature: allowed: 134,217,728 values a sample or fewer; "
        "received: 200,000,000 (time 100,000,000 x electrode 2)",
    ),
    # classes and groups that the reader does not know
    (
        {"corpora.faces.classes": ["angry", "calm", "sad"]},
        "corpora.faces.classes.1: no class of reader 'fer2013'; "
        "allowed: angry, disgust, fear, happy, sad, surprise, neutral; received: 'calm'",
    ),
    (
        {"corpora.faces.reader": "ravdess", "corpora.faces.classes": ["angry", "boredom"]},
        "corpora.faces.classes.1: no class of reader 'ravdess'; "
        "allowed: neutral, calm, happy, sad, angry, fear, disgust, surprise; received: 'boredom'",
    ),
    (
        {**REAL, "corpora.faces.reader": "speech_folder", "corpora.faces.classes": ["rest", "happy"]},
        "corpora.faces.classes.0: no class of reader 'speech_folder'; allowed: angry, disgust, fear, happy, sad, "
        "surprise, neutral, contempt, calm, boredom; received: 'rest'",
    ),
    (
        {"datasets.faces.normalize_groups": "mean", "corpora.faces.reader": "ravdess"},
        "datasets.faces.normalize_groups: allowed: none with the feature 'faces', which is kept in whole numbers; "
        "received: 'mean'",
    ),
    (
        {"datasets.faces.feature": MEL, "datasets.faces.normalize_groups": "mean_sd"},
        "datasets.faces.normalize_groups: allowed: none with reader 'fer2013', which knows no speakers or subjects; "
        "received: 'mean_sd'",
    ),
    # models that the prepared samples do not fit
    (
        {f"{RUN}.model": {"name": "adafnn"}},
        f"{RUN}.model.name: allowed: one for the feature 'faces', (channel, height, width); "
        "received: 'adafnn', for (time, mel)",
    ),
    (
        {"datasets.faces.feature": MEL, f"{RUN}.model": {"name": "keras_cnn"}},
        f"{RUN}.model.name: allowed: one for the feature 'mel', (time, mel); "
        "received: 'keras_cnn', for (channel, height, width)",
    ),
    (
        {f"{RUN}.model": {"name": "keras_cnn"}, "datasets.faces.feature.size_px": 7},
        f"datasets.faces.feature.size_px: allowed: 8 or more for {RUN}.model (keras_cnn); received: 7",
    ),
    (
        {**REAL, f"{RUN}.model": {"name": "keras_cnn"}, "datasets.faces.feature.size_px": 7},
        f"datasets.faces.feature.size_px: allowed: 8 or more for {RUN}.model (keras_cnn); received: 7",
    ),
    (
        {f"{RUN}.model.widths": [8] * 5},
        f"{RUN}.model.widths: allowed: 4 entries or fewer, each halving datasets.faces.feature.size_px (24); "
        "received: 5",
    ),
    (
        {"datasets.faces.feature": EEG, f"{RUN}.model": {"name": "eeg_cnn_lstm"}},
        f"{RUN}.model.widths: allowed: 1 entries or fewer, each halving datasets.faces.feature.channels (2); "
        "received: 2",
    ),
    (
        {
            "datasets.faces.feature": {"name": "eeg", "padding": "zero", "max_windows": 3},
            f"{RUN}.model": {"name": "eeg_cnn"},
        },
        f"{RUN}.model.widths: allowed: 1 entries or fewer, each halving datasets.faces.feature.max_windows (3); "
        "received: 2",
    ),
    (
        {"datasets.faces.feature": MEL, f"{RUN}.model": {"name": "adafnn", "stride_frames": 302}},
        f"{RUN}.model.stride_frames: allowed: 301 or less, the frames of its dataset; received: 302",
    ),
    (
        {"datasets.faces.feature": MEL, f"{RUN}.model": {"name": "adafnn", "context_frames": 302}},
        f"{RUN}.model.context_frames: allowed: 301 or less, the frames of its dataset; received: 302",
    ),
    (
        {"datasets.faces.feature": MEL, f"{RUN}.model": {"name": "adafnn", "transformer_heads": 5}},
        f"{RUN}.model.transformer_width: allowed: a multiple of transformer_heads (5); received: 64",
    ),
    (
        {"datasets.faces.feature": EEG, f"{RUN}.model": {"name": "eeg_transformer", "width": 30}},
        f"{RUN}.model.width: allowed: a multiple of heads (4); received: 30",
    ),
    # keys, which form stage names and paths
    (
        {"runs.Faces": SMALL["runs"]["faces_custom_cnn"]},
        "runs.Faces: allowed: a key (text) of a-z, 0-9, _ and -; received: 'Faces'",
    ),
    (
        {"runs.a@b": SMALL["runs"]["faces_custom_cnn"]},
        "runs.a@b: allowed: a key (text) of a-z, 0-9, _ and -; received: 'a@b'",
    ),
    (
        {"runs": {3: SMALL["runs"]["faces_custom_cnn"]}},
        "runs.3: allowed: a key (text) of a-z, 0-9, _ and -; received: 3",
    ),
]


def spelled_out(line):
    """Names that more corpora and models will join stand for all there are."""
    rooms = {"MODELS": "models", "CORPORA": "corpora"}
    rooms |= {"OPTIMIZERS": "training.optimizers", "PROTOCOLS": "datasets.protocols"}
    for word, room in rooms.items():
        line = line.replace(word, ", ".join(params.lookup.names(room)))
    return line


@pytest.mark.parametrize(("changes", "line"), ONE_LINE, ids=[line[:60] for _, line in ONE_LINE])
def test_one_mistake_gives_one_line(tmp_path, changes, line):
    assert mistakes(tmp_path, changed(**changes)) == [spelled_out(line)]


@pytest.mark.parametrize(
    "change",
    [
        {"splits.faces": {**GROUPED, "folds": 6, "fold": 5}},
        {"splits.faces": {**GROUPED, "protocol": "stratified", "folds": 6, "fold": 5, "validation_fraction": 0.5}},
        {"splits.faces": {**GROUPED, "test_groups": [["01", "02"], ["03"]], "fold": 1}},
        {"splits.faces": {**GROUPED, "folds": 2, "validation_fraction": 0.5}},  # of groups: nothing else is halved
        {"datasets.faces.feature": MEL},
        {
            "datasets.faces.feature": {**MEL, "hop_ms": 25.0, "duration_s": 0.025, "trim_db": None},
            f"{RUN}.model": {"name": "adafnn", "stride_frames": 1},
        },
        {"datasets.faces.feature": {**MEL, "sample_rate_hz": 11_025, "f_max_hz": 5512.5, "hop_ms": 0.1}},
        {"datasets.faces.feature": {**MEL, "window_ms": 25, "hop_ms": 10, "duration_s": 3, "f_max_hz": 8000}},
        {"datasets.faces.feature": EEG},
        {"datasets.faces.feature": {**EEG, "resample_hz": None, "notch_hz": None, "low_hz": 1, "high_hz": 50}},
        {"datasets.faces.feature": {**MEL, "n_mels": 188, "f_min_hz": 50.0, "window_ms": 25.0}},
        {
            "datasets.faces.feature": MEL,
            f"{RUN}.model": {"name": "adafnn", "stride_frames": 301, "context_frames": 301},
        },
        {"datasets.faces.feature": EEG, f"{RUN}.model": {"name": "eeg_lstm", "layers": 2}},
        {"datasets.faces.normalize_groups": "none"},
        {"datasets.faces.feature": MEL, "datasets.faces.normalize_groups": "mean", "corpora.faces.reader": "ravdess"},
        {f"{RUN}.model.widths": [8] * 4},
        {f"{RUN}.model": {"name": "keras_cnn"}, "datasets.faces.feature.size_px": 8},
        {**REAL, "corpora.faces.reader": "eeg_folder", "corpora.faces.classes": ["rest", "arithmetic"]},
        {**REAL, "corpora.faces.reader": "speech_folder", "corpora.faces.classes": ["contempt", "calm", "boredom"]},
    ],
)
def test_choices_that_go_together(tmp_path, change):
    params.load(write(tmp_path, changed(**change)))


def test_all_that_is_wrong_with_a_spectrogram_at_once(tmp_path):
    wrong = {"f_min_hz": 9500.0, "f_max_hz": 9000.0, "hop_ms": 40.0, "window_ms": 30.0, "duration_s": 0.01}
    lines = mistakes(tmp_path, changed(**{"datasets.faces.feature": {**MEL, **wrong}}))
    assert [line.split(":")[0].split(".")[-1] for line in lines] == ["f_max_hz", "f_min_hz", "hop_ms", "window_ms"]


def test_all_mistakes_at_once(tmp_path):
    content = changed(**{"sead": 1, f"{RECIPE}.batch_size": 0, f"{RECIPE}.optimizer.lr": "x", "splits.faces": MISSING})
    assert [line.split(":")[0] for line in mistakes(tmp_path, content)] == [
        f"{RECIPE}.batch_size",
        "sead",
        f"{RECIPE}.optimizer.lr",
        "splits.faces",
    ]


@pytest.mark.parametrize(
    "where",
    ["", "machine.", "runs.", "corpora.", "datasets.", "splits.", f"{RUN}.", f"{RUN}.model.", f"{RECIPE}.optimizer."],
)
@pytest.mark.parametrize("value", [1, {"name": "x"}], ids=["scalar", "mapping"])
def test_a_key_that_looks_like_pydantics_word_for_one(tmp_path, where, value):
    """pydantic says "[key]" where a key itself is wrong: a user's key may be called that too."""
    assert any("[key]" in line for line in mistakes(tmp_path, changed(**{f"{where}[key]": value})))


def test_run_of_a_corpus_with_another_datasets_corpus(tmp_path):
    content = changed(**{"corpora.others": SMALL["corpora"]["faces"], "splits.others": SMALL["splits"]["faces"]})
    content["runs"]["faces_custom_cnn"]["corpus"] = "others"
    assert mistakes(tmp_path, content) == [f"{RUN}.corpus: allowed: 'faces', its dataset's; received: 'others'"]


def eeg(dataset_pads, **augmentation):
    """SMALL with trials in the place of faces."""
    feature = {"name": "eeg", "padding": dataset_pads, "max_windows": 74}
    choices = {
        f"{RUN}.model": {"name": "eeg_dnn"},
        f"{RECIPE}.augmentation": {"name": "eeg", "noise": 0.1} | augmentation,
    }
    return changed(**{"datasets.faces.feature": feature}, **choices)


@pytest.mark.parametrize("padding", ["zero", "average"])
def test_augmentation_pads_as_its_dataset(tmp_path, padding):
    where, other = f"{RECIPE}.augmentation.padding", {"zero": "average", "average": "zero"}[padding]
    params.load(write(tmp_path, eeg(padding, padding=padding)))
    expected = f"{where}: allowed: '{padding}', its dataset's; received: '{other}'"
    assert mistakes(tmp_path, eeg(padding, padding=other)) == [expected]
    assert [line.split(":")[0] for line in mistakes(tmp_path, eeg(padding))] == [where]  # missing


def test_zeros_that_normalising_moved_are_not_padded_with(tmp_path):
    """Of the padding: the dataset's has become -mean / sd of the subject, augmentation's would still be 0."""
    content = eeg("zero", padding="zero")
    content["datasets"]["faces"]["normalize_groups"] = "mean_sd"
    (line,) = [found for found in mistakes(tmp_path, content) if "augmentation" in found]
    assert line.startswith(f"{RECIPE}.augmentation.padding: allowed: average, since its dataset's normalize_groups")


@pytest.mark.parametrize(
    "source", ["kaggle:msambare/fer2013", "kaggle:msambare/fer2013/versions/1", "/data/fer2013.zip", "/data/fer2013"]
)
def test_real_sources(tmp_path, source):
    params.load(write(tmp_path, changed(**{"corpora.faces.source": source, "corpora.faces.name": "FER-2013"})))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "allowed: a mapping with SECTIONS; received: an empty file"),
        ("# only a comment\n", "allowed: a mapping with SECTIONS; received: an empty file"),
        ("- seed\n- 7\n", "allowed: a mapping with SECTIONS; received: ['seed', 7]"),
        ("seed", "allowed: a mapping with SECTIONS; received: 'seed'"),
        (
            "seed: 7\nseed: 8\n",
            "line 2: not valid YAML: duplicate key 'seed'",
        ),
        ("seed: [7\n", "line 2: not valid YAML: did not find expected ',' or ']'"),
        ("seed: 7\n\tmachine: 3\n", "line 2: not valid YAML: found a tab character that violates indentation"),
        (
            "seed: !!python/object:os.system 7\n",
            "line 1: not valid YAML: could not determine a constructor for the tag "
            "'tag:yaml.org,2002:python/object:os.system'",
        ),
        ("seed: 2024-13-45\n", "not valid YAML: 'month must be in 1..12'"),
    ],
)
def test_what_is_no_mapping(tmp_path, text, line):
    sections = "seed, machine, prepare, corpora, datasets, splits, recipes, runs, studies"
    assert mistakes(tmp_path, text) == [line.replace("SECTIONS", sections)]


@pytest.mark.parametrize("content", [b"seed: \xff\n", b"\x00\x01", b"[" * 700, b"seed: " + b"9" * 5000])
def test_hostile_bytes(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError):
        params.load(path)


def test_aliases_that_multiply(tmp_path):
    """Ten levels of ten aliases are 10^10 entries to whoever writes them out."""
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert len(mistakes(tmp_path, "\n".join(levels) + "\nseed: *a9\n")) > 10


def test_keys_with_control_characters_stay_on_their_line(tmp_path):
    lines = mistakes(tmp_path, changed(**{"a\nb\x1b[2J": 1}))
    assert len(lines) == 1
    assert lines[0].startswith(r"a\nb\x1b[2J: unknown key; allowed: seed")


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("number", ["3e-4", "1e-3", "5.0E-4", "1e-07"])
def test_numbers_as_dvc_writes_them(tmp_path, number):
    text = COMMITTED.replace("lr: 0.001", f"lr: {number}", 1)
    assert text != COMMITTED
    assert params.load(write(tmp_path, text)).runs["faces_keras_cnn"].optimizer["lr"] == float(number)


def test_params_are_frozen(tmp_path):
    loaded = params.load(write(tmp_path, SMALL))
    with pytest.raises(ValueError, match="frozen"):
        loaded.runs["faces_custom_cnn"].batch_size = 3


def test_command_says_in_order_or_each_mistake(tmp_path):
    good = write(tmp_path, SMALL)
    bad = write(tmp_path / "bad", changed(seed=-1, sead=7)) if (tmp_path / "bad").mkdir() is None else None
    results = [
        subprocess.run([sys.executable, "-m", "stages.checks.params", path], cwd=ROOT, capture_output=True, text=True)
        for path in (good, bad)
    ]
    assert (results[0].returncode, results[0].stderr) == (0, "")
    assert results[0].stdout == f"{good} is valid (1 corpora, 1 datasets, 1 recipes, 1 runs, 0 studies)\n"
    assert (results[1].returncode, results[1].stdout) == (1, "")
    assert [line.split(": ")[:3] for line in results[1].stderr.splitlines()] == [
        ["error", str(bad), "seed"],
        ["error", str(bad), "sead"],
    ]


def places(content, path=()):
    """The path of every leaf and subtree."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates(), st.binary(max_size=4),
    st.sampled_from(["name", "none", "int", "faces", "custom_cnn", "dict[str,x]", "[key]", ".", "a.b"]),
)  # fmt: skip
junk = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars.filter(lambda k: k == k), inner, max_size=3),
    max_leaves=6,
)


FORMS = [
    {},
    {"datasets.faces.feature": MEL, "splits.faces": {**GROUPED, "test_groups": [["a"], ["b", "c"]]}},
]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_junk_anywhere_is_a_user_error(monkeypatch, data):
    content = copy.deepcopy(changed(**data.draw(st.sampled_from(FORMS))))
    for _ in range(data.draw(st.integers(1, 3))):
        *folders, last = data.draw(st.sampled_from(list(places(content))))
        at = content
        for key in folders:
            at = at[key]
        if isinstance(at, dict) and data.draw(st.booleans()):
            at[data.draw(scalars)] = data.draw(junk)
        else:
            at[last] = data.draw(junk)
    with monkeypatch.context() as patch:
        patch.setattr(params, "_read", lambda _: content)
        try:
            params.load(Path("params.yaml"))
        except UserError as error:
            told = str(error).splitlines()
        else:
            told = []
    assert all(line.startswith("params.yaml: ") for line in told)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_the_text_is_a_user_error(tmp_path, data):
    start = data.draw(st.integers(0, len(COMMITTED)))
    length = data.draw(st.integers(0, 20))
    inserted = data.draw(st.text(alphabet="abz019 \n\t:-[]{}&*!|>'\"%@`#?,.~\\\x00é", max_size=6))
    with contextlib.suppress(UserError):
        params.load(write(tmp_path, COMMITTED[:start] + inserted + COMMITTED[start + length :]))
