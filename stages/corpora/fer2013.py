"""FER-2013 (Goodfellow et al. 2013, arXiv 1307.0414): 35,887 grey 48x48 faces, seven emotions, noisy labels.

The layout is recognised by the content of the archive:
  fer2013.csv / icml_face_data.csv   columns emotion, pixels, Usage (Kaggle writes ` pixels`, ` Usage` with a space)
  <part>/<class>/Training_123.jpg    the prefix of the file name is the official part, whatever the folder is
  train|test|validation/<class>/im0.png
"""

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from stages.core.errors import UserError, refuse, unknown_name
from stages.core.labels import canonical
from stages.core.records import DamagedSample, Record, Signal
from stages.core.seeding import generator
from stages.corpora.archive import members
from stages.corpora.decoding.images import SUFFIXES, decode_image

CODES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SIZE_PX = 48
# The official parts by their names in the corpus, and their roles.
PARTS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
GROUP = None  # the persons are not known
EXPECTED = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
EXPECTED_FOLDERS = {"train": 28_709, "test": 7_178}  # `test` holds PublicTest and PrivateTest
COLUMNS = ("emotion", "pixels", "usage")

_OFFICIAL = {part.lower(): part for part in PARTS}


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all faces in a fixed order, undecoded; `partition` is the official part or the folder."""
    names = members.names(archive)
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    if images:
        members.refuse_empty_folders(archive)
        return (_image_record(archive, name) for name in images)
    for table in (name for name in names if name.lower().endswith(".csv")):
        if columns := _columns(archive, table):
            return _read_csv(archive, table, columns)
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


def _columns(archive: Path, table: str) -> dict[str, str] | None:
    """Return {emotion, pixels, usage: the column's name in this table}, or None if one is missing."""
    with members.open_member(archive, table) as stream:
        header = stream.readline(1000).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    found = {name.strip(' "').lower(): name.strip('"') for name in header.split(",")}
    return {name: found[name] for name in COLUMNS} if set(COLUMNS) <= found.keys() else None


def _read_csv(archive: Path, table: str, columns: dict[str, str]) -> Iterator[Record]:
    import pandas as pd  # imported here: a corpus of folders does not need it

    options = {"dtype": str, "keep_default_na": False, "index_col": False, "skip_blank_lines": False}
    with members.open_member(archive, table) as stream:
        try:
            chunks = pd.read_csv(stream, encoding="utf-8-sig", encoding_errors="replace", chunksize=1024, **options)
            for chunk in chunks:
                for number, *row in chunk[list(columns.values())].itertuples(name=None):
                    if any(row):  # some tables end with blank rows
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


def _image_record(archive: Path, name: str) -> Record:
    *parents, folder, file = ["", *name.split("/")]
    label = canonical(folder)
    if label not in CODES:
        raise UserError(unknown_name(f"{archive}: {name}", folder, CODES, "unknown class folder"))
    named = (FOLDERS[part.lower()] for part in parents if part.lower() in FOLDERS)
    partition = _OFFICIAL.get(file.lower().split("_")[0]) if "_" in file else None
    return Record(
        name, label, partial(members.read, archive, name), decode_image, partition=partition or next(named, None)
    )
