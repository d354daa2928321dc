"""Checks of output paths before the work begins: writable, distinct, and no input among them."""

import tempfile
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from stages.core.errors import UserError, printable, refuse


def require_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[Path | None] = ()) -> None:
    """Check `outputs` {option: file or None}; none of `inputs` may be overwritten. Raises `UserError`."""
    chosen = {option: path for option, path in outputs.items() if path is not None}
    read = [path for path in inputs if path is not None and path.exists()]
    for option, path in chosen.items():
        require_writable(path, option)
        if path.exists() and any(path.samefile(other) for other in read):
            raise UserError(f"{option}: {path} is an input and would be overwritten")
    for (one, path), (other, same) in combinations(chosen.items(), 2):
        if path.resolve() == same.resolve():
            raise UserError(f"{one} and {other}: both would write {path}")


def require_writable(path: Path, option: str) -> None:
    """Raise `UserError` unless `path` can be written, so that the mistake shows before the work."""
    if path.is_dir() or not path.parent.is_dir():
        what = "a folder, not a file" if path.is_dir() else "its folder does not exist"
        refuse(what, where=option, allowed="a file that can be written", received=str(path))
    if path.exists() and not path.is_file():  # the atomic write would replace it
        refuse("a device or pipe, not a file", where=option, allowed="a file that can be written", received=str(path))
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(f"{option}: {path}: cannot be written: {error.strerror}") from None


def require_utf8(path: Path, option: str) -> None:
    """Raise `UserError` for a path that is not UTF-8, on which OpenCV crashes."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        refuse("not UTF-8", where=option, allowed="a path of UTF-8", received=printable(str(path)))


def require_png(outputs: Mapping[str, Path | None]) -> None:
    """Raise `UserError` for a picture whose name does not end in .png, since all pictures are PNG files."""
    for option, path in outputs.items():
        if path is not None and path.suffix.lower() != ".png":
            refuse("not the name of a PNG", where=option, allowed="a name that ends in .png", received=str(path))
