"""Faces whose labels are in files beside the images: ExpW, YOLO, AffectNet with its .npy annotations, and CK+.

label.lst                 ExpW (Zhang et al. 2018, IJCV 126): a line per face, see `EXPW_COLUMNS`; image/origin/*.jpg
<part>/images/*.png       YOLO: <part>/labels/<name>.txt has a line per face, class number and box (centre x and y,
                          width, height) or polygon in shares of the image; data.yaml names the numbers
<part>_set/images/*.jpg   AffectNet as its authors distribute it: <part>_set/annotations/<name>_exp.npy
S005_001_00000011.png     CK+ (Lucey et al. 2010, CVPR Workshops): S005_001_00000011_emotion.txt holds the number of the
                          emotion of the last image of a sequence, the apex; 266 of its 593 sequences have none
"""

import io
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import NoReturn
from unicodedata import normalize

import numpy as np

from stages.core.errors import refuse
from stages.corpora.archive import members, tables
from stages.corpora.archive.image_files import IGNORE, NAMES_FILES, FolderNames, Note, number_names, report_images
from stages.corpora.archive.labels import EXPRESSION, YOLO, ck_plus_files, label_file
from stages.corpora.decoding.crops import pack_box
from stages.corpora.decoding.npz import npy_header

EXPW_LIST = "label.lst"
EXPW = dict(enumerate(("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")))
EXPW_COLUMNS = "image_name face_id_in_image box_top box_left box_right box_bottom box_confidence expression_label"
# Mollahosseini, Hasani & Mahoor 2019, IEEE Trans. Affective Computing 10(1), table 1
AFFECTNET = dict(enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")))
CK_PLUS = dict(enumerate(("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")))
NO_CLASS = {8: "none", 9: "uncertain", 10: "no face"}  # the paper's other labels, no classes
MAX_LABEL_BYTES = 1 << 20
_MAX_NUMBER = 10_000  # of a class
_ROUNDING = 0.01  # of the image, by which the coordinates of YOLO may leave it


@dataclass(frozen=True)
class Face:
    """An image, or the face in a packed box of it, with its class; `number` tells the faces of an image apart."""

    image: str
    label: str
    box: bytes | None = None
    number: int | None = None


def find(archive: Path, images: list[str], names: FolderNames, note: Note | None) -> Iterable[Face] | None:
    """Return the faces in the order of their images, or None if there are no such labels.

    In class folders, the label files are not read. Raises `UserError` for unclear labels, also when iterated.
    """
    if label_list := tables.find(archive, EXPW_LIST):
        return _read_expw(archive, label_list, images, names, note)
    files = set(members.names(archive))
    kinds = {_read_ck_plus: ck_plus_files(archive, images)}
    for kind, read in ((EXPRESSION, _read_expressions), (YOLO, _read_yolo)):
        kinds[read] = {image: file for image in images if (file := label_file(image, kind)) in files}
    for read, labels in kinds.items():
        if labels and not any(names.label(folder) for folder in {image.rpartition("/")[0] for image in labels}):
            without = [image for image in images if image not in labels]
            if note and without:
                first = f"the first is {without[0]}"
                note(f"{archive}: passed over {len(without):,} images without a label file, {first}")
            described = {file for file in files if file.rpartition("/")[2].lower() in NAMES_FILES}
            return read(archive, labels, names, note, {*without, *labels, *labels.values(), *described})
    return None


# ---- ExpW ------------------------------------------------------------------------------------------------------------


def _read_expw(
    archive: Path, label_list: str, images: list[str], names: FolderNames, note: Note | None
) -> Iterable[Face]:
    names = FolderNames(names.classes, names.parts, names.own, EXPW)
    paths = _expw_paths(archive, images)
    faces: dict[tuple[str, int], tuple[str, Face]] = {}
    missing: dict[str, str] = {}
    text = members.read(archive, label_list).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{archive}: {label_list} line {number}"
        if not line.strip() or line.startswith("image_name"):
            continue
        file, face_id, box, label = _expw_line(where, line, names)
        image = paths.get(normalize("NFC", file))
        if image is None:
            missing.setdefault(file, where)
        elif label != IGNORE:
            first, _ = faces.setdefault((image, face_id), (line, Face(image, label, box, face_id)))
            if first.split() != line.split():
                what, allowed = "a face that is listed twice", "one line per face_id_in_image of an image"
                refuse(what, where=where, allowed=allowed, received=line)
    if missing:
        file, where = next(iter(missing.items()))
        received = f"{len(missing):,} names without an image, the first is {file}"
        refuse("lists images that do not exist", where=where, allowed="images of the archive", received=received)
    found = [face for _, (_, face) in sorted(faces.items())]
    if note:
        report_images(archive, {face.image: face.label for face in found}, note, [label_list])
    return found


def _expw_paths(archive: Path, images: list[str]) -> dict[str, str]:
    """Return {file name: image}, of the folders called 'origin' if there are any, as other folders may hold crops."""
    origin = [image for image in images if PurePosixPath(image).parent.name.lower() == "origin"]
    paths: dict[str, str] = {}
    for image in origin or images:
        other = paths.setdefault(normalize("NFC", image.rpartition("/")[2]), image)
        if other != image:
            what, received = "images with the same name", f"{other} and {image}"
            refuse(what, where=str(archive), allowed="one image for each name of label.lst", received=received)
    return paths


def _expw_line(where: str, line: str, names: FolderNames) -> tuple[str, int, bytes, str]:
    """Return the file name, the face's number, its packed box and its class."""
    file, *words = line.rsplit(maxsplit=7)
    values = _numbers(words)
    is_face = len(values) == 7 and min(values[0], values[6]) >= 0
    if not (is_face and values[0].is_integer() and values[6].is_integer()):
        refuse("not a face and its class", where=where, allowed=EXPW_COLUMNS, received=line)
    face_id, top, left, right, bottom, _, code = values
    label = names.label(str(int(code)))
    if label is None:
        allowed = ", ".join(f"{number} {name}" for number, name in EXPW.items())
        refuse("unknown expression_label", where=where, allowed=allowed, received=line)
    return file.strip(), int(face_id), pack_box(left, top, right, bottom, relative=False), label


def _numbers(words: Iterable[str]) -> list[float]:
    """Return the finite numbers, none at all if one of the words is something else."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        return []
    return values if all(map(math.isfinite, values)) else []


# ---- YOLO ------------------------------------------------------------------------------------------------------------


def _read_yolo(
    archive: Path, labels: Mapping[str, str], names: FolderNames, note: Note | None, used: set[str]
) -> Iterable[Face]:
    lines = {image: _yolo_lines(archive, file) for image, file in labels.items()}
    found = {str(number) for faces in lines.values() for number, _ in faces}
    names = number_names(archive, found, names, partial(_no_order, archive), note, "label")
    faces = [face for image in lines for face in _yolo_faces(image, lines[image], names)]
    if note:
        if empty := [image for image, found in lines.items() if not found]:
            note(f"{archive}: passed over {len(empty):,} images with an empty label file, the first is {empty[0]}")
        report_images(archive, {face.image: face.label for face in faces}, note, used)
    return faces


def _yolo_faces(image: str, lines: list[tuple[int, bytes]], names: FolderNames) -> Iterator[Face]:
    labels = [names.label(str(number)) for number, _ in lines]
    for index, (label, (_, box)) in enumerate(zip(labels, lines, strict=True), start=1):
        if label != IGNORE:
            yield Face(image, label, box, index if len(lines) > 1 else None)


def _yolo_lines(archive: Path, file: str) -> list[tuple[int, bytes]]:
    """Return the class number and the packed box of each line; the same line twice is one face."""
    text = members.read(archive, file, MAX_LABEL_BYTES).decode("utf-8-sig", errors="replace")
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.split():
            code, *values = _numbers(words) or [-1.0]
            is_shape = len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)
            inside = all(-_ROUNDING <= value <= 1 + _ROUNDING for value in values)
            if not (is_shape and inside and 0 <= code < _MAX_NUMBER and code.is_integer()):
                what = "coordinates outside of the image" if is_shape and not inside else "not a class and a box"
                allowed = "class number, then x and y of the centre, width and height, each 0 to 1 of the image"
                refuse(what, where=f"{archive}: {file} line {number}", allowed=allowed, received=line)
            found[int(code), _yolo_box(values)] = None
    return list(found)


def _yolo_box(values: list[float]) -> bytes:
    if len(values) == 4:
        x, y, width, height = values
        return pack_box(x - width / 2, y - height / 2, x + width / 2, y + height / 2, relative=True)
    x, y = values[::2], values[1::2]  # a polygon
    return pack_box(min(x), min(y), max(x), max(y), relative=True)


def _no_order(archive: Path, numbers: set[int]) -> NoReturn:
    what, allowed = "YOLO labels without names", "a data.yaml, labels.txt or classes.txt beside, or class_names"
    refuse(what, where=str(archive), allowed=allowed, received=f"classes {', '.join(map(str, sorted(numbers)))}")


# ---- AffectNet -------------------------------------------------------------------------------------------------------


def _read_expressions(
    archive: Path, labels: Mapping[str, str], names: FolderNames, note: Note | None, used: set[str]
) -> Iterator[Face]:
    """Yield the faces one by one, as there are 287,651 label files in AffectNet."""
    names = FolderNames(names.classes, names.parts, names.own, AFFECTNET)
    chosen, left_out = {}, dict.fromkeys(NO_CLASS, 0)
    for image, file in labels.items():
        code = _expression(members.read(archive, file, MAX_LABEL_BYTES))
        label = names.label(str(code)) if isinstance(code, int) else None
        if label not in (None, IGNORE):
            chosen[image] = label
            yield Face(image, label)
        elif code in NO_CLASS:
            left_out[code] += 1
        elif label is None:
            allowed = "one number, 0 to 7 as in AffectNet, or 8 to 10 for no class"
            refuse("not an expression", where=f"{archive}: {file}", allowed=allowed, received=code)
    if note and any(left_out.values()):
        counts = ", ".join(f"{count:,} {NO_CLASS[code]}" for code, count in left_out.items() if count)
        note(f"{archive}: passed over images that are labelled as no class: {counts}")
    if note:
        report_images(archive, chosen, note, used)


# ---- CK+ -------------------------------------------------------------------------------------------------------------


def _read_ck_plus(
    archive: Path, labels: Mapping[str, str], names: FolderNames, note: Note | None, used: set[str]
) -> list[Face]:
    names, faces, images = FolderNames(names.classes, names.parts, names.own, CK_PLUS), [], {}
    for image, file in labels.items():
        if (other := images.setdefault(file, image)) != image:
            what, allowed = "two images with one label", "one image for each _emotion.txt"
            refuse(what, where=f"{archive}: {file}", allowed=allowed, received=f"{other} and {image}")
        text = members.read(archive, file, MAX_LABEL_BYTES).decode("utf-8-sig", errors="replace")
        [number] = _numbers([text]) or [-1.0]
        label = names.label(str(int(number))) if number.is_integer() else None
        if label is None:
            allowed = ", ".join(f"{number} {name}" for number, name in CK_PLUS.items())
            refuse("not the number of an emotion", where=f"{archive}: {file}", allowed=allowed, received=text.strip())
        if label != IGNORE:
            faces.append(Face(image, label))
    if note:
        report_images(archive, {face.image: face.label for face in faces}, note, used)
    return faces


# ---- AffectNet, one annotation ---------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _expression(npy: bytes) -> int | str:
    """Return the number in a .npy of one value, written as text, integer or fraction; else what the file holds.

    Nothing is unpickled. Most files are equal to others, so that each kind is decoded once.
    """
    stream = io.BytesIO(npy)
    try:
        shape, dtype = npy_header(stream)
    except ValueError as error:
        return str(error)
    if math.prod(shape) != 1 or dtype.kind not in "USiuf" or dtype.hasobject:
        return f"an array {shape} of type {dtype}"
    content = stream.read()
    if not dtype.itemsize or len(content) != dtype.itemsize:
        return f"{len(content)} bytes of one {dtype}"
    value = np.frombuffer(content, dtype)[0]
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    [number] = _numbers([text]) or [math.nan]
    return int(number) if number.is_integer() else text
