"""A trained run as a folder (`data/models/<run>`) or a packed zip: found by path or name, checked, rebuilt.

A zip is read in place and may hold nothing but `FILES`. Both kinds are untrusted (see `stages.serving.run_checks`).
"""

from pathlib import Path

from stages.core.errors import UserError, did_you_mean, refuse, shorten
from stages.core.files import read_json
from stages.corpora.archive import members
from stages.corpora.archive.index import is_index
from stages.serving import run_checks
from stages.training import model_folder
from stages.training.model_folder import TrainedModel

INFO, WEIGHTS = "model.json", "best.safetensors"
FILES = (INFO, WEIGHTS)
MODELS = Path("data/models")  # where `dvc repro` writes runs
PRETRAINED = Path(__file__).parent / "pretrained"  # the runs that ship with the project, one of a kind
# The kind of signal that a run reads, by its feature.
KINDS = {"faces": "image", "mel": "audio", "speaker_embedding": "audio", "eeg": "windows", "eeg_de": "recording"}
MAX_BYTES = {INFO: 16 << 20, WEIGHTS: 1 << 30}


def load_run(run: str | None, kind: str = "image") -> TrainedModel:
    """Return the recogniser of a folder, a packed zip or a name in `data/models`; None: the run of `kind` that ships.

    It is in evaluation mode on the CPU. Raises `UserError` for files that are missing, damaged, tampered with, or of
    another model.
    """
    where = find(run, kind)
    info = run_checks.checked_info(read(where, INFO), f"{where}: {INFO}")
    weights = run_checks.checked_weights(read(where, WEIGHTS), info, f"{where}: {WEIGHTS}")
    recogniser = model_folder.build(info)
    recogniser.architecture.load_state_dict(weights)
    return TrainedModel(recogniser.eval(), info)


def find(run: str | None, kind: str = "image") -> Path:
    """Return the folder or zip of a run; None: of the run of `kind` that ships. Raises `UserError` if there is none."""
    if run is None:
        shipped = {kind_of(path.parent): path.parent for path in PRETRAINED.glob(f"*/{INFO}")}
        if kind not in shipped:
            raise UserError("--run: missing; allowed: a folder or zip of a trained run, or its name in data/models")
        return shipped[kind]
    for path in (Path(run), MODELS / run):
        if path.is_dir() or path.is_file():
            return path
    known = [path.parent.name for path in sorted(MODELS.glob(f"*/{INFO}"))]
    allowed = f"the folder of a run, its packed zip, or a name in {MODELS} ({', '.join(known) or 'none there yet'})"
    hint = did_you_mean(run, known)
    return refuse(f"no such run{hint and ';' + hint}", where="--run", allowed=allowed, received=run)


def kind_of(folder: Path) -> str:
    """Return the kind of signal that the trained run in a folder reads: image | audio | windows | recording."""
    return KINDS[read_json(folder / INFO)["feature"]["name"]]


def paths(run: str | None, model: Path | None = None, kind: str = "image") -> list[Path]:
    """Return the files of a run (see `find`), or of the exported `model` in its place."""
    where = model or find(run, kind)
    return [where] if where.is_file() else [where / name for name in FILES]


def read(where: Path, name: str) -> bytes:
    """Return the content of one of `FILES` in a folder or zip. Raises `UserError`."""
    if where.is_dir():
        path = where / name
        if not path.is_file():
            allowed, received = " and ".join(FILES), ", ".join(sorted(p.name for p in where.iterdir())[:6])
            what = f"not the folder of a trained run, without {name}"
            refuse(what, where=str(where), allowed=allowed, received=received)
        _require_size(path, MAX_BYTES[name])
        return path.read_bytes()
    _require_size(where, sum(MAX_BYTES.values()))
    # A list of files, which `members` reads too, could name any file of this computer.
    names = [] if is_index(where) else members.names(where)
    if names != sorted(FILES):
        allowed = f"{' and '.join(FILES)}, each once and nothing else, as stages.apps.pack writes them"
        refuse("not a packed run", where=str(where), allowed=allowed, received=shorten(names))
    return members.read(where, name, MAX_BYTES[name])


def _require_size(path: Path, limit: int) -> None:
    if path.stat().st_size > limit:
        refuse("too big", where=str(path), allowed=f"at most {limit} bytes", received=f"{path.stat().st_size} bytes")
