"""A trained run, as `data/models/<run>` or packed as one zip: found by path or by name, read, checked, rebuilt.

A zip is read in place and holds nothing but `FILES`. Both kinds are hostile until checked (`stages.apps.run_checks`).
"""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from stages.apps import run_checks
from stages.core.errors import UserError, did_you_mean, refuse, shorten
from stages.corpora.archive import members
from stages.training import model_folder
from stages.training.model_folder import TrainedModel

INFO, WEIGHTS = "model.json", "best.safetensors"
FILES = (INFO, WEIGHTS)
MODELS = Path("data/models")  # where `dvc repro` puts runs, by name
PRETRAINED = Path(__file__).parent / "pretrained"  # what ships with the project
MAX_BYTES = {INFO: 16 << 20, WEIGHTS: 1 << 30}


def load_run(run: str | None) -> TrainedModel:
    """The recogniser of a folder, a packed zip or a name below `data/models`; None: the one that ships.

    In evaluation mode on the CPU. Raises `UserError` for what is missing, damaged, tampered with, or another model's.
    """
    where = find(run)
    content = {name: read(where, name) for name in FILES}
    info = run_checks.checked_info(content[INFO], f"{where}: {INFO}")
    run_checks.require_fitting(info, content[WEIGHTS], f"{where}: {WEIGHTS}")
    recogniser = model_folder.build(info)
    try:
        recogniser.architecture.load_state_dict(load(content[WEIGHTS]))
    except (SafetensorError, RuntimeError) as error:
        raise UserError(f"{where}: {WEIGHTS}: does not fit {INFO}: {' '.join(str(error).split())[:200]}") from None
    _require_finite(recogniser.architecture.state_dict(), f"{where}: {WEIGHTS}")
    return TrainedModel(recogniser.eval(), info)


def find(run: str | None) -> Path:
    """Where a run lies."""
    if run is None:
        shipped = sorted(PRETRAINED.glob(f"*/{INFO}")) or sorted(PRETRAINED.glob(INFO))
        if not shipped:
            raise UserError("--run: missing; allowed: a folder or zip of a trained run, or its name in data/models")
        return shipped[0].parent
    for path in (Path(run), MODELS / run):
        if path.is_dir() or path.is_file():
            return path
    known = [path.parent.name for path in sorted(MODELS.glob(f"*/{INFO}"))]
    allowed = f"a run's folder, its packed zip, or a name in {MODELS} ({', '.join(known) or 'which holds none'})"
    hint = did_you_mean(run, known)
    return refuse(f"no such run{hint and ';' + hint}", where="--run", allowed=allowed, received=run)


def paths(run: str | None, model: Path | None = None) -> list[Path]:
    """The files that a run is read from, or the `model` in its place."""
    where = model or find(run)
    return [where] if where.is_file() else [where / name for name in FILES]


def read(where: Path, name: str) -> bytes:
    """One of `FILES`, of a folder or a zip. Raises `UserError`."""
    if where.is_dir():
        path = where / name
        if not path.is_file():
            allowed, received = " and ".join(FILES), ", ".join(sorted(p.name for p in where.iterdir())[:6])
            refuse(
                f"not the folder of a trained run, without {name}", where=str(where), allowed=allowed, received=received
            )
        _require_size(path, MAX_BYTES[name])
        return path.read_bytes()
    _require_size(where, sum(MAX_BYTES.values()))
    names = members.names(where)
    if names != sorted(FILES):
        allowed = f"{' and '.join(FILES)}, each once and nothing else, as stages.apps.pack writes them"
        refuse("not a packed run", where=str(where), allowed=allowed, received=shorten(names))
    return members.read(where, name, MAX_BYTES[name])


def _require_size(path: Path, limit: int) -> None:
    if path.stat().st_size > limit:
        refuse("too big", where=str(path), allowed=f"at most {limit} bytes", received=f"{path.stat().st_size} bytes")


def _require_finite(weights: dict[str, torch.Tensor], where: str) -> None:
    """A weight that is no number makes every answer one, without a word."""
    for name, values in weights.items():
        if not torch.isfinite(values).all():
            refuse(
                f"weights {name!r} hold what is no number", where=where, allowed="finite weights", received="NaN, inf"
            )
