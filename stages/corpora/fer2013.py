"""FER-2013 (Goodfellow et al. 2013, arXiv 1307.0414): 35,887 gray 48x48 faces, seven emotions, noisy labels.

Layouts it is found in, told apart by looking inside the archive:
  fer2013.csv / icml_face_data.csv   columns emotion, pixels, Usage (Kaggle spells ` pixels`, ` Usage` with a space)
  <part>/<class>/Training_123.jpg    the official part is the file name's prefix, whatever folder it lies in
  train|test|validation/<class>/im0.png
"""

import csv
import re
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
# Official parts as the corpus calls them, and the role each plays.
PARTS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
FOLDERS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
GROUP = None  # whose face it is is not known
EXPECTED = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
EXPECTED_FOLDERS = {"train": 28_709, "test": 7_178}  # `test` holds PublicTest and PrivateTest
MAX_CSV_BYTES = 1_000_000_000
COLUMNS = ("emotion", "pixels", "usage")

_OFFICIAL = {part.lower(): part for part in PARTS}
_PREFIX = re.compile(r"^(Training|PublicTest|PrivateTest)_", re.IGNORECASE)


def read(archive: Path) -> Iterator[Record]:
    """Every face, in a fixed order, undecoded; `partition` is the official part, else the folder's."""
    names = members.names(archive)
    tables = [name for name in names if name.lower().endswith(".csv")]
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    if images:
        return _read_folders(archive, names, images)
    for table in tables:
        columns = _columns(archive, table)
        if columns:
            return _read_csv(archive, table, columns)
    raise UserError(
        f"{archive}: not the layout of reader 'fer2013'; allowed: a CSV with emotion,pixels,Usage or "
        f"<part>/<class>/*.jpg|png; received: {', '.join(names[:4]) or 'an empty archive'}"
    )


def missing(found: dict[str, int]) -> str:
    """What `found` (faces per official part) lacks of the whole corpus, in words; '' for nothing."""
    whole = EXPECTED if found.keys() & EXPECTED.keys() else EXPECTED_FOLDERS
    if found == whole:
        return ""
    short = [f"{part} {found.get(part, 0):,} of {expected:,}" for part, expected in whole.items()]
    return f"not the whole of FER-2013 ({', '.join(short)})"


def synthesise(folder: Path, *, size: int, seed: int) -> None:
    """Write `size` faces into `folder`/fer2013.csv, emotions equally frequent.

    A quarter is PrivateTest (a tenth in FER-2013), so that few faces already tell recognisers apart.
    """
    from stages.corpora.drawing.face import draw_face  # OpenCV is needed for drawing alone

    order = generator(seed, "fer2013/order").permutation(size)
    with (folder / "fer2013.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["emotion", "pixels", "Usage"])
        for row, drawn in enumerate(order):
            code = int(drawn) % len(CODES)
            face = draw_face(CODES[code], generator(seed, "fer2013/face", row), SIZE_PX)
            writer.writerow([code, " ".join(map(str, face.ravel().tolist())), _part_of_row(row, size)])


def _part_of_row(row: int, size: int) -> str:
    share = row / size
    return "Training" if share < 0.6 else "PublicTest" if share < 0.75 else "PrivateTest"


def _columns(archive: Path, table: str) -> dict[str, str] | None:
    """{emotion, pixels, usage: the name the table gives that column}, or None where one is missing."""
    with members.open_member(archive, table, MAX_CSV_BYTES) as stream:
        header = stream.readline(1000).decode("utf-8-sig", errors="replace").rstrip("\r\n")
    found = {name.strip(' "').lower(): name.strip('"') for name in header.split(",")}
    return {name: found[name] for name in COLUMNS} if set(COLUMNS) <= found.keys() else None


def _read_csv(archive: Path, table: str, columns: dict[str, str]) -> Iterator[Record]:
    import pandas as pd  # here, so that a corpus of folders does not wait for it

    options = {"dtype": str, "keep_default_na": False, "index_col": False, "skip_blank_lines": False}
    with members.open_member(archive, table, MAX_CSV_BYTES) as stream:
        try:
            chunks = pd.read_csv(stream, encoding="utf-8-sig", encoding_errors="replace", chunksize=1024, **options)
            for chunk in chunks:
                for number, *row in chunk[list(columns.values())].itertuples(name=None):
                    if any(row):  # blank rows stand at the end of some
                        yield _csv_record(f"{archive}: {table} row {number + 2}", number, row)
        except ValueError as error:  # pandas' errors of parsing are
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


def decode_pixels(text: bytes) -> Signal:
    """2,304 numbers 0..255 in text → (48, 48) uint8, no rate. Raises `DamagedSample`."""
    try:
        values = np.fromstring(text, dtype=np.int64, sep=" ")  # text mode: six times faster than split()
    except ValueError:
        raise DamagedSample("text among the pixels; allowed: numbers 0 to 255") from None
    if len(values) != SIZE_PX**2:
        raise DamagedSample(f"{len(values)} pixels; allowed: {SIZE_PX**2}")
    if values.min() < 0 or values.max() > 255:
        raise DamagedSample("a pixel outside 0 to 255")
    return values.astype(np.uint8).reshape(SIZE_PX, SIZE_PX), None


def _read_folders(archive: Path, names: list[str], images: list[str]) -> Iterator[Record]:
    for folder in (name for name in names if name.endswith("/")):
        raise UserError(f"{archive}: {folder}: an empty class folder; allowed: at least one image, or no such folder")
    for name in images:
        yield _image_record(archive, name)


def _image_record(archive: Path, name: str) -> Record:
    parts = name.split("/")
    folder = parts[-2] if len(parts) > 1 else ""
    label = canonical(folder)
    if label not in CODES:
        raise UserError(unknown_name(f"{archive}: {name}", folder, CODES, "unknown class folder"))
    return Record(name, label, partial(members.read, archive, name), decode_image, partition=_partition(parts))


def _partition(parts: list[str]) -> str | None:
    official = _PREFIX.match(parts[-1])
    if official:
        return _OFFICIAL[official[1].lower()]
    return next((FOLDERS[part.lower()] for part in parts[:-2] if part.lower() in FOLDERS), None)
