"""Tables (.csv) that describe the files of a corpus: found, read and checked, whichever program wrote them."""

import io
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from stages.core.errors import refuse
from stages.corpora.archive import members
from stages.corpora.archive.clips import is_hidden

# A line of separators, which spreadsheets leave at the end, often more than there are columns.
_BLANK_ROW = re.compile(rb"^[ \t,;]+(?=\r?$)", re.MULTILINE)


def find(archive: Path, name: str) -> str | None:
    """Return the outermost member with this file name, in any letter case, or None; `UserError` if two differ."""
    ending = [member for member in members.names(archive) if member.lower().endswith(name)]
    found = [member for member in ending if PurePosixPath(member).name.lower() == name and not is_hidden(member)]
    if len({members.fingerprint(archive, member) for member in found}) > 1:
        refuse(f"more than one {name}", where=str(archive), allowed=f"one {name}, or exact copies", received=found)
    return min(found, key=lambda member: (member.count("/"), member)) if found else None


def rows(archive: Path, table: str, required: Iterable[str], allowed: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (location, {column: value}) of every row; `allowed` describes the columns in messages.

    Raises `UserError` unless it is a table in UTF-8 with all `required` columns, in any order.
    """
    import pandas as pd  # imported here: corpora without a table do not need it

    where = f"{archive}: {table}"
    try:
        content = _BLANK_ROW.sub(b"", members.read(archive, table))
        options = {"dtype": str, "keep_default_na": False, "index_col": False, "skip_blank_lines": False}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas drops cells beyond the last column
            separator = _separator(content)
            frame = pd.read_csv(io.BytesIO(content), sep=separator, encoding="utf-8-sig", **options).fillna("")
    except UnicodeDecodeError as error:
        refuse("not a table in UTF-8", where=where, allowed=allowed, received=error.object[:60])
    except (ValueError, pd.errors.ParserWarning) as error:
        refuse("not a table", where=where, allowed=allowed, received=str(error))
    frame.columns = frame.columns.str.strip().str.lower()
    if not set(required) <= set(frame.columns):
        refuse("missing columns", where=where, allowed=allowed, received=",".join(frame.columns))
    for number, row in enumerate(frame.to_dict("records"), start=2):
        if any(row.values()):  # some tables end with blank lines
            yield f"{where} line {number}", {name: value.strip() for name, value in row.items()}


def _separator(content: bytes) -> str:
    """Return what separates the names of the columns: Excel writes semicolons where the comma is in numbers."""
    names = content.split(b"\n", 1)[0]
    return max(",", ";", "\t", key=lambda separator: names.count(separator.encode()))


def resolve(where: str, file: str, paths: Mapping[str, str], what: str = "clip") -> str:
    """Return the value in `paths` for the path that a row names. Raises `UserError` for an unknown path."""
    path = file.replace("\\", "/").removeprefix("./")  # Windows writes backslashes
    forms = (path, normalize("NFC", path), normalize("NFD", path))  # a Mac decomposes 'é' in the names of files
    path = next((form for form in forms if form in paths), path)
    if path not in paths:
        refuse(f"no such {what}", where=where, allowed=f"a path such as {min(paths.values())}", received=file)
    return paths[path]
