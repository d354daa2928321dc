"""Where the apps write: refused before the work where that cannot be, or would write over what is read."""

import tempfile
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from stages.core.errors import UserError, printable, refuse


def require_outputs(outputs: Mapping[str, Path | None], read: Iterable[Path | None] = ()) -> None:
    """`outputs` {option: file}, those asked for; `read`: what must stay as it is. Raises `UserError`."""
    asked = {option: path for option, path in outputs.items() if path is not None}
    for option, path in asked.items():
        require_writable(path, option)
    for (one, path), (other, same) in combinations(asked.items(), 2):
        if path.resolve() == same.resolve():
            raise UserError(f"{one} and {other}: both would write {path}")
    kept = {_identity(path) for path in read if path is not None and path.exists()}
    for option, path in asked.items():
        if path.exists() and _identity(path) in kept:
            raise UserError(f"{option}: {path} is read, and would be written over")


def require_writable(path: Path, option: str) -> None:
    """Before the work, not after it. Raises `UserError`."""
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder, not a file" if path.is_dir() else "its folder does not exist"
        refuse(what, where=option, allowed="a file that can be written", received=str(path))
    if path.exists() and not path.is_file():  # it would be replaced
        refuse("a device or pipe, not a file", where=option, allowed="a file that can be written", received=str(path))
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(f"{option}: {path}: cannot be written: {error.strerror}") from None


def require_utf8(path: Path, option: str) -> None:
    """Of what OpenCV is told: it crashes on any other name. Raises `UserError`."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        refuse("not UTF-8", where=option, allowed="a path of UTF-8", received=printable(str(path)))


def require_png(outputs: Mapping[str, Path | None]) -> None:
    """A picture is a PNG, whatever its name says. Raises `UserError`."""
    for option, path in outputs.items():
        if path is not None and path.suffix.lower() != ".png":
            refuse("not the name of a PNG", where=option, allowed="a name that ends in .png", received=str(path))


def _identity(path: Path) -> tuple[int, int]:
    """Of the file, under whatever name."""
    status = path.stat()
    return status.st_dev, status.st_ino
