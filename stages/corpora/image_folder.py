"""A user's own face images: RAF-DB as published, or one folder per class (other forms of RAF-DB, AffectNet).

The layout is recognised by the content of the archive:
  basic/Image/aligned/train_00001_aligned.jpg   RAF-DB (Li, Deng & Du 2017, CVPR), with aligned.zip unpacked, and
  basic/EmoLabel/list_patition_label.txt        with a line 'train_00001.jpg 5' per image; the name contains the part
  train|val|test/<class>/*.jpg|png              a class is a word in any spelling ('Happy'), with an optional number
                                                that is ignored ('4_sad'), or a number: 1 to 7 as in RAF-DB, 0 to 7
                                                as in AffectNet
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from stages.core.errors import UserError, refuse, shorten, unknown_name
from stages.core.labels import canonical
from stages.core.records import Record
from stages.core.seeding import generator
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import count_mismatch
from stages.corpora.decoding.images import SUFFIXES, decode_image

CODES = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral", "contempt")
RAF_DB = dict(enumerate(CODES[:7], start=1))
# Mollahosseini, Hasani & Mahoor 2019, IEEE Trans. Affective Computing 10(1), table 1
AFFECTNET = dict(enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")))
PARTS = {"train": "train", "validation": "validation", "test": "test"}
FOLDERS = PARTS | {"val": "validation", "valid": "validation"}
GROUP = None  # the persons are not known
LIST = "list_patition_label.txt"  # the corpus's own spelling
# Synthetic faces per emotion: ranked as in RAF-DB, from frequent happiness to rare fear, but less unequal.
SHARES = {"happy": 44, "neutral": 36, "sad": 34, "surprise": 30, "disgust": 26, "angry": 26, "contempt": 22, "fear": 20}
_TRAIN_FRACTION = 0.65

missing = partial(count_mismatch, expected=None)  # a user's own corpus has any size; RAF-DB is compared with its list

_CLASS = re.compile(r"(?P<number>\d*)[ _.-]*(?P<word>[a-z]*)", re.ASCII)
_LINE = re.compile(r"(?P<stem>(train|test)_\w+)\.(jpg|png)\s+(?P<code>\d{1,4})", re.ASCII)


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all images in a fixed order, undecoded. Raises `UserError` for unclear classes."""
    names = members.names(archive)
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    label_list = tables.find(archive, LIST)
    if label_list:
        return _read_listed(archive, label_list, images)
    if images:
        return _read_folders(archive, images)
    other = ", but of reader 'fer2013'" if any(name.lower().endswith(".csv") for name in names) else ""
    raise UserError(
        f"{archive}: not the layout of reader 'image_folder'{other}; allowed: <part>/<class>/*.jpg|png or RAF-DB's "
        f"Image/aligned/*.jpg, unpacked, with {LIST}; received: {shorten(', '.join(names[:4])) or 'an empty archive'}"
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


def _read_listed(archive: Path, label_list: str, images: list[str]) -> Iterator[Record]:
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


def _read_folders(archive: Path, images: list[str]) -> Iterator[Record]:
    members.refuse_empty_folders(archive)
    folders = {str(PurePosixPath(name).parent): name for name in reversed(images)}  # each with its first image
    codes = _codes(archive, {PurePosixPath(folder).name for folder in folders})
    labels = {folder: _label(f"{archive}: {name}", folder, codes) for folder, name in sorted(folders.items())}
    first: dict[tuple[str | None, str], str] = {}
    for folder, label in labels.items():
        other = first.setdefault((_partition(folder), label), folder)
        if other != folder:  # either a copied tree or another meaning
            what, received = f"two folders of class {label!r}", f"{other} and {folder}"
            refuse(what, where=str(archive), allowed="one folder per class in each part", received=received)
    located = ((name, str(PurePosixPath(name).parent)) for name in images)
    return (_record(archive, name, labels[folder], _partition(folder)) for name, folder in located)


def _codes(archive: Path, classes: set[str]) -> dict[int, str]:
    """Return the emotions of numbered folders. Raises `UserError` for 0 to 6, which FER-2013 numbers differently."""
    numbers = {int(name) for name in classes if re.fullmatch(r"\d{1,4}", name, re.ASCII)}
    if 0 in numbers and 7 not in numbers:
        what = "numbered class folders, which FER-2013 and AffectNet number differently"
        allowed = "1 to 7 (RAF-DB), 0 to 7 (AffectNet), or names of emotions"
        refuse(what, where=str(archive), allowed=allowed, received=", ".join(map(str, sorted(numbers))))
    return AFFECTNET if 0 in numbers else RAF_DB


def _label(where: str, folder: str, codes: dict[int, str]) -> str:
    name = PurePosixPath(folder).name
    match = _CLASS.fullmatch(name.strip().lower())
    label = match and (canonical(match["word"]) if match["word"] else codes.get(int(match["number"] or -1)))
    if label not in CODES:
        raise UserError(unknown_name(where, name, (*CODES, *map(str, codes)), "unknown class folder"))
    return label


def _partition(folder: str) -> str | None:
    """Return the part that is named by the innermost such folder around the class folder, or None."""
    parents = reversed(folder.lower().split("/")[:-1])
    return next((FOLDERS[part] for part in parents if part in FOLDERS), None)


def _record(archive: Path, name: str, label: str, partition: str | None) -> Record:
    return Record(name, label, partial(members.read, archive, name), decode_image, partition=partition)
