"""A small copy of the whole project in its own git repository, driven by `dvc` as a user would."""

import csv
import io
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from dvc.utils.serialize import modify_yaml
from PIL import Image

from stages.params.load import parse

ROOT = Path(__file__).parents[1]

RUN = "faces_custom_cnn"
SIZE = 140  # synthetic faces


@pytest.fixture(autouse=True)
def one_thread_and_seed(request):
    """Give the tests of models the same random weights and inputs in every run, on one thread."""
    if request.path.parent.name == "models":
        import torch

        torch.manual_seed(0)
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def faces_model():
    """A run on small faces with random weights."""
    from small_models import FACES_RUN, small_model  # imports torch

    return small_model(FACES_RUN)


@pytest.fixture(scope="session")
def faces_graph(faces_model):
    """The same run as an ONNX graph."""
    from stages.export import graph

    return graph.export(faces_model)


def pytest_collection_modifyitems(items):
    """Run the longest files first, so that both processes end at about the same time."""
    longest = ("test_end_to_end", "test_frame", "test_two_processes", "test_resume")
    items.sort(key=lambda item: longest.index(item.path.stem) if item.path.stem in longest else len(longest))


@dataclass(frozen=True)
class Clone:
    """A copy of the project with git and DVC of its own."""

    root: Path
    environment: dict[str, str]

    def run(self, *command, status=0):
        """Run a command there; return its standard output, with standard error where it must fail."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, encoding="utf-8"
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == (status == 0), f"{' '.join(command)} gave {done.returncode}:\n{output}"
        return done.stdout if status == 0 else output

    def stages_run(self, *command):
        """Run a dvc command; return the stages that it executed, in order."""
        lines = self.run(*command).splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage '")]

    def edit_params(self, change):
        """Apply `change` to the params, keeping comments, as `dvc exp run -S` does."""
        with modify_yaml(self.root / "params.yaml") as params:
            change(params)

    def outputs(self):
        """Return {path: bytes} of all outputs of the stages: data without logs, metrics and plots."""
        folders = ("data/raw", "data/prepared", "data/splits", "data/models", "data/predictions", "metrics", "plots")
        files = (path for folder in folders for path in sorted((self.root / folder).rglob("*")) if path.is_file())
        kept = (path for path in files if path.name != ".gitignore")
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory):
    """Return a function that copies the working tree, with uncommitted changes, and commits it there."""

    def make():
        root = tmp_path_factory.mktemp("clone") / "project"
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, target = ROOT / name, root / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        clone = Clone(root, _environment(tmp_path_factory.mktemp("home")))
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
            clone.run("git", *command)
        return clone

    return make


def _environment(home):
    """Return our environment without the user's DVC caches, git identity and the settings of pytest."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "DVC_", "PYTEST_", "VENV"))}
    names = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {
        **kept,
        **names,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(home / "config"),
        "DVC_NO_ANALYTICS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": "",
    }


def shrink(params):
    """Reduce the params to one run on few faces for one epoch."""
    run = {**params["runs"][RUN], "model": {"name": "custom_cnn", "widths": [4, 4], "hidden": 8}, "max_epochs": 1}
    params["runs"] = {RUN: run}
    params["recipes"] = {"faces_custom": params["recipes"]["faces_custom"]}
    for section in ("corpora", "datasets", "splits"):
        params[section] = {"faces": params[section]["faces"]}
    params["corpora"]["faces"]["synthetic"].update(size=SIZE)
    params["studies"] = {RUN: {**params["studies"][RUN], "n_trials": 2, "max_epochs": 1}}
    params |= {"ensembles": {}, "distillations": {}}
    params["machine"].update(accelerator="cpu", devices=1, threads=1, workers=1)


def add(params, corpus, datasets, runs, **synthetic):
    """Add the committed blocks of a corpus and of some runs on it, each for one epoch."""
    committed = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, keys in (("corpora", [corpus]), ("splits", [corpus]), ("datasets", datasets)):
        params[section].update({key: committed[section][key] for key in keys})
    params["corpora"][corpus]["synthetic"].update(synthetic)
    for run in runs:
        params["runs"][run] = committed["runs"][run] | {"max_epochs": 1}
        params["recipes"][committed["runs"][run]["recipe"]] = committed["recipes"][committed["runs"][run]["recipe"]]


def add_speech(params):
    """Add speech of five speakers."""
    add(params, "speech", ["speech"], ["speech_adafnn"], size=60)
    params["splits"]["speech"].update(folds=2, validation_fraction=0.2)


def add_eeg(params):
    """Add EEG of one subject: an LSTM that reads the padding, and one that masks it."""
    add(params, "eeg", ["eeg_zero"], ["eeg_lstm_zero", "eeg_lstm_mask"], size=1)


def add_portraits(params):
    """Add few small portraits: a backbone without and with attention."""
    add(params, "portraits", ["portraits"], ["portraits_cnn", "portraits_cnn_attention"], size=100)
    params["datasets"]["portraits"]["feature"]["size_px"] = 16
    params["splits"]["portraits"].update(validation_fraction=0.25)


def only_speech(params):
    """Replace everything by `add_speech`."""
    for section in ("corpora", "datasets", "splits", "recipes", "runs", "studies"):
        params[section].clear()
    params |= {"ensembles": {}, "distillations": {}}
    add_speech(params)


def keep_folders_of_ensembles(clone):
    """Make the folders that the report reads, which a project without ensembles has from git."""
    for folder in ("plots", "metrics"):
        (clone.root / folder / "ensembles").mkdir(parents=True)
        (clone.root / folder / "ensembles/.gitkeep").touch()


def as_real_folder(clone, archive):
    """Write the synthetic faces in a common layout of FER-2013: train/angry/Training_12.jpg, without PrivateTest."""
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    with zipfile.ZipFile(clone.root / "data/raw/faces.zip") as synthetic, zipfile.ZipFile(archive, "w") as made:
        rows = csv.DictReader(io.TextIOWrapper(synthetic.open("fer2013.csv"), encoding="utf-8"))
        for number, row in enumerate(rows):
            folder, part = ("train", "Training") if row["Usage"] == "Training" else ("test", "PublicTest")
            pixels = np.array(row["pixels"].split(), dtype=np.uint8).reshape(48, 48)
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "JPEG")
            made.writestr(f"{folder}/{names[int(row['emotion'])]}/{part}_{number}.jpg", content.getvalue())
    return archive


@pytest.fixture(scope="session")
def reproduced(make_clone):
    """A small copy in which `dvc repro` has run from scratch, committed; and the stages that ran."""
    clone = make_clone()
    clone.edit_params(shrink)
    # those of the committed params belong to other runs
    for folder in ("plots", "metrics"):
        shutil.rmtree(clone.root / folder, ignore_errors=True)
    keep_folders_of_ensembles(clone)
    (clone.root / "dvc.lock").unlink(missing_ok=True)
    stages = clone.stages_run("dvc", "repro")
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "small, reproduced")
    return clone, stages
