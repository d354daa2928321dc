"""Prepared small synthetic corpora, and run folders of untrained models on them."""

import atexit
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch

import torch
import yaml
from conftest import ROOT, add_eeg, add_speech, shrink

from stages import download, prepare
from stages.checks.params import load
from stages.datasets.statistics import mean_and_sd
from stages.datasets.store import Store
from stages.params.load import parse
from stages.training import model_folder

RUNS = {"faces": "faces_custom_cnn", "speech": "speech_adafnn", "eeg": "eeg_lstm_mask"}
DATASETS = {"faces": "faces", "speech": "speech", "eeg": "eeg_zero"}
READERS = {"faces": "fer2013", "speech": "ravdess", "eeg": "seed_v"}


@dataclass(frozen=True)
class SmallRun:
    """The folder of a run, and its data: the synthetic archive, its reader and the prepared dataset."""

    folder: Path
    archive: Path
    reader: str
    dataset: Path


@cache
def small_run(corpus: str) -> SmallRun:
    """Return the run of a corpus. It is made once per test session, and its folder is removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="small_run"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for change in (shrink, add_speech, add_eeg):
        change(params)
    (root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    run = SmallRun(root / RUNS[corpus], root / f"{corpus}.zip", READERS[corpus], root / f"{corpus}.h5")
    files = ("--params", root / "params.yaml", "--archive", run.archive)
    run_stage(download, corpus, *files)
    run_stage(prepare, DATASETS[corpus], *files, "--output", run.dataset)
    save_untrained(run, root / "params.yaml", RUNS[corpus])
    return run


def run_stage(script, *arguments) -> None:
    """Call the main function of a stage or app with these command-line arguments."""
    with patch.object(sys, "argv", [script.__name__, *map(str, arguments)]):
        script.main()


def save_untrained(run: SmallRun, params: Path, key: str) -> None:
    """Save a run as `train` does; only the statistics of batch normalisation were updated, by one batch."""
    torch.manual_seed(0)
    with Store(run.dataset) as store:
        indices = torch.arange(len(store.label)).numpy()
        mean, sd = mean_and_sd(store, indices)
        described = {**asdict(store.description), "shape": list(store.sample_shape)}
        normaliser = {"mean": mean.tolist(), "sd": sd.tolist()}
        info = model_folder.describe(key, load(params).runs[key], described, normaliser, protocol="all samples")
        recogniser = model_folder.build(info).train()
        packed, length = torch.from_numpy(store.read_packed(indices[:32])), torch.from_numpy(store.length[:32])
        with torch.no_grad():
            recogniser(recogniser.unpack(packed), length)
    info |= {"best_epoch": 1, "epochs": 1}
    model_folder.save(run.folder, info, {name: recogniser.architecture.state_dict() for name in ("best", "final")})
