"""Where and in which precision a training runs: Fabric's devices, strategies and precisions by `machine` and recipe."""

import os
import warnings
from typing import TYPE_CHECKING

import torch

from stages.core.errors import UserError, warn
from stages.core.malloc import keep_freed_memory
from stages.params.schema import Machine

if TYPE_CHECKING:
    from lightning_fabric import Fabric

EMULATED = "bf16-mixed: this processor has no bf16, which is emulated and some 6 times slower than 32-true"


def resolved_precision(precision: str, accelerator: str) -> str:
    """`precision` with 'auto' replaced: bf16-mixed where the hardware computes in bf16, else 32-true.

    Warns where bf16-mixed is asked for by name on a processor that has to emulate it.
    """
    has_bf16 = _has_bf16(accelerator)
    if precision == "auto":
        return "bf16-mixed" if has_bf16 else "32-true"
    if precision == "bf16-mixed" and not has_bf16:
        warn(EMULATED)
    return precision


def _has_bf16(accelerator: str) -> bool:
    if accelerator in ("auto", "gpu") and torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if accelerator == "mps" or (accelerator == "auto" and torch.backends.mps.is_available()):
        return False
    found = torch.cpu.get_capabilities()
    named = any(found.get(name) for name in ("amx_bf16", "avx512_bf16", "arm_bf16"))
    return named and torch.backends.cpu.get_cpu_capability() != "AVX2"  # which PyTorch may have been limited to


def connect(machine: Machine, precision: str) -> "Fabric":
    """Fabric on the devices of `machine`, all processes launched. Raises `UserError` for devices that are not there."""
    from lightning_fabric import Fabric  # here, since it takes as long to import as half of PyTorch

    torch.set_num_threads(machine.threads)
    # Deterministic algorithms would fill every new tensor, for code that reads memory before it writes it.
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
    except (ValueError, RuntimeError, TypeError) as error:  # no such accelerator here, or not as many devices
        raise UserError(f"machine: {' '.join(str(error).split())}") from None
    if fabric.strategy.precision.precision != precision:  # Fabric would train in another one, and say so in a warning
        raise UserError(f"precision: {precision} needs a GPU; allowed here: 32-true, bf16-mixed")
    fabric.launch()
    return fabric
