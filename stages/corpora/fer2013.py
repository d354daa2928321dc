"""FER-2013 (Goodfellow et al. 2013, arXiv 1307.0414): 35,887 grey 48x48 faces, seven emotions, noisy labels.

The layout is recognised by the content of the archive:
  fer2013.csv / icml_face_data.csv   columns emotion, pixels, Usage (Kaggle writes ` pixels`, ` Usage` with a space)
  <part>/<class>/Training_123.jpg    the prefix of the file name is the official part, whatever the folder is
  train|test|validation/<class>/im0.png
Several tables are read if they hold the same rows. `corpora.<corpus>.class_names` maps other names of classes, parts.

FER+ (Barsoum et al. 2016, arXiv 1608.01041) has the votes of ten annotators for the same faces. It is read instead of
the labels above if `corpora.<corpus>.labels` is set, 'majority' or 'distribution' (`archive/fer_plus.py`), from one of
  fer2013.csv and fer2013new.csv             with the same rows in the same order
  FER2013Train/fer0000000.png … (any folder) and fer2013new.csv, or label.csv in each folder, as its own script writes
"""

import csv
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NoReturn

import numpy as np

from stages.core.errors import UserError, refuse
from stages.core.records import DamagedSample, Record, Signal
from stages.core.seeding import generator
from stages.corpora.archive import fer_plus, members
from stages.corpora.archive.clips import is_hidden
from stages.corpora.archive.image_files import (
    Note,
    class_images,
    count_by_suffix,
    folder_names,
    image_names,
    normalized,
)
from stages.corpora.decoding.images import decode_image

CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIZE_PX = 48
# The official parts by their names in the corpus, and their roles.
PARTS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": "train", "training": "train", "test": "test", "testing": "test"}
FOLDERS |= dict.fromkeys(("validation", "val", "valid", "dev", "development"), "validation")
FOLDERS |= {"publictest": "PublicTest", "privatetest": "PrivateTest"}
FOLDERS |= {"fer2013train": "Training", "fer2013valid": "PublicTest", "fer2013test": "PrivateTest"}
GROUP = None  # the persons are not known
EXPECTED = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
EXPECTED_FOLDERS = {"train": 28_709, "test": 7_178}  # `test` holds PublicTest and PrivateTest
COLUMNS = ("emotion", "pixels", "usage")
# with the votes of FER+
VOTED_CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt")
_SETTING = "corpora.<corpus>.labels to majority or distribution"

_OFFICIAL = {part.lower(): part for part in PARTS}


def read(
    archive: Path,
    class_names: Mapping[str, str] | None = None,
    note: Note | None = None,
    labels: str | None = None,
) -> Iterator[Record]:
    """Return an iterator over all faces in a fixed order, undecoded; `partition` is the official part or the folder.

    `class_names` maps folder names to classes, parts or 'ignore'; `note` receives what a user should know. `labels`,
    'majority' or 'distribution', are those of FER+; faces that its votes give no emotion are left out.
    """
    if labels is not None:
        return _read_fer_plus(archive, labels, note)
    names, headers = members.names(archive), _headers(archive)
    faces = _face_tables(headers)
    images = image_names(archive)
    folders = folder_names(archive, images, CODES, FOLDERS, class_names, partial(_no_order, archive), note)
    has_folders = any(folders.label(folder) for folder in {name.rpartition("/")[0] for name in images})
    _refuse_other_labels(archive, headers, next(iter(faces), "class folders of images" if has_folders else None))
    if faces and has_folders:
        what, received = "faces as a table and as class folders of images", f"{next(iter(faces))} and {images[0]}"
        refuse(what, where=str(archive), allowed="one of them: remove the other from the source", received=received)
    if images and (has_folders or not faces):
        chosen = class_images(archive, images, folders, note)
        partitions = {folder: folders.partition(folder) for folder in {name.rpartition("/")[0] for name in chosen}}
        return (_image_record(archive, name, label, partitions) for name, label in chosen.items())
    if faces:
        _refuse_different_tables(archive, faces)
        _note_others(archive, faces, note)
        return _read_csv(archive, *next(iter(faces.items())))
    raise UserError(
        f"{archive}: not the layout of reader 'fer2013'; allowed: a CSV with emotion,pixels,Usage or "
        f"<part>/<class>/*.jpg|png; received: {', '.join(names[:4]) or 'an empty archive'}"
    )


def missing(counts: dict[str, int]) -> str:
    """Return how `counts` (faces per official part) differs from the complete corpus, '' if it does not."""
    expected = EXPECTED if counts.keys() & EXPECTED.keys() else EXPECTED_FOLDERS
    parts = ", ".join(f"{part} {counts.get(part, 0):,} of {count:,}" for part, count in expected.items())
    return "" if counts == expected else f"not the whole of FER-2013 ({parts})"


def synthesise(folder: Path, *, size: int, seed: int) -> None:
    """Write `size` synthetic faces to `folder`/fer2013.csv, all emotions equally frequent.

    A quarter of them is PrivateTest (a tenth in FER-2013), so that few faces are enough to compare models.
    """
    from stages.synthetic.faces.face import draw_face  # imported here: only synthesis needs OpenCV

    order = generator(seed, "fer2013/order").permutation(size)
    with (folder / "fer2013.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["emotion", "pixels", "Usage"])
        for row, index in enumerate(order):
            code = int(index) % len(CODES)
            face = draw_face(CODES[code], generator(seed, "fer2013/face", row), SIZE_PX)
            usage = "Training" if row / size < 0.6 else "PublicTest" if row / size < 0.75 else "PrivateTest"
            writer.writerow([code, " ".join(map(str, face.ravel().tolist())), usage])


def decode_pixels(text: bytes) -> Signal:
    """Decode 2,304 numbers 0 to 255 as text to (48, 48) uint8, without a rate. Raises `DamagedSample`."""
    try:
        values = np.fromstring(text, dtype=np.int64, sep=" ")  # text mode is six times faster than split()
    except ValueError:
        raise DamagedSample("text among the pixels; allowed: numbers 0 to 255") from None
    if len(values) != SIZE_PX**2:
        raise DamagedSample(f"{len(values)} pixels; allowed: {SIZE_PX**2}")
    if values.min() < 0 or values.max() > 255:
        raise DamagedSample("a pixel outside 0 to 255")
    return values.astype(np.uint8).reshape(SIZE_PX, SIZE_PX), None


def _headers(archive: Path) -> dict[str, dict[str, str]]:
    tables = (name for name in members.names(archive) if name.lower().endswith(".csv") and not is_hidden(name))
    return {name: _header(archive, name) for name in tables}


def _face_tables(headers: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {name: columns for name, header in headers.items() if (columns := _columns(header))}


def _note_others(archive: Path, read: Mapping[str, object], note: Note | None) -> None:
    if note and (others := [name for name in members.names(archive) if name not in read and not is_hidden(name)]):
        note(f"{archive}: passed over {len(others):,} files: {count_by_suffix(others)}; read is {next(iter(read))}")


def _header(archive: Path, table: str) -> dict[str, str]:
    """Return {name in lower case, without spaces around it: the column's name in this table}."""
    with members.open_member(archive, table) as stream:
        header = stream.readline(1000).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    return {name.strip(' "').lower(): name.strip('"') for name in header.split(",")}


def _columns(header: Mapping[str, str]) -> dict[str, str] | None:
    """Return {emotion, pixels, usage: the column's name in this table}, or None if one is missing."""
    return {name: header[name] for name in COLUMNS} if set(COLUMNS) <= header.keys() else None


def _refuse_other_labels(archive: Path, headers: Mapping[str, dict[str, str]], other: str | None) -> None:
    """Raise `UserError` for FER+, and for other labels of the same faces beside `other`, without pixels or Usage."""
    for table, header in headers.items():
        received = f"{other} and {table}" if other else table
        if fer_plus.is_table(header) or fer_plus.is_label_file(table, header):
            what = "labels of FER-2013 and of FER+" if other else "labels of FER+"
            allowed = f"labels of FER-2013 alone, or set {_SETTING} for those of FER+"
            refuse(what, where=str(archive), allowed=allowed, received=received)
        if other and "fer2013" in PurePosixPath(table).name.lower() and "emotion" in header and not _columns(header):
            what, allowed = "labels of FER-2013 and a second table of labels", "one of them: remove the other"
            refuse(what, where=str(archive), allowed=allowed, received=received)


def _refuse_different_tables(archive: Path, tables: Mapping[str, dict[str, str]]) -> None:
    """Raise `UserError` unless all tables have the same rows, in the same order, and their columns in any order."""
    (first, columns), *others = tables.items()
    for table, other_columns in others:
        if members.fingerprint(archive, table) == members.fingerprint(archive, first):
            continue
        pairs = itertools.zip_longest(_digests(archive, first, columns), _digests(archive, table, other_columns))
        for row, (one, other) in enumerate(pairs, start=1):
            if one != other:
                what, allowed = f"two tables of labels that differ from sample {row:,} on", "one table, or equal ones"
                refuse(what, where=str(archive), allowed=allowed, received=f"{first} and {table}")


def _digests(archive: Path, table: str, columns: Mapping[str, str]) -> Iterator[tuple[str, str | None, bytes]]:
    for record in _read_csv(archive, table, columns):
        yield record.label, record.partition, hashlib.blake2b(record.read_bytes(), digest_size=8).digest()


def _read_csv(archive: Path, table: str, columns: Mapping[str, str]) -> Iterator[Record]:
    import pandas as pd  # imported here: a corpus of folders does not need it

    # With `usecols`, pandas accepts rows of more commas than there are columns, which spreadsheets leave at the end.
    options = {"dtype": str, "keep_default_na": False, "index_col": False, "skip_blank_lines": False}
    options |= {"usecols": list(columns.values()), "encoding": "utf-8-sig", "encoding_errors": "replace"}
    with members.open_member(archive, table) as stream:
        try:
            for chunk in pd.read_csv(stream, chunksize=1024, **options):
                for number, *row in chunk[list(columns.values())].itertuples(name=None):
                    if any(value and not value.isspace() for value in row):  # some tables end with blank rows
                        yield _csv_record(f"{archive}: {table} row {number + 2}", number, row)
        except ValueError as error:  # the base class of pandas' parsing errors
            where, allowed = f"{archive}: {table}", ",".join(COLUMNS)
            refuse("not a table", where=where, allowed=allowed, received=" ".join(str(error).split()))


def _csv_record(where: str, number: int, row: list[str]) -> Record:
    code, pixels, usage = (value.strip() for value in row)
    if not usage:
        refuse("too few columns", where=where, allowed=",".join(COLUMNS), received=",".join(row)[:60])
    if code not in ("0", "1", "2", "3", "4", "5", "6"):
        refuse("unknown emotion code", where=where, allowed="0 to 6", received=code)
    if usage not in PARTS:
        refuse("unknown Usage", where=where, allowed=", ".join(PARTS), received=usage)
    return Record(f"row{number:06d}", CODES[int(code)], partial(bytes, pixels.encode()), decode_pixels, partition=usage)


def _no_order(archive: Path, numbers: set[int]) -> NoReturn:
    what, allowed = (
        "numbered class folders",
        "names of emotions, or a data.yaml, labels.txt or class_names that names them",
    )
    refuse(what, where=str(archive), allowed=allowed, received=", ".join(map(str, sorted(numbers))))


def _image_record(archive: Path, name: str, label: str, partitions: Mapping[str, str | None]) -> Record:
    folder, _, file = name.rpartition("/")
    partition = _OFFICIAL.get(file.lower().split("_")[0]) if "_" in file else None
    content = partial(members.read, archive, name)
    return Record(name, label, content, decode_image, partition=partition or partitions[folder])


def _read_fer_plus(archive: Path, labels: str, note: Note | None) -> Iterator[Record]:
    """Return the faces with FER+'s labels. Raises `UserError` unless each face has its row of votes."""
    headers = _headers(archive)
    faces, plus = _face_tables(headers), [table for table, header in headers.items() if fer_plus.is_table(header)]
    if len({members.fingerprint(archive, table) for table in plus}) > 1:
        what, allowed = "more than one table of FER+", "one table, or exact copies"
        refuse(what, where=str(archive), allowed=allowed, received=" and ".join(plus))
    rows = list(fer_plus.rows(archive, plus[0], PARTS)) if plus else []
    if faces and plus:
        _refuse_different_tables(archive, faces)
        used = [*faces, *plus]
        pairs = _paired_by_row(archive, *next(iter(faces.items())), plus[0], rows)
    else:
        label_files = [table for table, header in headers.items() if fer_plus.is_label_file(table, header)]
        for table in label_files:
            rows += fer_plus.label_file_rows(archive, table, _folder_part(table))
        pairs = _paired_by_name(archive, rows)
        rows = [row for _, row in pairs]
        used = [*(record.sample_id for record, _ in pairs), *plus, *label_files]
    if note:
        _note_others(archive, dict.fromkeys(used), note)
        note(f"{archive}: {fer_plus.summary(rows, labels)}")
    return _voted(pairs, labels)


def _voted(pairs: Iterable[tuple[Record, fer_plus.Row]], labels: str) -> Iterator[Record]:
    for record, row in pairs:
        label, votes = row.answer(labels), row.emotion_votes() if labels == "distribution" else None
        if label in VOTED_CODES:
            yield replace(record, label=label, votes=votes)


def _paired_by_row(
    archive: Path, table: str, columns: Mapping[str, str], plus: str, rows: list[fer_plus.Row]
) -> Iterator[tuple[Record, fer_plus.Row]]:
    """Yield each face with its row of FER+. Raises `UserError` if the numbers of rows or a Usage differ."""
    records = _read_csv(archive, table, columns)
    for number, (record, row) in enumerate(itertools.zip_longest(records, rows)):
        if record is None or row is None or record.partition != row.usage:
            count = number + (record is not None) + sum(1 for _ in records)
            if count != len(rows):
                received = f"{table} with {count:,} rows and {plus} with {len(rows):,}"
                refuse("tables of other lengths", where=str(archive), allowed="the same rows", received=received)
            what = f"another Usage than in the same row of {table}"
            refuse(what, where=row.where, allowed=record.partition, received=row.usage)
        yield record, row


def _paired_by_name(archive: Path, rows: list[fer_plus.Row]) -> list[tuple[Record, fer_plus.Row]]:
    """Return each image with its row of FER+. Raises `UserError` without images or rows, or if they do not match."""
    images, by_image = fer_plus.images(archive), fer_plus.by_image(archive, rows)
    if not rows or not images:
        names = ", ".join(members.names(archive)[:4]) or "an empty archive"
        what = "no faces for the votes of FER+" if rows else "no votes of FER+"
        allowed = f"fer2013new.csv ({fer_plus.LAYOUT}) of github.com/microsoft/FERPlus with fer2013.csv or fer*.png"
        refuse(what, where=str(archive), allowed=allowed, received=names)
    pairs = []
    for name in images:
        folder, _, file = name.rpartition("/")
        row, part = by_image.get(file.lower()), _folder_part(name)
        if row is None:
            refuse("no votes for this image", where=f"{archive}: {name}", allowed="a row of FER+", received="none")
        if part in PARTS and row.usage not in (None, part):
            refuse(f"another Usage than its folder's, {part}", where=row.where, allowed=part, received=row.usage)
        pairs.append((_image_record(archive, name, "", {folder: row.usage or part}), row))
    return pairs


def _folder_part(name: str) -> str | None:
    return FOLDERS.get(normalized(PurePosixPath(name).parent.name))
