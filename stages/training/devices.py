"""Device, number of processes and precision of a training, as Lightning Fabric sets them up."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from stages.core.errors import UserError, refuse, warn
from stages.core.malloc import keep_freed_memory
from stages.params.schema import Machine

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EMULATED_BF16 = "bf16-mixed: bf16 is emulated on this processor and about 6 times slower than 32-true"
# Values of ONEDNN_MAX_CPU_ISA (oneDNN's guide, "CPU Dispatcher Control") with which oneDNN emulates bf16.
ISA_WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
# What Gloo and NCCL say where a process has ended or does not answer.
LOST = re.compile(r"Connection (closed|reset|refused)|Broken pipe|Timed out|gloo|NCCL", re.IGNORECASE)


def resolved_precision(precision: str, accelerator: str) -> str:
    """Return `precision`, with 'auto' replaced by bf16-mixed where the hardware computes in bf16, else by 32-true.

    Warns if bf16-mixed is set explicitly on a processor that has to emulate it.
    """
    has_bf16 = _has_bf16(accelerator)
    if precision == "auto":
        return "bf16-mixed" if has_bf16 else "32-true"
    if precision == "bf16-mixed" and not has_bf16:
        warn(EMULATED_BF16)
    return precision


def _has_bf16(accelerator: str) -> bool:
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator == "mps" or (accelerator == "auto" and torch.backends.mps.is_available()):
        return False
    # The environment may limit PyTorch (ATEN_CPU_CAPABILITY) and oneDNN to fewer instructions than the processor has.
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA", "")
    if torch.backends.cpu.get_cpu_capability() == "AVX2" or isa.upper() in ISA_WITHOUT_BF16:
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "arm_bf16"))


def connect(machine: Machine, precision: str) -> "Fabric":
    """Return Fabric on the devices of `machine`, with all processes launched.

    Raises `UserError` for devices that are not available and for a precision that they do not support.
    """
    from lightning_fabric import Fabric  # here, because the import takes half as long as that of PyTorch

    torch.set_num_threads(machine.threads)
    # Deterministic algorithms would fill every new tensor, to protect code that reads uninitialised memory.
    torch.utils.deterministic.fill_uninitialized_memory = False
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    keep_freed_memory()
    warnings.filterwarnings("ignore", module="lightning_fabric")
    try:
        fabric = Fabric(
            accelerator=machine.accelerator,
            strategy=machine.strategy,
            devices=machine.devices,
            num_nodes=machine.nodes,
            precision=precision,
        )
    except (ValueError, RuntimeError, TypeError) as error:  # the accelerator is missing or has fewer devices
        raise UserError(f"machine: {' '.join(str(error).split())}") from None
    _require_started(fabric)
    if fabric.strategy.precision.precision != precision:  # Fabric only warns when it chooses another one
        raise UserError(f"precision: {precision} needs a GPU; allowed here: 32-true, bf16-mixed")
    try:
        with lost_processes():
            fabric.launch()
    except UserError:
        for process in getattr(fabric.strategy.launcher, "procs", ()):  # they would wait for half an hour
            process.kill()
        raise
    except ValueError as error:  # torchrun has started another number of processes
        raise UserError(f"machine: {' '.join(str(error).split())}") from None
    return fabric


def _require_started(fabric: "Fabric") -> None:
    """Raise `UserError` if each of several processes that torchrun has started would train for itself."""
    started = int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else fabric.world_size
    if started != fabric.world_size:
        allowed = "devices × nodes processes, and strategy ddp"
        refuse("another number of processes", where="machine", allowed=allowed, received=f"{started} of torchrun")


@contextmanager
def lost_processes() -> Iterator[None]:
    """Raise `UserError`, one line, where the connection to the other processes of a training fails."""
    try:
        yield
    except RuntimeError as error:
        text = " ".join(str(error).split())
        if "EADDRINUSE" in text:
            where = f"MASTER_PORT {os.environ.get('MASTER_PORT')}"
            raise UserError(
                f"{where}: in use on this machine; allowed: a free port, the same on all machines"
            ) from None
        if not isinstance(error, torch.distributed.DistError) and not LOST.search(text):
            raise
        what = "another process of this training has ended or cannot be reached; if it could, it has printed why"
        raise UserError(f"machine: {what}; the same command continues at the last checkpoint") from None


def require_same(fabric: "Fabric", digest: str) -> None:
    """Raise `UserError` in every process if the params, data, code or versions of one differ from the first one's."""
    differs = fabric.broadcast(digest) != digest
    if fabric.all_reduce(torch.tensor(float(differs), device=fabric.device), reduce_op="sum").item():
        who = f"process {fabric.global_rank}" if differs else "another process"
        what = f"{who} has other params, data, code or package versions than process 0"
        raise UserError(f"machine: {what}; allowed: the same checkout, data and environment on all machines")


def require_samples(fabric: "Fabric", n_train: int, n_validation: int) -> None:
    """Raise `UserError` if a process would have no validation sample, or too few to train batch normalisation."""
    n = fabric.world_size
    if n_train < 2 * n or n_validation < n:
        what, allowed = f"too few samples for {n} processes", "2 for training and 1 for validation in each"
        refuse(what, where="machine", allowed=allowed, received=f"{n_train:,} and {n_validation:,} in all")
