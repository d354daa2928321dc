"""The precision that fits the hardware, and a training on two devices."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy_run

from stages.checks.params import load
from stages.core.calibration import fit_temperature
from stages.core.errors import UserError
from stages.datasets.splits import load_parts
from stages.datasets.store import Store
from stages.params.load import parse
from stages.training import devices, model_folder
from stages.training.devices import connect, require_samples, resolved_precision


@pytest.fixture
def set_processor(monkeypatch):
    """A function that sets the processor's capabilities and the instructions that PyTorch and oneDNN may use."""
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)

    def set_processor(capabilities: dict, pytorch: str = "AVX512", onednn: str = "") -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: pytorch)
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", onednn)

    return set_processor


@pytest.mark.parametrize(
    ("capabilities", "pytorch", "onednn", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": False}, "AVX512", "", "32-true"),
        ({"avx512_bf16": True}, "AVX512", "", "bf16-mixed"),
        ({"amx_bf16": True, "amx_tile": True}, "AVX512", "", "bf16-mixed"),
        ({"avx512_bf16": True}, "AVX2", "", "32-true"),  # ATEN_CPU_CAPABILITY=avx2
        ({"avx512_bf16": True}, "AVX512", "AVX2", "32-true"),
        ({"avx512_bf16": True}, "AVX512", "avx512_core", "32-true"),  # oneDNN ignores the case
        ({"avx512_bf16": True}, "AVX512", "AVX512_CORE_BF16", "bf16-mixed"),
    ],
)
def test_auto_is_bf16_if_the_processor_may_use_it(set_processor, capsys, capabilities, pytorch, onednn, expected):
    set_processor(capabilities, pytorch, onednn)
    assert resolved_precision("auto", "cpu") == resolved_precision("auto", "auto") == expected
    assert capsys.readouterr().err == ""


def test_the_older_name_of_onednns_variable_is_read(set_processor, monkeypatch):
    set_processor({"avx512_bf16": True})
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    assert resolved_precision("auto", "cpu") == "32-true"


def test_auto_is_bf16_on_a_gpu_that_has_it(set_processor, monkeypatch):
    set_processor({"avx2": True})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has_bf16, expected in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has_bf16: has)
        assert resolved_precision("auto", "gpu") == resolved_precision("auto", "auto") == expected
        assert resolved_precision("auto", "cpu") == "32-true"


def test_emulated_bf16_gives_a_warning(set_processor, capsys):
    set_processor({"avx2": True}, "AVX2")
    assert resolved_precision("bf16-mixed", "cpu") == "bf16-mixed"
    assert capsys.readouterr().err == f"warning: {devices.EMULATED_BF16}\n"
    set_processor({"avx512_bf16": True})
    assert resolved_precision("bf16-mixed", "cpu") == "bf16-mixed"
    assert resolved_precision("32-true", "cpu") == "32-true"
    assert capsys.readouterr().err == ""


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory) -> Path:
    """The folder of a toy run trained by two processes with distributed data parallelism."""
    folder = tmp_path_factory.mktemp("two")
    toy_run.write_inputs(folder)
    params = parse((folder / "params.yaml").read_text())
    params["machine"].update(devices=2, strategy="ddp")
    params["runs"][toy_run.RUN].update(max_epochs=3, precision="auto", batch_size=10)  # 2 and 1 batches of validation
    toy_run.write_params(folder, params)
    command = [sys.executable, "-m", "stages.train", *toy_run.arguments(folder, folder)]
    environment = {**os.environ, "PYTHONPATH": str(toy_run.PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=toy_run.PROJECT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (folder / "output.txt").write_text(done.stdout)
    return folder


def test_two_devices_print_and_write_everything_once(two_devices):
    lines = two_devices.joinpath("output.txt").read_text().splitlines()
    precision = json.loads((two_devices / "model/model.json").read_text())["precision"]
    assert precision == resolved_precision("auto", "cpu")
    assert [line for line in lines if line.startswith("precision")] == [f"precision {precision}, 1 threads, cpu"]
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["1/3", "2/3", "3/3"]
    assert len(list((two_devices / "logs").glob("version_*"))) == 1


def test_metrics_of_two_devices_cover_all_samples(two_devices):
    """The accuracy in the history is that of the saved weights over the whole validation part."""
    model = model_folder.load(two_devices / "model")
    with Store(two_devices / "faces.h5") as store:
        part = load_parts(two_devices / "faces.json", store.sample_id)["validation"]
        probabilities = model.probabilities(torch.from_numpy(store.read_packed(part)))
        accuracy = np.mean(probabilities.argmax(1).numpy() == store.label[part])
        label = store.label[part]
    divided = np.log(np.maximum(probabilities.numpy(), 1e-30)) * model.temperature  # logits, up to a constant
    assert model.temperature == pytest.approx(fit_temperature(label, divided), abs=1e-3)
    rows = list(csv.DictReader((two_devices / "history.csv").read_text().splitlines()))
    assert float(rows[model.info["best_epoch"] - 1]["validation_accuracy"]) == pytest.approx(accuracy, abs=0.05)
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])


@pytest.mark.parametrize(
    ("count", "strategy", "words"),
    [(1, "auto", "another number of processes; allowed: .*; received: '2 of torchrun'"), (3, "ddp", "devices=3.*size")],
)
def test_processes_of_torchrun_that_would_train_alone_are_refused(monkeypatch, count, strategy, words):
    started = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {"TORCHELASTIC_RUN_ID": "a", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", **started}.items():
        monkeypatch.setenv(name, value)
    machine = load(toy_run.PROJECT / "params.yaml").machine.model_copy(update={"devices": count, "strategy": strategy})
    with pytest.raises(UserError, match=f"machine: .*{words}"):
        connect(machine, "32-true")


@pytest.mark.parametrize(("n_train", "n_validation"), [(7, 9), (9, 3)])
def test_every_process_needs_samples(n_train: int, n_validation: int):
    four = SimpleNamespace(world_size=4)
    require_samples(four, 8, 4)
    with pytest.raises(UserError, match=f"too few samples for 4 .*{n_train} and {n_validation} in all"):
        require_samples(four, n_train, n_validation)
