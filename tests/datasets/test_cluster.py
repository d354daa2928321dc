"""`prepare` on a Dask cluster: the bytes of threads, a worker that is lost, and clusters that cannot be used."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT
from distributed import LocalCluster

from stages import download, prepare
from stages.core.errors import UserError
from stages.core.records import DamagedSample, Record
from stages.datasets import cluster
from stages.datasets.decoding import CHUNKS_PER_ROUND, Workers, decode, one_by_one
from stages.params.load import parse

PATHS = [str(ROOT), str(Path(__file__).parent), str(ROOT / "tests")]
JOINED_LATER = "TEST_JOINED_LATER"


@contextmanager
def local_cluster(n_workers: int) -> Iterator[str]:
    """Yield the address of a cluster whose workers import this file and the project."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([*PATHS, before])
    with LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as made:
        os.environ["PYTHONPATH"] = before
        yield made.scheduler_address.replace("tcp://", "dask://")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with local_cluster(2) as address:
        yield address


def compute(signal: np.ndarray, rate_hz: float | None) -> tuple[np.ndarray, int]:
    if signal[0] == 7:
        raise DamagedSample("a seven")
    return 2 * signal, 1


def number(content: bytes) -> tuple[np.ndarray, None]:
    return np.array([float(content)], dtype=np.float32), None


def fatal(content: bytes, marker: Path) -> tuple[np.ndarray, None]:
    """Kill the worker that decodes the sample 33 for the first time."""
    if content == b"33" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number(content)


def joined_later(content: bytes) -> tuple[np.ndarray, None]:
    time.sleep(0.05)  # so that every worker that is allowed to gets some
    return np.array([float(JOINED_LATER in os.environ)], dtype=np.float32), None


def decoded(decoder, workers: Workers, count: int = 60) -> list[tuple]:
    records = (Record(str(i), "happy", partial(bytes, str(i).encode()), decoder) for i in range(count))
    chunks = decode(records, partial(one_by_one, compute), workers, Path(__file__))
    return [
        (chunk.x.ravel().tolist(), [record.sample_id for record in chunk.records], chunk.rejected) for chunk in chunks
    ]


def test_a_killed_worker_costs_its_chunk_alone(address: str, tmp_path: Path):
    decoder = partial(fatal, marker=tmp_path / "killed")
    found = decoded(decoder, Workers(1, "threads", samples_per_chunk=10, cluster=address))
    assert (tmp_path / "killed").exists()
    assert found == decoded(number, Workers(1, "threads", samples_per_chunk=10))
    assert [rejected for *_, rejected in found] == [["7: a seven"], *([[]] * 5)]


def test_more_chunks_than_one_call_of_joblib_takes(address: str):
    count = 10 * (4 * CHUNKS_PER_ROUND + 3)
    found = decoded(number, Workers(1, "threads", samples_per_chunk=10, cluster=address), count)
    assert found == decoded(number, Workers(1, "threads", samples_per_chunk=10), count)


@contextmanager
def started_worker(address: str, host: str) -> Iterator[subprocess.Popen]:
    """Yield the process of one more worker, which is known to the scheduler."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address.replace("dask://", "tcp://")]
    command += ["--host", host, "--nthreads", "2", "--no-nanny", "--no-dashboard"]
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(PATHS), JOINED_LATER: "yes"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as worker:
        try:
            assert any("Registered to" in line for line in worker.stderr)
            yield worker
        finally:
            worker.kill()


def test_a_machine_that_joins_later_gets_no_samples(address: str):
    def records(joined: ExitStack) -> Iterator[Record]:
        for name in range(100):
            if name == 10:
                joined.enter_context(started_worker(address, "127.0.0.2"))
            yield Record(str(name), "happy", partial(bytes, b"0"), joined_later)

    workers = Workers(1, "threads", samples_per_chunk=1, cluster=address)
    with ExitStack() as joined:
        chunks = decode(records(joined), partial(one_by_one, compute), workers, Path(__file__))
        assert [chunk.x.item() for chunk in chunks] == [0.0] * 100


@pytest.mark.parametrize("corpus", ["faces", "speech"])
def test_the_prepared_file_has_the_bytes_of_threads(address: str, tmp_path: Path, monkeypatch, corpus: str):
    params = parse((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["corpora"][corpus]["synthetic"]["size"] = 140
    for name, value in (("own", None), ("dask", address)):
        params["machine"]["cluster"] = value
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    def run(stage, name: str, *words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["stage", corpus, "--params", str(tmp_path / f"{name}.yaml"), *words])
        stage.main()

    archive = ["--archive", str(tmp_path / "corpus.zip")]
    run(download, "own", *archive)
    for name in ("own", "dask"):
        run(prepare, name, *archive, "--output", str(tmp_path / f"{name}.h5"))
    assert (tmp_path / "dask.h5").read_bytes() == (tmp_path / "own.h5").read_bytes()


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    with socket.socket() as mute:  # refuses connections, then accepts them and says nothing
        mute.bind(("127.0.0.1", 0))
        nobody = f"dask://127.0.0.1:{mute.getsockname()[1]}"
        for _ in range(2):
            with pytest.raises(UserError, match=f"machine.cluster: {nobody}: no answer .*; allowed: the address of"):
                decoded(number, Workers(1, "threads", samples_per_chunk=10, cluster=nobody))
            mute.listen()


def test_workers_with_other_code_are_refused(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cluster, "CODE", tmp_path)
    with pytest.raises(UserError, match=r"machine\.cluster: dask://.*: tcp://.* has other code or packages"):
        decoded(number, Workers(1, "threads", samples_per_chunk=10, cluster=address))


def test_workers_with_another_archive_are_refused(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/corpus.zip").write_bytes(b"own")
    monkeypatch.chdir(tmp_path / "own")  # the workers are elsewhere: their corpus.zip is another file
    with pytest.raises(UserError, match=r"tcp://.*: another corpus\.zip; allowed: the same file as here.*Fi"):
        list(decode([], partial(one_by_one, compute), Workers(1, "threads", 10, cluster=address), Path("corpus.zip")))
    Path("README.md").write_text("own")  # the project's README.md, where the workers were started, differs
    with pytest.raises(UserError, match=r"tcp://.*: another README\.md; allowed: .*; received: 'md5 [0-9a-f]{32}'"):
        list(decode([], partial(one_by_one, compute), Workers(1, "threads", 10, cluster=address), Path("README.md")))


def test_a_cluster_without_workers_is_one_line():
    with local_cluster(0) as address, pytest.raises(UserError, match="no workers; allowed: one or more"):
        decoded(number, Workers(1, "threads", samples_per_chunk=10, cluster=address))
