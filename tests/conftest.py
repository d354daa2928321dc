"""One small copy of the whole project, in its own git repository, driven through `dvc` as a user would."""

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
SIZE = 140  # faces drawn


def pytest_collection_modifyitems(items):
    """The longest files first: of two processes, none is to be left alone with them at the end."""
    longest = ("test_end_to_end", "test_frame", "test_resume")
    items.sort(key=lambda item: longest.index(item.path.stem) if item.path.stem in longest else len(longest))


@dataclass(frozen=True)
class Clone:
    """A copy of the project with git and DVC of its own."""

    root: Path
    environment: dict[str, str]

    def run(self, *command, status=0):
        """Run a command there; its standard output (and error where it is to fail)."""
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True, encoding="utf-8"
        )
        said = done.stdout + done.stderr
        assert (done.returncode == 0) == (status == 0), f"{' '.join(command)} gave {done.returncode}:\n{said}"
        return done.stdout if status == 0 else said

    def stages_run(self, *command):
        """The stages that a dvc command executed, in order."""
        lines = self.run(*command).splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage '")]

    def edit_params(self, change):
        """Apply `change` to the params, keeping comments, as `dvc exp run -S` does."""
        with modify_yaml(self.root / "params.yaml") as params:
            change(params)

    def outputs(self):
        """{path: bytes} of everything the stages produce: data (but logs), metrics and plots."""
        folders = ("data/raw", "data/prepared", "data/splits", "data/models", "data/predictions", "metrics", "plots")
        files = (path for folder in folders for path in sorted((self.root / folder).rglob("*")) if path.is_file())
        kept = (path for path in files if path.name != ".gitignore")
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in kept}


@pytest.fixture(scope="session")
def make_clone(tmp_path_factory):
    """Call it for a copy of the working tree as it is now, uncommitted changes and all, committed there."""

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
    """Ours, without what would tie the copy to this user: DVC's caches, git's identity, the tests' own settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "DVC_", "PYTEST_"))}
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
    """One run on few faces for one epoch, whatever else the committed params describe."""
    run = {**params["runs"][RUN], "model": {"name": "custom_cnn", "widths": [4, 4], "hidden": 8}, "max_epochs": 1}
    params["runs"] = {RUN: run}
    params["recipes"] = {"faces_custom": params["recipes"]["faces_custom"]}
    for section in ("corpora", "datasets", "splits"):
        params[section] = {"faces": params[section]["faces"]}
    params["corpora"]["faces"]["synthetic"].update(size=SIZE)
    params["studies"] = {RUN: {**params["studies"][RUN], "n_trials": 2, "max_epochs": 1}}
    params["machine"].update(accelerator="cpu", devices=1, threads=1, workers=1)


def add(params, corpus, datasets, runs, **synthetic):
    """The committed params' blocks of a corpus and of some runs on it, each for one epoch."""
    committed = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, keys in (("corpora", [corpus]), ("splits", [corpus]), ("datasets", datasets)):
        params[section].update({key: committed[section][key] for key in keys})
    params["corpora"][corpus]["synthetic"].update(synthetic)
    for run in runs:
        params["runs"][run] = committed["runs"][run] | {"max_epochs": 1}
        params["recipes"][committed["runs"][run]["recipe"]] = committed["recipes"][committed["runs"][run]["recipe"]]


def add_speech(params):
    """Speech of five speakers."""
    add(params, "speech", ["speech"], ["speech_adafnn"], size=60)
    params["splits"]["speech"].update(folds=2, validation_fraction=0.2)


def add_eeg(params):
    """EEG of one subject: an LSTM that reads the padding, and one that masks it."""
    add(params, "eeg", ["eeg_zero"], ["eeg_lstm_zero", "eeg_lstm_mask"], size=1)


def add_portraits(params):
    """Few small faces: a backbone without and with attention."""
    add(params, "portraits", ["portraits"], ["portraits_cnn", "portraits_cnn_attention"], size=100)
    params["datasets"]["portraits"]["feature"]["size_px"] = 16
    params["splits"]["portraits"].update(validation_fraction=0.25)


def only_speech(params):
    """`add_speech` in the place of whatever there is."""
    for section in ("corpora", "datasets", "splits", "recipes", "runs", "studies"):
        params[section].clear()
    add_speech(params)


def as_real_folder(clone, archive):
    """The drawn faces in the layout FER-2013 circulates in: train/angry/Training_12.jpg, without PrivateTest."""
    names = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    with zipfile.ZipFile(clone.root / "data/raw/faces.zip") as drawn, zipfile.ZipFile(archive, "w") as made:
        rows = csv.DictReader(io.TextIOWrapper(drawn.open("fer2013.csv"), encoding="utf-8"))
        for number, row in enumerate(rows):
            folder, part = ("train", "Training") if row["Usage"] == "Training" else ("test", "PublicTest")
            pixels = np.array(row["pixels"].split(), dtype=np.uint8).reshape(48, 48)
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "JPEG")
            made.writestr(f"{folder}/{names[int(row['emotion'])]}/{part}_{number}.jpg", content.getvalue())
    return archive


@pytest.fixture(scope="session")
def reproduced(make_clone):
    """A small copy in which `dvc repro` has run from nothing, committed; `.first` tells which stages ran."""
    clone = make_clone()
    clone.edit_params(shrink)
    # `plots` and `metrics` of the committed params would show runs that are not there.
    for folder in ("plots", "metrics"):
        shutil.rmtree(clone.root / folder, ignore_errors=True)
    (clone.root / "dvc.lock").unlink(missing_ok=True)
    stages = clone.stages_run("dvc", "repro")
    clone.run("git", "add", "-A")
    clone.run("git", "commit", "-qm", "small, reproduced")
    return clone, stages
