"""Atomic file writes, JSON, CSV and checksums."""

import csv
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UserError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`. Rename it to `path` on success, delete it on any failure or SIGTERM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _sigterm_raises():
            yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Make SIGTERM raise SystemExit, unless the program handles it or this is not the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def write_json(path: Path, content: object) -> None:
    """Write `content` atomically as indented UTF-8 JSON. Raises `ValueError` for NaN and infinity."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    with written_whole(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Iterable]) -> None:
    """Write rows atomically: floats with six decimals, '\\n' line ends, None as an empty cell."""
    with written_whole(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([f"{cell:.6f}" if isinstance(cell, float) else cell for cell in row] for row in rows)


def md5(path: Path) -> str:
    """Return the hex digest of the file's bytes, as in `dvc.lock`."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def digest(content: object, files: Iterable[Path]) -> str:
    """Return 16 hex digits that depend on `content` (anything that JSON can hold) and on the bytes of `files`."""
    total = json.dumps([content, [md5(path) for path in files]], sort_keys=True)
    return hashlib.blake2b(total.encode(), digest_size=8).hexdigest()


def read_json(path: Path) -> dict:
    """Return the content of a JSON file. Raises `UserError` if it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` first") from None
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error})") from None


def require_free_space(folder: Path, needed_bytes: int) -> None:
    """Raise `UserError` if the disk of `folder` has less than `needed_bytes` free, before a large write starts."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if needed_bytes > free:
        raise UserError(f"{folder}: {needed_bytes / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free")
