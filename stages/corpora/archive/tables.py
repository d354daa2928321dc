"""A table (.csv) that says what a corpus's files are: found, read and checked, whatever program wrote it."""

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from stages.core.errors import refuse
from stages.corpora.archive import members
from stages.corpora.archive.clips import is_hidden


def find(archive: Path, name: str) -> str | None:
    """The member of that file name, in any folder and letter case, or None. Raises `UserError` for two that differ.

    Of exact copies, the one in the fewest folders.
    """
    found = [member for member in members.names(archive) if PurePosixPath(member).name.lower() == name]
    found = [member for member in found if not is_hidden(member)]
    if len({members.fingerprint(archive, member) for member in found}) > 1:
        refuse(f"more than one {name}", where=str(archive), allowed=f"one {name}, or copies", received=found)
    return min(found, key=lambda member: (member.count("/"), member)) if found else None


def rows(archive: Path, table: str, needed: Iterable[str], allowed: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(where it stands, {column: value}) of every row; columns in any order, further ones too.

    `allowed`: the columns in words. Raises `UserError` for what is no table in UTF-8 with the `needed` columns.
    """
    import pandas as pd  # here, so that corpora without a table do not wait for it

    where = f"{archive}: {table}"
    try:
        content = io.BytesIO(members.read(archive, table))
        options = {"dtype": str, "keep_default_na": False, "index_col": False, "skip_blank_lines": False}
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the last column would be lost
            found = pd.read_csv(content, encoding="utf-8-sig", **options).fillna("")
    except UnicodeDecodeError as error:
        refuse("not a table in UTF-8", where=where, allowed=allowed, received=error.object[:60])
    except (ValueError, pd.errors.ParserWarning) as error:
        refuse("not a table", where=where, allowed=allowed, received=str(error))
    found.columns = found.columns.str.strip().str.lower()
    if not set(needed) <= set(found.columns):
        refuse("missing columns", where=where, allowed=allowed, received=",".join(found.columns))
    for number, row in enumerate(found.to_dict("records"), start=2):
        if any(row.values()):  # blank lines stand at the end of some
            yield f"{where} line {number}", {name: value.strip() for name, value in row.items()}


def named(where: str, file: str, paths: Mapping[str, str], what: str = "clip") -> str:
    """What `paths` holds for the path in a row. Raises `UserError` for an unknown one."""
    path = file.replace("\\", "/").removeprefix("./")  # as Windows writes it
    if path not in paths:
        refuse(f"no such {what}", where=where, allowed=f"a path such as {min(paths.values())}", received=file)
    return paths[path]
