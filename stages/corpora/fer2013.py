"""FER-2013 (Goodfellow et al. 2013, arXiv 1307.0414): 35,887 grey 48x48 faces, seven emotions, noisy labels.

The layout is recognised by the content of the archive:
  fer2013.csv / icml_face_data.csv   columns emotion, pixels, Usage (Kaggle writes ` pixels`, ` Usage` with a space)
  <part>/<class>/Training_123.jpg    the prefix of the file name is the official part, whatever the folder is
  train|test|validation/<class>/im0.png
Several tables are read if they hold the same rows. FER+ (fer2013new.csv, Barsoum et al. 2016) has other labels for the
same faces, so that it may not stand beside. `corpora.<corpus>.class_names` maps other names of classes and parts.
"""

import csv
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from stages.core.errors import UserError, refuse
from stages.core.records import DamagedSample, Record, Signal
from stages.core.seeding import generator
from stages.corpora.archive import members
from stages.corpora.archive.clips import is_hidden
from stages.corpora.archive.image_files import (
    Note,
    class_images,
    count_by_suffix,
    folder_names,
    image_names,
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
FER_PLUS = ("usage", "image name", "neutral", "happiness")  # the first columns of fer2013new.csv

_OFFICIAL = {part.lower(): part for part in PARTS}


def read(archive: Path, class_names: Mapping[str, str] | None = None, note: Note | None = None) -> Iterator[Record]:
    """Return an iterator over all faces in a fixed order, undecoded; `partition` is the official part or the folder.

    `class_names` maps folder names to classes, parts or 'ignore'; `note` receives what a user should know.
    """
    names = members.names(archive)
    headers = {name: _header(archive, name) for name in names if name.lower().endswith(".csv") and not is_hidden(name)}
    tables = {name: columns for name, header in headers.items() if (columns := _columns(header))}
    images = image_names(archive)
    folders = folder_names(archive, images, CODES, FOLDERS, class_names, partial(_no_order, archive), note)
    has_folders = any(folders.label(folder) for folder in {name.rpartition("/")[0] for name in images})
    _refuse_other_labels(archive, headers, next(iter(tables), "class folders of images" if has_folders else None))
    if images and (has_folders or not tables):
        labels = class_images(archive, images, folders, note)
        partitions = {folder: folders.partition(folder) for folder in {name.rpartition("/")[0] for name in labels}}
        return (_image_record(archive, name, label, partitions) for name, label in labels.items())
    if tables:
        _refuse_different_tables(archive, tables)
        if note and (others := [name for name in names if name not in tables and not is_hidden(name)]):
            note(
                f"{archive}: passed over {len(others):,} files: {count_by_suffix(others)}; read is {next(iter(tables))}"
            )
        return _read_csv(archive, *next(iter(tables.items())))
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


def _header(archive: Path, table: str) -> dict[str, str]:
    """Return {name in lower case, without spaces around it: the column's name in this table}."""
    with members.open_member(archive, table) as stream:
        header = stream.readline(1000).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    return {name.strip(' "').lower(): name.strip('"') for name in header.split(",")}


def _columns(header: Mapping[str, str]) -> dict[str, str] | None:
    """Return {emotion, pixels, usage: the column's name in this table}, or None if one is missing."""
    return {name: header[name] for name in COLUMNS} if set(COLUMNS) <= header.keys() else None


def _refuse_other_labels(archive: Path, headers: Mapping[str, dict[str, str]], other: str | None) -> None:
    """Raise `UserError` for other labels of the same faces beside `other`: FER+, or without pixels or Usage."""
    for table, header in headers.items() if other else ():
        is_fer_plus = set(FER_PLUS) <= header.keys()
        if is_fer_plus or (
            "fer2013" in table.lower().rpartition("/")[2] and "emotion" in header and not _columns(header)
        ):
            what = f"labels of FER-2013 and {'of FER+' if is_fer_plus else 'a second table of labels'}"
            allowed = "one of them: remove the other from the source"
            refuse(what, where=str(archive), allowed=allowed, received=f"{other} and {table}")


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
