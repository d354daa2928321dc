"""The tables of FER+ (Barsoum et al. 2016, arXiv 1608.01041): ten annotators' votes for each face of FER-2013.

fer2013new.csv has the rows of fer2013.csv in the same order. The published script writes the faces as fer0000000.png,
in a folder per part, with a label.csv in each. As in the published code, an answer with a single vote is an outlier and
does not count.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stages.core.errors import refuse
from stages.core.labels import canonical
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import is_hidden

EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
COLUMNS = (*EMOTIONS, "unknown", "nf")
LAYOUT = f"Usage,Image name,{','.join(COLUMNS)}"
CLASSES = tuple(map(canonical, EMOTIONS))
_ANSWERS = (*CLASSES, "unknown", "not a face")
_IMAGE = re.compile(r"fer\d{7}\.png", re.ASCII | re.IGNORECASE)
_COUNT = re.compile(r"(\d{1,3})(\.0*)?", re.ASCII)


@dataclass(frozen=True)
class Row:
    """A row of a table: its place, the official part, the image's file name ('' without a face), votes by column."""

    where: str
    usage: str | None
    image: str
    votes: tuple[int, ...]

    def answer(self, labels: str) -> str:
        """Return the class, or why the face has none: 'unknown', 'not a face' or 'without a clear answer'.

        `labels`: with 'majority', the class needs more than half of the votes; with 'distribution', more than 'unknown'
        and 'not a face' have. Of equally frequent emotions, the first is the class, as in the published code.
        """
        counted = [count if count > 1 else 0 for count in self.votes]
        most = max(counted)
        if not most or (labels == "majority" and 2 * most <= sum(counted)):
            return "without a clear answer"
        start = len(CLASSES) if most in counted[len(CLASSES) :] else 0
        return _ANSWERS[counted.index(most, start)]

    def emotion_votes(self) -> dict[str, int]:
        """Return {class: votes} of the emotions, without outliers."""
        return {name: count for name, count in zip(_ANSWERS, self.votes, strict=True) if name in CLASSES and count > 1}


def is_table(header: Mapping[str, str]) -> bool:
    return {"usage", *COLUMNS[:3]} <= header.keys()


def is_label_file(table: str, header: Iterable[str]) -> bool:
    """Return whether it is a table of the published script, which has no header: its first cell is an image."""
    return PurePosixPath(table).name.lower() == "label.csv" and bool(_IMAGE.fullmatch(next(iter(header))))


def images(archive: Path) -> list[str]:
    """Return the visible images with names such as fer0000000.png, sorted."""
    names = members.names(archive)
    return [name for name in names if _IMAGE.fullmatch(PurePosixPath(name).name) and not is_hidden(name)]


def rows(archive: Path, table: str, parts: Container[str]) -> Iterator[Row]:
    """Yield the rows of fer2013new.csv. Raises `UserError` for a missing column, an unknown Usage, or other votes."""
    for where, row in tables.rows(archive, table, ("usage", *COLUMNS), LAYOUT):
        if row["usage"] not in parts:
            refuse("unknown Usage", where=where, allowed=", ".join(parts), received=row["usage"])
        votes = _votes(where, [row[name] for name in COLUMNS])
        yield Row(where, row["usage"], row.get("image name", "").lower(), votes)


def label_file_rows(archive: Path, table: str, usage: str | None) -> Iterator[Row]:
    """Yield the rows of a label.csv, each with the image, the box of the face, and the votes."""
    text = members.read(archive, table).decode("utf-8-sig", errors="replace")
    for number, row in enumerate(csv.reader(io.StringIO(text)), start=1):
        where = f"{archive}: {table} line {number}"
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != 2 + len(COLUMNS):
            allowed, received = f"image,box,{','.join(COLUMNS)}", ",".join(row)[:60]
            refuse(f"{len(row)} columns", where=where, allowed=allowed, received=received)
        yield Row(where, usage, row[0].strip().lower(), _votes(where, row[2:]))


def by_image(archive: Path, rows: Iterable[Row]) -> dict[str, Row]:
    """Return {file name of the image: its row}. Raises `UserError` for two rows of one image that differ."""
    found: dict[str, Row] = {}
    for row in rows:
        known = found.setdefault(row.image, row)
        if row.image and (known.votes != row.votes or len({known.usage, row.usage} - {None}) > 1):
            received = " and ".join(one.where.removeprefix(f"{archive}: ") for one in (known, row))
            what, allowed = f"two rows of {row.image} that differ", "one, or equal ones"
            refuse(what, where=str(archive), allowed=allowed, received=received)
    return found


def summary(rows: Iterable[Row], labels: str) -> str:
    """Return how many of the faces have a class, and why the others have none."""
    answers = Counter(row.answer(labels) for row in rows)
    left_out = {answer: count for answer, count in answers.most_common() if answer not in CLASSES}
    reasons = ", ".join(f"{count:,} {answer}" for answer, count in left_out.items()) or "none"
    kept = answers.total() - sum(left_out.values())
    return f"labels of FER+, {labels} of the votes: {kept:,} of {answers.total():,} faces; left out: {reasons}"


def _votes(where: str, cells: list[str]) -> tuple[int, ...]:
    matches = [_COUNT.fullmatch(cell.strip()) for cell in cells]
    if None in matches:
        refuse("not a number of votes", where=where, allowed="whole numbers", received=cells[matches.index(None)])
    return tuple(int(match[1]) for match in matches)
