"""A training in two processes: the same losses as in one, one line where a process is lost, and torchrun."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy_run
import yaml
from safetensors.numpy import load_file
from small_store import write_store

from stages.core.files import write_json
from stages.params.load import parse

RUN, CLASSES = "speech_ge2e", ["angry", "happy", "neutral", "sad"]
BATCH, EPOCHS = 16, 4
# The last batch has 11 samples: with two processes of 8, one has 6 and the other 5.
SIZES = {"train": 3 * BATCH + 11, "validation": 21, "test": 15}
LOSSES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a dataset of speech embeddings and its split."""
    folder, rng = tmp_path_factory.mktemp("inputs"), np.random.default_rng(3)
    label = rng.integers(0, 4, sum(SIZES.values()))
    x = (rng.normal(0, 1, (len(label), 1, 6, 16)) + rng.normal(0, 0.4, (4, 1, 6, 16))[label]).astype(np.float32)
    layout = ["speed", "statistic", "unit"]
    write_store(folder / "speech.h5", x, label=label, classes=CLASSES, corpus="speech", layout=layout, scale_factor=1.0)
    parts = np.split(np.array([f"s{i}" for i in range(len(label))]), np.cumsum(list(SIZES.values()))[:-1])
    named = {part: ids.tolist() for part, ids in zip(SIZES, parts, strict=True)}
    write_json(folder / "speech.json", {"protocol": "official", "parts": named})
    return folder


def write_params(
    folder: Path, batch_size: int, *, devices: int, nodes: int = 1, weights: str = "none", epochs: int = EPOCHS
) -> None:
    """Write params of a run without dropout, of which each process would draw its own."""
    params = parse((toy_run.PROJECT / "params.yaml").read_text(encoding="utf-8"))
    for section, key in (("corpora", "speech"), ("splits", "speech"), ("datasets", "speech_embedding")):
        params[section] = {key: params[section][key]}
    params |= {"studies": {}, "ensembles": {}, "distillations": {}}
    machine = {"threads": 1, "accelerator": "cpu", "devices": devices, "nodes": nodes, "checkpoint_every_s": 0}
    params["machine"].update(machine | {"strategy": "ddp" if devices * nodes > 1 else "auto"})
    model = {"name": "mlp", "hidden": [12], "input_dropout": 0.0, "dropout": 0.0}
    own = {"model": model, "batch_size": batch_size, "max_epochs": epochs, "ema_decay": 0.9}
    own["loss"] = {"class_weights": weights, "label_smoothing": 0.1}
    params["runs"] = {RUN: params["runs"][RUN] | own}
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def words(inputs: Path, folder: Path) -> list[str]:
    """Return the words after `python -m` and `torchrun -m --`. Without `--`, torchrun takes `--logs` as its own."""
    paths = {"params": folder / "params.yaml", "dataset": inputs / "speech.h5", "split": inputs / "speech.json"}
    paths |= {name: folder / name for name in ("checkpoints", "logs", "model")} | {"history": folder / "history.csv"}
    return ["stages.train", RUN, *(f"--{name}={path}" for name, path in paths.items())]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(toy_run.PROJECT), "OMP_NUM_THREADS": "1", **more}


def start(command: list[str], **more: str) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=toy_run.PROJECT, env=environment(**more), **pipes)


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=90)
    return process.returncode, out, err


def train(inputs: Path, folder: Path, **more: str) -> tuple[int, str, str]:
    return finish(start([sys.executable, "-m", *words(inputs, folder)], **more))


def history(folder: Path) -> np.ndarray:
    """Return (epochs, 4) losses and accuracies."""
    rows = csv.DictReader((folder / "history.csv").read_text().splitlines())
    return np.array([[float(row[name]) for name in LOSSES] for row in rows])


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.fixture(scope="module")
def alone(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return {class weights: folder} of trainings in one process."""
    folders = {}
    for weights in ("none", "balanced"):
        folders[weights] = tmp_path_factory.mktemp("alone") / "run"
        write_params(folders[weights], BATCH, devices=1, weights=weights)
        status, _, err = train(inputs, folders[weights])
        assert status == 0, err
    return folders


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_two_processes_have_the_losses_and_weights_of_one(weights, alone, inputs, tmp_path):
    """With the same number of samples in a step: half of the batch in each process."""
    write_params(tmp_path / "two", BATCH // 2, devices=2, weights=weights)
    status, out, err = train(inputs, tmp_path / "two")
    assert status == 0, err
    assert len([line for line in out.splitlines() if line.startswith("epoch")]) == EPOCHS  # printed once
    columns = slice(None) if weights == "none" else slice(2, None)  # the weighted loss is a mean over batches
    np.testing.assert_allclose(history(tmp_path / "two")[:, columns], history(alone[weights])[:, columns], atol=1e-5)
    own, others = (load_file(folder / "model/final.safetensors") for folder in (tmp_path / "two", alone[weights]))
    for name, values in own.items():
        np.testing.assert_allclose(values, others[name], atol=1e-5)


@pytest.fixture(scope="module")
def uninterrupted(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted") / "two"
    write_params(folder, BATCH // 2, devices=2, epochs=40)
    assert train(inputs, folder)[0] == 0
    return folder


def test_a_killed_process_ends_the_training_in_one_line_and_it_continues(inputs, tmp_path, uninterrupted):
    write_params(tmp_path / "two", BATCH // 2, devices=2, epochs=40)
    process = start([sys.executable, "-m", *words(inputs, tmp_path / "two")])
    for line in process.stdout:
        if line.startswith("epoch   2"):
            break
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    [child] = [pid for pid in listed if b"stages.train" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    os.kill(int(child), signal.SIGKILL)
    status, _, err = finish(process)
    assert status == 1
    [error] = [line for line in err.splitlines() if line.startswith("error")]
    assert error.startswith("error: machine: another process of this training has ended or cannot be reached")
    assert "Traceback" not in err
    assert not (tmp_path / "two/model").exists()
    status, out, err = train(inputs, tmp_path / "two")
    assert status == 0, err
    assert "continues from" in out
    for name in ("history.csv", "model/final.safetensors", "model/best.safetensors"):
        assert (tmp_path / "two" / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_two_machines_are_two_agents_of_torchrun(alone, inputs, tmp_path):
    """Rehearsed on this machine: each agent starts one process."""
    write_params(tmp_path / "two", BATCH // 2, devices=1, nodes=2)
    port, torchrun = free_port(), str(Path(sys.executable).parent / "torchrun")
    options = ["--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", port]
    agents = [
        start([torchrun, *options, "--node-rank", str(rank), "-m", "--", *words(inputs, tmp_path / "two")])
        for rank in range(2)
    ]
    finished = [finish(agent) for agent in agents]
    assert [status for status, *_ in finished] == [0, 0], finished
    assert json.loads((tmp_path / "two/model/model.json").read_text())["epochs"] == EPOCHS
    np.testing.assert_allclose(history(tmp_path / "two"), history(alone["none"]), atol=1e-5)


def two_machines(inputs: Path, folder: Path) -> list[subprocess.Popen]:
    """Start two machines that share no disk: the folders `0` and `1`, with their params."""
    port = free_port()
    more = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_RANK": "0"}
    ranks = ("0", "1")
    return [start([sys.executable, "-m", *words(inputs, folder / rank)], **more, NODE_RANK=rank) for rank in ranks]


def test_machines_without_a_shared_disk_continue_from_one_state(inputs, tmp_path, uninterrupted):
    for rank in ("0", "1"):
        write_params(tmp_path / rank, BATCH // 2, devices=1, nodes=2, epochs=40)
    agents = two_machines(inputs, tmp_path)
    for line in agents[0].stdout:
        if line.startswith("epoch   2"):
            break
    agents[1].kill()
    assert finish(agents[0])[0] == 1
    assert [len(list((tmp_path / rank).rglob("last.ckpt"))) for rank in ("0", "1")] == [1, 0]
    (status, out, err), other = map(finish, two_machines(inputs, tmp_path))
    assert (status, other[0]) == (0, 0), err + other[2]
    assert "continues from" in out
    for name in ("history.csv", "model/final.safetensors", "model/best.safetensors"):
        assert (tmp_path / "0" / name).read_bytes() == (uninterrupted / name).read_bytes()


def test_a_machine_with_other_params_is_refused_and_deletes_nothing(inputs, tmp_path):
    for rank, batch_size in (("0", 8), ("1", 16)):
        write_params(tmp_path / rank, batch_size, devices=1, nodes=2)
        (tmp_path / rank / "checkpoints/other").mkdir(parents=True)
        (tmp_path / rank / "checkpoints/other/last.ckpt").touch()
    (first, _, lost), (second, _, refused) = map(finish, two_machines(inputs, tmp_path))
    assert (first, second) == (1, 1)
    assert (tmp_path / "0/checkpoints/other").exists()
    assert (tmp_path / "1/checkpoints/other").exists()
    assert "error: machine: process 1 has other params, data, code or package versions than process 0" in refused
    assert "error: machine: another process has other params" in lost


def test_a_port_in_use_is_one_line(inputs, tmp_path):
    write_params(tmp_path / "two", BATCH // 2, devices=2)
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = str(used.getsockname()[1])
        begun = time.monotonic()
        status, _, err = train(inputs, tmp_path / "two", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    assert status == 1
    assert f"error: MASTER_PORT {port}: in use on this machine" in err
    assert time.monotonic() - begun < 60
