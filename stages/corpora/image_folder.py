"""A user's own face images, in the layouts of public corpora; docs/portraits.md has a table of them.

The layout is recognised by the content of the archive:
  basic/Image/aligned/train_00001_aligned.jpg   RAF-DB (Li, Deng & Du 2017, CVPR), with aligned.zip unpacked, and
  basic/EmoLabel/list_patition_label.txt        with a line 'train_00001.jpg 5' per image; the name contains the part
  label.lst, *_emotion.txt, images|labels, images|annotations  ExpW, CK+, YOLO, AffectNet: `archive.face_lists`
  train|val|test/<class>/*.jpg|png              a class is a word in any spelling ('Happy'), with an optional number
                                                that is ignored ('4_sad'), or a number: as in data.yaml or labels.txt
                                                beside, or else 1 to 7 as in RAF-DB, 0 to 7 or class001 to class008 as
                                                in AffectNet. `corpora.<corpus>.class_names` maps any other name.
  AF01/AF01ANS.JPG, KA.AN1.39.tiff              KDEF and JAFFE, where no folder names a class: `archive.face_names`
The person is read from the file names of CK+ (S010_004_00000017.png), KDEF and JAFFE.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from stages.core.errors import UserError, refuse, shorten
from stages.core.records import Record
from stages.core.seeding import generator
from stages.corpora.archive import face_lists, face_names, members, tables
from stages.corpora.archive.clips import count_mismatch
from stages.corpora.archive.face_lists import AFFECTNET, Face
from stages.corpora.archive.image_files import (
    FolderNames,
    Note,
    class_images,
    count_by_suffix,
    folder_names,
    image_names,
    own_names,
    report_images,
)
from stages.corpora.decoding.crops import decode_crop
from stages.corpora.decoding.images import ALLOWED, decode_image

CODES = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral", "contempt")
RAF_DB = dict(enumerate(CODES[:7], start=1))
AFFECTNET_FOLDERS = {f"class{number + 1:03}": label for number, label in AFFECTNET.items()}
PARTS = {"train": "train", "validation": "validation", "test": "test"}
FOLDERS = PARTS | {"training": "train", "testing": "test", "fer2013train": "train", "fer2013test": "test"}
FOLDERS |= dict.fromkeys(("val", "valid", "dev", "development", "fer2013valid", "val_set", "val_class"), "validation")
FOLDERS |= {"train_set": "train", "train_class": "train", "test_set": "test", "test_class": "test"}
GROUP = "person"  # known only where the file names hold them
LIST = "list_patition_label.txt"  # the corpus's own spelling
# Synthetic faces per emotion: ranked as in RAF-DB, from frequent happiness to rare fear, but less unequal.
SHARES = {"happy": 44, "neutral": 36, "sad": 34, "surprise": 30, "disgust": 26, "angry": 26, "contempt": 22, "fear": 20}
_TRAIN_FRACTION = 0.65

missing = partial(count_mismatch, expected=None)  # a user's own corpus has any size; RAF-DB is compared with its list

_LINE = re.compile(r"(?P<stem>(train|test)_\w+)\.(jpg|png)\s+(?P<code>\d{1,4})", re.ASCII)


def read(archive: Path, class_names: Mapping[str, str] | None = None, note: Note | None = None) -> Iterator[Record]:
    """Return an iterator over all images in a fixed order, undecoded. Raises `UserError` for unclear classes.

    `class_names` maps folder names to classes, parts or 'ignore'; `note` receives what a user should know.
    """
    names = members.names(archive)
    images = image_names(archive)
    label_list = tables.find(archive, LIST)
    if label_list:
        return _read_listed(archive, label_list, images, note)
    if images:
        names = FolderNames(CODES, FOLDERS, own_names(class_names), {}, AFFECTNET_FOLDERS)
        faces = face_lists.find(archive, images, names, note)
        if faces is None and _labels_in_names(images, names):
            faces = _read_names(archive, images, note)
        if faces is not None:
            return (_face_record(archive, face, names) for face in faces)
        return _read_folders(archive, images, class_names, note)
    other = ", but of reader 'fer2013'" if any(name.lower().endswith(".csv") for name in names) else ""
    files = [name for name in names if not name.endswith("/")]
    received = f"{shorten(', '.join(names[:4])) if names else 'an empty archive'}: {count_by_suffix(files)}"
    raise UserError(
        f"{archive}: not the layout of reader 'image_folder'{other}; allowed: <part>/<class>/*.jpg|png ({ALLOWED}), "
        f"RAF-DB's Image/aligned/*.jpg, unpacked, with {LIST}, or images with a label file; received: {received}"
    )


def synthesise(folder: Path, *, size: int, seed: int, size_px: int) -> None:
    """Write `size` synthetic colour faces of `size_px` to `folder`/train|test/<number>_<emotion>, as in `SHARES`."""
    from stages.synthetic.faces.face import draw_face  # imported here: only synthesis needs OpenCV

    written, counts = Counter(), _counts(size)
    order = generator(seed, "image_folder/order").permutation(np.repeat(list(counts), list(counts.values())))
    for row, emotion in enumerate(order.tolist()):
        part = "train" if written[emotion] < round(_TRAIN_FRACTION * counts[emotion]) else "test"
        written[emotion] += 1
        path = folder / part / f"{CODES.index(emotion) + 1}_{emotion}" / f"{part}_{row:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        face = draw_face(emotion, generator(seed, "image_folder/face", row), size_px, color=True)
        Image.fromarray(face).save(path, "JPEG", quality=92)


def _counts(size: int) -> dict[str, int]:
    """Return {emotion: number of images}, `size` in total, by the largest remainder method."""
    exact = {emotion: size * share / sum(SHARES.values()) for emotion, share in SHARES.items()}
    counts = {emotion: int(number) for emotion, number in exact.items()}
    for emotion in sorted(exact, key=lambda name: counts[name] - exact[name])[: size - sum(counts.values())]:
        counts[emotion] += 1
    return counts


def _read_listed(archive: Path, label_list: str, images: list[str], note: Note | None) -> Iterator[Record]:
    """Read RAF-DB's official layout. Raises `UserError` unless list and aligned images have the same names."""
    aligned = [name for name in images if PurePosixPath(name).parent.name.lower() == "aligned"]
    paths = {_stem(name): name for name in aligned}
    if len(paths) < len(aligned):
        [(stem, count)] = Counter(map(_stem, aligned)).most_common(1)
        what, allowed = "images with the same name", "one folder 'aligned'"
        refuse(what, where=str(archive), allowed=allowed, received=f"{count} of {stem}")
    labels = _labels(archive, label_list)
    for what, stems in (
        ("lists images that do not exist", labels.keys() - paths.keys()),
        ("does not list all images", paths.keys() - labels.keys()),
    ):
        if stems:
            allowed = "one line for every image in the folder 'aligned', and no other"
            received = f"{len(stems):,}, the first is {min(stems)}"
            refuse(what, where=f"{archive}: {label_list}", allowed=allowed, received=received)
    if note:
        report_images(archive, {paths[stem]: label for stem, label in labels.items()}, note)
    return (_record(archive, paths[stem], labels[stem], stem.partition("_")[0]) for stem in sorted(labels))


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.removesuffix("_aligned")


def _labels(archive: Path, label_list: str) -> dict[str, str]:
    """Return {image name without suffix: emotion} from the lines of the list, such as 'train_00001.jpg 5'."""
    labels: dict[str, str] = {}
    text = members.read(archive, label_list).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        where, match = f"{archive}: {label_list} line {number}", _LINE.fullmatch(line.strip())
        if not match or int(match["code"]) not in RAF_DB:
            what, allowed = "not an image and its class", "'train_00001.jpg 5', 1 to 7"
            refuse(what, where=where, allowed=allowed, received=line)
        if match["stem"] in labels:
            refuse("an image that is listed twice", where=where, allowed="one line per image", received=line)
        labels[match["stem"]] = RAF_DB[int(match["code"])]
    return labels


def _read_folders(
    archive: Path, images: list[str], class_names: Mapping[str, str] | None, note: Note | None
) -> Iterator[Record]:
    order = partial(_order, archive)
    names = folder_names(archive, images, CODES, FOLDERS, class_names, order, note, AFFECTNET_FOLDERS)
    labels = class_images(archive, images, names, note)
    folders = {str(PurePosixPath(name).parent): label for name, label in labels.items()}
    partitions = {folder: names.partition(folder) for folder in folders}
    first: dict[tuple[str | None, str], str] = {}
    for folder, label in sorted(folders.items()):
        other = first.setdefault((partitions[folder], label), folder)
        # Either a copied tree or another meaning, unless the user has mapped both to one class.
        if other != folder and not (names.is_own(folder) or names.is_own(other)):
            what, received = f"two folders of class {label!r}", f"{other} and {folder}"
            allowed = "one folder per class in each part, or class_names that name the class of each folder"
            refuse(what, where=str(archive), allowed=allowed, received=received)
    if note:
        _report_other_emotions(archive, labels, note)
    return (_record(archive, name, label, partitions[name.rpartition("/")[0]]) for name, label in labels.items())


def _report_other_emotions(archive: Path, labels: Mapping[str, str], note: Note) -> None:
    """Note that the names of files (KDEF, JAFFE) hold other emotions than their class folders."""
    named = ((name, face_names.parse(name).emotion) for name in labels)
    others = [(name, emotion) for name, emotion in named if emotion not in (None, labels[name])]
    if others:
        name, emotion = others[0]
        found = f"the first is {name}, by its name {emotion}"
        note(f"{archive}: {len(others):,} images are in the folder of another class than their names say; {found}")


def _labels_in_names(images: list[str], names: FolderNames) -> bool:
    """Return whether no folder names a class, and most file names hold an emotion."""
    if any(names.label(folder) for folder in {name.rpartition("/")[0] for name in images}):
        return False
    return 2 * sum(face_names.parse(name).emotion is not None for name in images) > len(images)


def _read_names(archive: Path, images: list[str], note: Note | None) -> list[Face]:
    """Return the faces of KDEF and JAFFE. Images whose names hold no emotion are left out, and counted."""
    labels = {name: emotion for name in images if (emotion := face_names.parse(name).emotion)}
    if note:
        report_images(archive, labels, note)
    return [Face(name, label) for name, label in labels.items()]


def _order(archive: Path, numbers: set[int]) -> tuple[Mapping[int, str], str]:
    """Return the emotions of numbered folders. Raises `UserError` for 0 to 6, which FER-2013 numbers differently."""
    if 0 in numbers and 7 not in numbers:
        what = "numbered class folders, which FER-2013 and AffectNet number differently"
        allowed = "1 to 7 (RAF-DB), 0 to 7 (AffectNet), names of emotions, a data.yaml or labels.txt beside, or "
        allowed += "corpora.<corpus>.class_names"
        refuse(what, where=str(archive), allowed=allowed, received=", ".join(map(str, sorted(numbers))))
    return (AFFECTNET, "AffectNet's order") if 0 in numbers else (RAF_DB, "RAF-DB's order")


def _record(archive: Path, name: str, label: str, partition: str | None) -> Record:
    content, file = partial(members.read, archive, name), face_names.parse(name)
    return Record(name, label, content, decode_image, group=file.person, partition=partition, extra=file.extra)


def _face_record(archive: Path, face: Face, names: FolderNames) -> Record:
    """Return the record of a face; several faces of an image are distinguished by a number after '#'."""
    partition = names.partition(face.image)
    record = _record(archive, face.image, face.label, partition)
    if face.box is None:
        return record
    sample_id = face.image if face.number is None else f"{face.image}#{face.number}"
    content = partial(_read_crop, archive, face.image, face.box)
    return replace(record, sample_id=sample_id, read_bytes=content, decode=decode_crop)


def _read_crop(archive: Path, name: str, box: bytes) -> bytes:
    return box + members.read(archive, name)
