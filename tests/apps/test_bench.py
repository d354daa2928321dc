"""What `make bench` counts and divides, on cases small enough to do by hand; it times nothing."""

import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from small_store import DESCRIPTION, pictures, write_store

from stages.apps import bench, bench_pipeline, bench_trials
from stages.checks.params import load
from stages.datasets.batches import MemoryBatches
from stages.training import model_folder

ROOT = Path(__file__).parents[2]
PARAMS = load(ROOT / "params.yaml")
SAMPLES, BATCH, SIDE = 32, 8, 16


@pytest.fixture
def batches(tmp_path):
    path = write_store(tmp_path / "faces.h5", pictures(SAMPLES, 1, SIDE, SIDE))
    return MemoryBatches(path, np.arange(SAMPLES), BATCH, shuffle_seed=7)


def tiny(model, **changes):
    """A run of the committed params made small, and its model.json."""
    run = PARAMS.runs["faces_custom_cnn"].model_copy(update={"batch_size": BATCH, "model": model} | changes)
    dataset = vars(DESCRIPTION) | {"shape": [1, SIDE, SIDE]}
    return run, model_folder.describe("tiny", run, dataset, {"mean": [[[0.5]]], "sd": [[[0.25]]]})


def keras_products(side, n_classes):
    """Multiplications of one forward pass of the Keras CNN, without its first layer, and those of the first layer."""
    convolutions = ((32, 64, side), (64, 128, side // 2), (128, 256, side // 4))
    dense = ((256 * (side // 8) ** 2, 256), (256, 128), (128, n_classes))
    later = sum(n_in * n_out * 9 * at**2 for n_in, n_out, at in convolutions) + sum(a * b for a, b in dense)
    return later, 1 * 32 * 9 * side**2


def test_operations_of_a_training_step(batches):
    """A product and a sum each: forward, for the weights' gradients, and for the inputs' (which no image needs)."""
    _, info = tiny({"name": "keras_cnn"})
    later, first = keras_products(SIDE, len(DESCRIPTION.classes))
    assert bench.flops_per_sample(info, batches) == pytest.approx(2 * (3 * later + 2 * first), rel=0.01)


def test_operations_of_an_lstm(tmp_path):
    """Four gates, each of input and state, over all steps; of the inputs' gradients only those of the classifier."""
    samples, steps, features, hidden, n_classes = 8, 6, 10, 4, len(DESCRIPTION.classes)
    path = write_store(tmp_path / "eeg.h5", np.zeros((samples, steps, features), np.float32))
    info = tiny({"name": "eeg_lstm", "hidden": hidden})[1]
    info["input"] |= {"shape": [steps, features]}
    info["normaliser"] = {"mean": [0.0] * features, "sd": [1.0] * features}
    read, kept = steps * features * 4 * hidden, steps * hidden * 4 * hidden
    expected = 2 * (2 * read + 3 * kept + 3 * hidden * n_classes)
    found = bench.flops_per_sample(info, MemoryBatches(path, np.arange(samples), samples, shuffle_seed=7))
    assert found == pytest.approx(expected, rel=0.1)


def test_ratio_of_rates(monkeypatch):
    """The median of the pairs' ratios, which is not the ratio of the medians: a slow moment slows both of a pair."""
    monkeypatch.setattr(bench, "PAIRS", 3)
    monkeypatch.setattr(bench, "SECONDS", 0.0)
    ours, plain = iter([100.0, 10.0, 80.0]), iter([50.0, 20.0, 10.0])
    assert bench.ratio(lambda: next(ours), lambda: next(plain)) == (80, 20, 2)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_rates_of_both_loops(batches, precision):
    run, info = tiny({"name": "custom_cnn", "widths": [4], "hidden": 8}, precision=precision)
    assert bench.bare_rate(info, run, batches) > 0
    assert bench.our_rate(info, run, PARAMS, batches) > 0


def test_rates_of_preparing(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "IMAGES", 21)
    archive = bench.write_jpegs(tmp_path)
    assert bench.prepare_rate(archive, 1) > 0
    assert bench.pillow_rate(archive) > 0


def test_rate_of_a_matrix_product():
    assert bench.matrix_flops_per_s(PARAMS.runs["faces_custom_cnn"], side=64) > 0


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_seconds_of_a_trial_beyond_its_epochs(tmp_path, monkeypatch):
    """Two trials of two epochs, of which one begins, the first ends, the second ends and all is over a second apart."""
    monkeypatch.setattr(bench_trials, "TRIALS", 2)
    monkeypatch.setattr(bench_trials, "time", SimpleNamespace(perf_counter=count().__next__))
    monkeypatch.setattr(bench_trials, "EPOCHS", 2)
    run = PARAMS.runs["faces_custom_cnn"]
    run = run.model_copy(update={"model": {"name": "custom_cnn", "widths": [4], "hidden": 8}})
    path = write_store(tmp_path / "faces.h5", pictures(SAMPLES, 1, SIDE, SIDE))
    params = PARAMS.model_copy(update={"runs": {"faces_custom_cnn": run}})
    assert bench_trials.seconds_beyond_epochs("faces_custom_cnn", params, path) == 1


def test_times_of_the_pipeline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Each line says what was timed; the commands themselves are left out."""
    called = []

    def seconds(command, folder=None):
        called.append([str(word) for word in command])
        return 2.0 if command[-1] == "import torch" else 3.0

    monkeypatch.setattr(bench_pipeline, "seconds", seconds)
    bench_pipeline.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("start-up, import torch 2.00 s: download x1.50, ")
    assert lines[1:] == ["dvc repro with nothing to do: 3.0 s", *(f"make repro JOBS={n}: 0.1 minutes" for n in (1, 2))]
    assert [words[2] for words in called if words[0] == "make"] == ["JOBS=1", "JOBS=2"]


def test_a_command_that_fails_is_no_timing():
    with pytest.raises(RuntimeError, match="no such thing"):
        bench_pipeline.seconds([sys.executable, "-c", "raise SystemExit('no such thing')"])
