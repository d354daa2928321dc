"""Counts and ratios of `make bench`, on cases small enough to compute by hand; no test depends on a time."""

import sys
from itertools import count
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT
from small_store import DESCRIPTION, pictures, write_store

from benchmarks import bench, pipeline, trials
from stages.checks.params import load
from stages.datasets.batches import MemoryBatches
from stages.training import model_folder

PARAMS = load(ROOT / "params.yaml")
SAMPLES, BATCH, SIDE = 32, 8, 16


@pytest.fixture
def batches(tmp_path):
    path = write_store(tmp_path / "faces.h5", pictures(SAMPLES, 1, SIDE, SIDE))
    return MemoryBatches(path, np.arange(SAMPLES), BATCH, shuffle_seed=7)


def tiny(model, **changes):
    """Return a small version of a run of the committed params, and its model.json."""
    run = PARAMS.runs["faces_custom_cnn"].model_copy(update={"batch_size": BATCH, "model": model} | changes)
    dataset = vars(DESCRIPTION) | {"shape": [1, SIDE, SIDE]}
    return run, model_folder.describe("tiny", run, dataset, {"mean": [[[0.5]]], "sd": [[[0.25]]]})


def keras_products(side, n_classes):
    """Return the multiplications of a forward pass of the Keras CNN after its first layer, and in its first layer."""
    convolutions = ((32, 64, side), (64, 128, side // 2), (128, 256, side // 4))
    dense = ((256 * (side // 8) ** 2, 256), (256, 128), (128, n_classes))
    later = sum(n_in * n_out * 9 * px**2 for n_in, n_out, px in convolutions) + sum(a * b for a, b in dense)
    return later, 1 * 32 * 9 * side**2


def test_counts_flops_of_a_training_step(batches):
    """Two for each multiplication: forward, gradients of the weights, gradients of the inputs (not of the image)."""
    _, info = tiny({"name": "keras_cnn"})
    later, first = keras_products(SIDE, len(DESCRIPTION.classes))
    assert bench.flops_per_sample(info, batches) == pytest.approx(2 * (3 * later + 2 * first), rel=0.01)


def test_counts_flops_of_an_lstm(tmp_path):
    """Four gates of input and state at each step; gradients of the inputs only in the state and the classifier."""
    samples, steps, features, hidden, n_classes = 8, 6, 10, 4, len(DESCRIPTION.classes)
    path = write_store(tmp_path / "eeg.h5", np.zeros((samples, steps, features), np.float32))
    info = tiny({"name": "eeg_lstm", "hidden": hidden})[1]
    info["input"] |= {"shape": [steps, features]}
    info["normaliser"] = {"mean": [0.0] * features, "sd": [1.0] * features}
    of_input, of_state = steps * features * 4 * hidden, steps * hidden * 4 * hidden
    expected = 2 * (2 * of_input + 3 * of_state + 3 * hidden * n_classes)
    counted = bench.flops_per_sample(info, MemoryBatches(path, np.arange(samples), samples, shuffle_seed=7))
    assert counted == pytest.approx(expected, rel=0.1)


def test_ratio_is_the_median_over_pairs(monkeypatch):
    """Not the ratio of the medians, since a slow moment slows down both of a pair."""
    monkeypatch.setattr(bench, "MIN_PAIRS", 3)
    monkeypatch.setattr(bench, "MIN_SECONDS", 0.0)
    ours, baseline = iter([100.0, 10.0, 80.0]), iter([50.0, 20.0, 10.0])
    assert bench.ratio(lambda: next(ours), lambda: next(baseline)) == (80, 20, 2)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_loops_run(batches, precision):
    run, info = tiny({"name": "custom_cnn", "widths": [4], "hidden": 8}, precision=precision)
    assert bench.bare_loop_rate(info, run, batches) > 0
    assert bench.training_rate(info, run, PARAMS, batches) > 0
    assert bench.matrix_flops_per_s(run, side=64) > 0


def test_preparing_images_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "IMAGES", 21)
    archive = bench.write_jpegs(tmp_path)
    assert bench.images_per_s(archive, 1) > 0
    assert bench.pillow_images_per_s(archive) > 0


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_overhead_of_a_trial_excludes_its_epochs(tmp_path, monkeypatch):
    """Each reading of the clock is a second after the last: start, end of the first epoch, of the second, end."""
    monkeypatch.setattr(trials, "TRIALS", 2)
    monkeypatch.setattr(trials, "time", SimpleNamespace(perf_counter=count().__next__))
    monkeypatch.setattr(trials, "EPOCHS", 2)
    run = PARAMS.runs["faces_custom_cnn"]
    run = run.model_copy(update={"model": {"name": "custom_cnn", "widths": [4], "hidden": 8}})
    path = write_store(tmp_path / "faces.h5", pictures(SAMPLES, 1, SIDE, SIDE))
    params = PARAMS.model_copy(update={"runs": {"faces_custom_cnn": run}})
    assert trials.overhead_s("faces_custom_cnn", params, path) == 1


def test_prints_times_of_the_pipeline(monkeypatch, capsys):
    """No command is run."""
    commands = []

    def seconds(command, folder=None):
        commands.append([str(word) for word in command])
        return 2.0 if command[-1] == "import torch" else 3.0

    monkeypatch.setattr(pipeline, "seconds", seconds)
    pipeline.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("start-up, import torch 2.00 s: download x1.50, ")
    assert lines[1:] == ["dvc repro with nothing to do: 3.0 s", *(f"make repro JOBS={n}: 0.1 minutes" for n in (1, 2))]
    assert [words[2] for words in commands if words[0] == "make"] == ["JOBS=1", "JOBS=2"]


def test_raises_where_a_timed_command_fails():
    with pytest.raises(RuntimeError, match="no such thing"):
        pipeline.seconds([sys.executable, "-c", "raise SystemExit('no such thing')"])
