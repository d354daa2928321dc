"""Precision by what the hardware can do, and a training on two devices."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_run
import yaml

from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.params.load import parse
from stages.training import devices, model_folder
from stages.training.devices import resolved_precision

HERE = Path(__file__).parent


@pytest.fixture
def processor(monkeypatch):
    """Call it with what PyTorch is to find of the processor, and the instructions it may use."""

    def found(capabilities: dict, used: str = "AVX512") -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: used)

    return found


@pytest.mark.parametrize(
    ("capabilities", "used", "expected"),
    [
        ({"avx2": True}, "AVX2", "32-true"),
        ({"avx512_f": True, "avx512_bf16": False}, "AVX512", "32-true"),
        ({"avx512_bf16": True}, "AVX512", "bf16-mixed"),
        ({"amx_bf16": True, "amx_tile": True}, "AVX512", "bf16-mixed"),
        ({"avx512_bf16": True}, "AVX2", "32-true"),  # ATEN_CPU_CAPABILITY=avx2
    ],
)
def test_auto_is_bf16_where_the_processor_has_it(processor, capsys, capabilities, used, expected):
    processor(capabilities, used)
    assert resolved_precision("auto", "cpu") == resolved_precision("auto", "auto") == expected
    assert capsys.readouterr().err == ""


def test_auto_is_bf16_on_a_gpu_that_has_it(processor, monkeypatch):
    processor({"avx2": True})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has_bf16, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has_bf16: has)
        assert resolved_precision("auto", "gpu") == resolved_precision("auto", "auto") == expected
        assert resolved_precision("auto", "cpu") == "32-true"


def test_emulated_bf16_is_warned_of_in_one_line(processor, capsys):
    processor({"avx2": True}, "AVX2")
    assert resolved_precision("bf16-mixed", "cpu") == "bf16-mixed"
    assert capsys.readouterr().err == f"warning: {devices.EMULATED}\n"
    processor({"avx512_bf16": True})
    assert resolved_precision("bf16-mixed", "cpu") == "bf16-mixed"
    assert resolved_precision("32-true", "cpu") == "32-true"
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def on_two(tmp_path_factory) -> Path:
    """The toy run trained by two processes that share every batch of gradients."""
    folder = tmp_path_factory.mktemp("two")
    toy_run.write_inputs(folder)
    params = parse((folder / "params.yaml").read_text())
    params["machine"].update(devices=2, strategy="ddp")
    params["runs"][toy_run.RUN].update(max_epochs=3, precision="auto")
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    command = [sys.executable, "-m", "stages.train", *toy_run.arguments(folder, folder)]
    environment = {**os.environ, "PYTHONPATH": str(toy_run.PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=toy_run.PROJECT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def test_two_devices_say_and_write_everything_once(on_two):
    lines = on_two.joinpath("said.txt").read_text().splitlines()
    precision = json.loads((on_two / "model/model.json").read_text())["precision"]
    assert precision == resolved_precision("auto", "cpu")
    assert [line for line in lines if line.startswith("precision")] == [f"precision {precision}, 1 threads, cpu"]
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    assert len(list((on_two / "logs").glob("version_*"))) == 1


def test_figures_of_two_devices_are_of_all_samples(on_two):
    """The accuracy in the history is that of the kept weights over the whole validation part."""
    model = model_folder.load(on_two / "model")
    with Store(on_two / "faces.h5") as store:
        part = load_parts(on_two / "faces.json", store.sample_id)["validation"]
        found = model.probabilities(torch.from_numpy(store.read_packed(part)))
        accuracy = np.mean(found.argmax(1).numpy() == store.label[part])
    rows = list(csv.DictReader((on_two / "history.csv").read_text().splitlines()))
    assert float(rows[model.info["best_epoch"] - 1]["validation_accuracy"]) == pytest.approx(accuracy, abs=0.05)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
