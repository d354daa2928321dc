"""BIDS: the `*_events.tsv` of a recording, and the subject and session that its file name states.

`sub-01/ses-2/eeg/sub-01_ses-2_task-film_eeg.edf` is described by `sub-01_ses-2_task-film_events.tsv` beside it, or by
a table with fewer of these entities in a folder above it (the inheritance principle of BIDS 1.10).
"""

import csv
import io
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from stages.core.errors import refuse
from stages.core.labels import CLASSES, canonical
from stages.corpora.archive import members

SUFFIX = "_events.tsv"
LABEL_COLUMNS = ("emotion", "trial_type", "label", "condition", "event", "stim_type", "value")  # in this order
REQUIRED = ("onset", "duration")


def entities(member: str) -> dict[str, str]:
    """Return {'sub': '01', 'task': 'film', …} of a file name."""
    pairs = (part.partition("-") for part in PurePosixPath(member).name.split(".")[0].split("_"))
    return {key: value for key, dash, value in pairs if dash and value}


def table_of(recording: str, tables: Iterable[str]) -> str | None:
    """Return the most specific of `tables` that describes the recording, or None."""
    own, folder = entities(recording).items(), PurePosixPath(recording).parent
    fitting = [t for t in tables if entities(t).items() <= own and folder.is_relative_to(PurePosixPath(t).parent)]
    return max(fitting, key=lambda table: (table.count("/"), len(entities(table))), default=None)


def rows(archive: Path, table: str) -> list[tuple[str, str, str, str]]:
    """Return (location, text of the event, onset, duration) of every row; 'n/a' is returned as ''.

    The text comes from the first of `LABEL_COLUMNS` that holds a class. Raises `UserError` for another kind of table.
    """
    where = f"{archive}: {table}"
    allowed = (
        f"a table in UTF-8, columns separated by tabs: {', '.join(REQUIRED)} and one of {', '.join(LABEL_COLUMNS)}"
    )
    try:
        text = members.read(archive, table).decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", restval="")
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        found = [(number, row) for number, row in enumerate(reader, start=2) if any(map(str.strip, _cells(row)))]
    except (UnicodeDecodeError, csv.Error) as error:
        refuse("not a table of events", where=where, allowed=allowed, received=str(error))
    named = [name for name in LABEL_COLUMNS if name in columns]
    if not named or not set(REQUIRED) <= set(columns):
        refuse("missing columns", where=where, allowed=allowed, received="\t".join(columns))
    known = (name for name in named if any(canonical(row[name], CLASSES) for _, row in found))
    label = next(known, named[0])
    order = (label, *REQUIRED)
    return [(f"{where} line {number}", *("" if row[c].strip() == "n/a" else row[c].strip() for c in order))
            for number, row in found]  # fmt: skip


def _cells(row: dict) -> list[str]:
    return [cell for cell in row.values() if isinstance(cell, str)]
