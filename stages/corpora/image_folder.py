"""Anyone's own face images: RAF-DB as its authors give it, or a folder a class (other forms of RAF-DB, AffectNet).

Layouts, told apart by looking inside the archive:
  basic/Image/aligned/train_00001_aligned.jpg   RAF-DB (Li, Deng & Du 2017, CVPR), aligned.zip unpacked, with
  basic/EmoLabel/list_patition_label.txt        a line 'train_00001.jpg 5' for every image; the name tells the part
  train|val|test/<class>/*.jpg|png              classes by word in any spelling ('Happy', '4_sad'), where the word alone
                                                counts, or by bare numbers: 1 to 7 are RAF-DB's, 0 to 7 AffectNet's
"""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from stages.core.errors import UserError, refuse, shorten, unknown_name
from stages.core.labels import canonical
from stages.core.records import Record
from stages.core.seeding import generator
from stages.corpora.archive import members, tables
from stages.corpora.decoding.images import SUFFIXES, decode_image

CODES = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral", "contempt")
RAF_DB = dict(enumerate(CODES[:7], start=1))
# Mollahosseini, Hasani & Mahoor 2019, IEEE Trans. Affective Computing 10(1), table 1
AFFECTNET = dict(enumerate(("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")))
PARTS = {"train": "train", "validation": "validation", "test": "test"}
FOLDERS = PARTS | {"val": "validation", "valid": "validation"}
GROUP = None  # whose face it is is not known
EXPECTED = None
LIST = "list_patition_label.txt"  # their spelling
# Of synthetic faces: in RAF-DB's order, rare fear against frequent happiness, but less unequal.
SHARES = {"happy": 44, "neutral": 36, "sad": 34, "surprise": 30, "disgust": 26, "angry": 26, "contempt": 22, "fear": 20}
_TRAINED_ON = 0.65

_CLASS = re.compile(r"(?P<number>\d*)[ _.-]*(?P<word>[a-z]*)", re.ASCII)
_LINE = re.compile(r"(?P<part>train|test)_(?P<stem>\w+)\.(?P<suffix>jpg|png)\s+(?P<code>\d+)", re.ASCII)


def read(archive: Path) -> Iterator[Record]:
    """Every image, in a fixed order, undecoded. Raises `UserError` where names and classes do not go together."""
    names = members.names(archive)
    images = [name for name in names if name.lower().endswith(SUFFIXES)]
    listed = tables.find(archive, LIST)
    if listed:
        return _read_listed(archive, listed, images)
    if images:
        return _read_folders(archive, names, images)
    fits = ", but of reader 'fer2013'" if any(name.lower().endswith(".csv") for name in names) else ""
    raise UserError(
        f"{archive}: not the layout of reader 'image_folder'{fits}; allowed: <part>/<class>/*.jpg|png or RAF-DB's "
        f"Image/aligned/*.jpg, unpacked, with {LIST}; received: {shorten(', '.join(names[:4])) or 'an empty archive'}"
    )


def missing(found: dict[str | None, int]) -> str:
    """Nothing: how many images a corpus of folders has, nobody knows; RAF-DB's own list is compared when it is read."""
    return ""


def synthesise(folder: Path, *, size: int, seed: int, size_px: int) -> None:
    """Write `size` colour faces of `size_px` into `folder`/train|test/<number>_<emotion>, in the shares of `SHARES`."""
    from stages.corpora.drawing.face import draw_face  # OpenCV is needed for drawing alone

    numbers, counts = Counter(), _counts(size)
    order = generator(seed, "image_folder/order").permutation(np.repeat(list(counts), list(counts.values())))
    for row, emotion in enumerate(order.tolist()):
        part = "train" if numbers[emotion] < round(_TRAINED_ON * counts[emotion]) else "test"
        numbers[emotion] += 1
        at = folder / part / f"{CODES.index(emotion) + 1}_{emotion}" / f"{part}_{row:05d}.jpg"
        at.parent.mkdir(parents=True, exist_ok=True)
        face = draw_face(emotion, generator(seed, "image_folder/face", row), size_px, color=True)
        encoded = io.BytesIO()
        Image.fromarray(face).save(encoded, "JPEG", quality=92)
        at.write_bytes(encoded.getvalue())


def _counts(size: int) -> dict[str, int]:
    """{emotion: how many of `size`}, by largest remainders."""
    exact = {emotion: size * share / sum(SHARES.values()) for emotion, share in SHARES.items()}
    counts = {emotion: int(number) for emotion, number in exact.items()}
    for emotion in sorted(exact, key=lambda name: counts[name] - exact[name])[: size - sum(counts.values())]:
        counts[emotion] += 1
    return counts


def _read_listed(archive: Path, listed: str, images: list[str]) -> Iterator[Record]:
    """RAF-DB's official layout: the list and the aligned images must name each other."""
    aligned = [name for name in images if PurePosixPath(name).parent.name.lower() == "aligned"]
    named = {_stem(name): name for name in aligned}
    if len(named) < len(aligned):
        [(stem, count)] = Counter(map(_stem, aligned)).most_common(1)
        refuse("images of one name", where=str(archive), allowed="one folder 'aligned'", received=f"{count} of {stem}")
    labels = _lines(archive, listed)
    _refuse_some(archive, listed, "names images that are not there", labels.keys() - named.keys())
    _refuse_some(archive, listed, "lacks images that are there", named.keys() - labels.keys())
    return (_record(archive, named[stem], labels[stem], stem.partition("_")[0]) for stem in sorted(labels))


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.removesuffix("_aligned")


def _lines(archive: Path, listed: str) -> dict[str, str]:
    """{image's name without suffix: emotion} of every line of the list, such as 'train_00001.jpg 5'."""
    import pandas as pd  # here, so that class folders do not wait for it

    lines = pd.Series(members.read(archive, listed).decode("utf-8-sig", errors="replace").splitlines())
    found = lines.str.strip().str.extract(_LINE)
    emotion = found["code"].map({str(code): name for code, name in RAF_DB.items()})
    stem = found["part"] + "_" + found["stem"]
    wrong, twice = emotion.isna(), stem.duplicated()
    for what, allowed, rows in (
        ("not an image and its class", "'train_00001.jpg 5', 1 to 7", wrong),
        ("an image with two lines", "one line an image", twice),
    ):
        if rows.any():
            first = rows.idxmax()
            refuse(what, where=f"{archive}: {listed} line {first + 1}", allowed=allowed, received=lines[first])
    return dict(zip(stem, emotion, strict=True))


def _refuse_some(archive: Path, listed: str, what: str, stems: Iterable[str]) -> None:
    if stems:
        received = f"{len(stems):,} without, the first {min(stems)}"
        allowed = "a line for every image of the folder 'aligned', and no other"
        refuse(what, where=f"{archive}: {listed}", allowed=allowed, received=received)


def _read_folders(archive: Path, names: list[str], images: list[str]) -> Iterator[Record]:
    for folder in (name for name in names if name.endswith("/")):
        raise UserError(f"{archive}: {folder}: an empty class folder; allowed: at least one image, or no such folder")
    folders = {str(PurePosixPath(name).parent): name for name in reversed(images)}  # each with its first image
    codes = _codes(archive, {PurePosixPath(folder).name for folder in folders})
    labels = {folder: _label(f"{archive}: {name}", folder, codes) for folder, name in sorted(folders.items())}
    _refuse_twice(archive, labels)
    held = ((name, str(PurePosixPath(name).parent)) for name in images)
    return (_record(archive, name, labels[folder], _partition(folder)) for name, folder in held)


def _codes(archive: Path, classes: set[str]) -> dict[int, str]:
    """What bare numbers stand for. 0 to 6 alone is refused: FER-2013 counts them in another order than AffectNet."""
    numbers = {int(name) for name in classes if re.fullmatch(r"\d{1,4}", name, re.ASCII)}
    if 0 in numbers and 7 not in numbers:
        what = "class folders by numbers that FER-2013 and AffectNet count in different ways"
        allowed = "1 to 7 (RAF-DB), 0 to 7 (AffectNet), or names of emotions"
        refuse(what, where=str(archive), allowed=allowed, received=", ".join(map(str, sorted(numbers))))
    return AFFECTNET if 0 in numbers else RAF_DB


def _label(where: str, folder: str, codes: dict[int, str]) -> str:
    name = PurePosixPath(folder).name
    found = _CLASS.fullmatch(name.strip().lower())
    label = found and (canonical(found["word"]) if found["word"] else codes.get(int(found["number"] or -1)))
    if label not in CODES:
        known = (*CODES, *map(str, codes))
        raise UserError(unknown_name(where, name, known, "unknown class folder"))
    return label


def _refuse_twice(archive: Path, labels: dict[str, str]) -> None:
    """Two folders of one class in one part: a doubled tree, or a folder that means something else."""
    first: dict[tuple[str | None, str], str] = {}
    for folder, label in labels.items():
        other = first.setdefault((_partition(folder), label), folder)
        if other != folder:
            what, received = f"two folders of class {label!r}", f"{other} and {folder}"
            refuse(what, where=str(archive), allowed="one folder a class in each part", received=received)


def _partition(folder: str) -> str | None:
    """The part that a folder around the class folder names, the innermost if there are several."""
    around = reversed(folder.lower().split("/")[:-1])
    return next((FOLDERS[part] for part in around if part in FOLDERS), None)


def _record(archive: Path, name: str, label: str, partition: str | None) -> Record:
    return Record(name, label, partial(members.read, archive, name), decode_image, partition=partition)
