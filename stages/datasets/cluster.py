"""The workers of a Dask cluster, on which `prepare` decodes samples through joblib (`machine.cluster`)."""

import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from joblib import parallel_config

from stages.core.errors import UserError, refuse
from stages.core.files import digest, md5

CONNECT_S = 10  # longest wait for the scheduler
CODE = Path(__file__).parents[1]


@contextmanager
def connected(address: str, archive: Path) -> Iterator[int]:
    """Make the cluster joblib's; yield how many chunks it decodes at a time.

    Workers on machines that join later get no chunks, as nothing is known of their code and archive. Raises `UserError`
    for a scheduler that does not answer, has no workers, or has workers with other code, packages or another file at
    `archive`, which they read.
    """
    from distributed import Client, KilledWorker  # half a second to import
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError, get_address_host

    scheduler, where = address.replace("dask://", "tcp://", 1), f"machine.cluster: {address}"
    try:
        _require_speaker(scheduler)
        client = Client(scheduler, timeout=CONNECT_S)
    except (OSError, ValueError, RuntimeError) as error:
        allowed = "the address of a running scheduler (`dask scheduler`), or null"
        raise UserError(f"{where}: no answer ({type(error).__name__}); allowed: {allowed}") from None
    with client:
        _require_same(client, where, archive)
        threads = client.ncores()
        try:
            with parallel_config("dask", workers=sorted({get_address_host(worker) for worker in threads})):
                yield sum(threads.values())
        except KilledWorker:
            reason = "several workers ended, one after the other, while they decoded the same chunk"
            raise UserError(f"{where}: {reason}; their logs say why (memory?)") from None
        except (FutureCancelledError, CommClosedError):
            raise UserError(f"{where}: the scheduler has ended or cannot be reached any more") from None


def _require_speaker(scheduler: str) -> None:
    """Raise OSError unless a scheduler greets: a `Client` would wait for ever for one that accepts and says nothing."""
    host, _, port = scheduler.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), CONNECT_S) as probe:
        probe.settimeout(CONNECT_S)
        if not probe.recv(1):
            raise ConnectionResetError


def fingerprint() -> str:
    """Return 16 hex digits of the code in `stages/` and of the versions of Python and of what decodes samples."""
    from importlib.metadata import version

    packages = ("numpy", "scipy", "pandas", "pillow", "pillow_heif", "opencv-python-headless", "simplejpeg")
    packages += ("soundfile", "soxr", "mne", "torch", "torchaudio")
    versions = {name: version(name) for name in packages} | {"python": platform.python_version()}
    return digest(versions, sorted(CODE.rglob("*.py")))


def _require_same(client, where: str, archive: Path) -> None:
    own, found = fingerprint(), client.run(fingerprint, on_error="return")
    if not found:
        raise UserError(f"{where}: no workers; allowed: one or more, started in this folder (`dask worker`)")
    try:  # the scheduler must import the project, too, or the samples would wait for ever
        found["scheduler"] = client.run_on_scheduler(fingerprint)
    except Exception as error:
        found["scheduler"] = error
    for worker, other in found.items():
        if other != own:
            reason = f" ({type(other).__name__}: {other})" if isinstance(other, Exception) else ""
            allowed = "scheduler and workers started with PYTHONPATH=. in a checkout of the same commit"
            raise UserError(f"{where}: {worker} has other code or packages{reason}; allowed: {allowed}")
    _require_same_archive(client, where, archive)


def _require_same_archive(client, where: str, archive: Path) -> None:
    """Raise `UserError` unless a worker of each machine reads the archive that is here."""
    own = md5(archive)
    machines = {worker.rpartition(":")[0]: worker for worker in client.scheduler_info(n_workers=-1)["workers"]}
    for worker in machines.values():  # as a task, which runs beside the worker's messages
        read = client.submit(md5, archive, workers=[worker], pure=False)
        error = read.exception()
        received = f"{type(error).__name__}: {error}" if error else f"md5 {read.result()}"
        if received != f"md5 {own}":
            allowed = f"the same file as here, md5 {own}, such as in a shared folder"
            refuse(f"another {archive}", where=f"{where}: {worker}", allowed=allowed, received=received)
