"""Label files of single images: YOLO's labels/<name>.txt, AffectNet's annotations/<name>_exp.npy, and those of CK+.

`train/images/1.png` is described by `train/labels/1.txt`, `images/train/1.png` by `labels/train/1.txt`. In CK+,
`cohn-kanade-images/S005/001/S005_001_00000011.png` is described by `Emotion/S005/001/S005_001_00000011_emotion.txt`.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from stages.core.errors import refuse
from stages.corpora.archive import members

YOLO = ("labels", ".txt")
EXPRESSION = ("annotations", "_exp.npy")
_HIDDEN = re.compile(r"(^|/)\.|__MACOSX/")
_CK_PLUS = re.compile(r"(?:^|.*/)(S\d{3}_\d{3}_\d{8})_emotion\.txt", re.ASCII | re.IGNORECASE)


def label_file(image: str, kind: tuple[str, str]) -> str | None:
    """Return the name that an image's label file of this kind has, None outside of folders called 'images'."""
    before, images, after = f"/{image}".rpartition("/images/")
    folder, ending = kind
    return f"{before}/{folder}/{posixpath.splitext(after)[0]}{ending}"[1:] if images else None


def ck_plus_files(archive: Path, images: Collection[str]) -> dict[str, str]:
    """Return {image: its label file in CK+} of the images that have one, by their file names.

    Raises `UserError` for two label files of one image that are no exact copies.
    """
    files: dict[str, str] = {}
    for name in members.names(archive):
        match = _CK_PLUS.fullmatch(name)
        if match and not _HIDDEN.search(name):
            first = files.setdefault(match[1].upper(), name)
            if members.fingerprint(archive, first) != members.fingerprint(archive, name):
                what, allowed = "two labels of one image", "each _emotion.txt once, or exact copies"
                refuse(what, where=str(archive), allowed=allowed, received=f"{first} and {name}")
    stems = {image: PurePosixPath(image).stem.upper() for image in images} if files else {}
    return {image: files[stem] for image, stem in stems.items() if stem in files}


def passed_over(archive: Path, sample_ids: Collection[str]) -> dict[str, int] | None:
    """Return {suffix: number of files} of the visible members that no sample uses, None if samples are no members.

    A sample is an image, or a face in it ('train/images/1.png#2'). Its label file is used, too.
    """
    names = members.names(archive)
    visible = {name for name in names if not name.endswith("/") and not _HIDDEN.search(name)}
    used = {name if name in visible else name.rpartition("#")[0] for name in sample_ids}
    if not used <= visible:
        return None
    labels = {label_file(name, kind) for name in used for kind in (YOLO, EXPRESSION)}
    return suffixes(visible.difference(used, labels, ck_plus_files(archive, used).values()))


def suffixes(names: Collection[str]) -> dict[str, int]:
    """Return {suffix: number of files}, sorted by suffix."""
    return dict(sorted(Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in names).items()))
