"""Label files of single images: YOLO's labels/<name>.txt and AffectNet's annotations/<name>_exp.npy.

`train/images/1.png` is described by `train/labels/1.txt`, `images/train/1.png` by `labels/train/1.txt`.
"""

import posixpath
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from stages.corpora.archive import members

YOLO = ("labels", ".txt")
EXPRESSION = ("annotations", "_exp.npy")


def label_file(image: str, kind: tuple[str, str]) -> str | None:
    """Return the name that an image's label file of this kind has, None outside of folders called 'images'."""
    before, images, after = f"/{image}".rpartition("/images/")
    folder, ending = kind
    return f"{before}/{folder}/{posixpath.splitext(after)[0]}{ending}"[1:] if images else None


def passed_over(archive: Path, sample_ids: Collection[str]) -> dict[str, int] | None:
    """Return {suffix: number of files} of the visible members that no sample uses, None if samples are no members.

    A sample is an image, or a face in it ('train/images/1.png#2'). Its label file is used, too.
    """
    names = members.names(archive)
    visible = {name for name in names if not name.endswith("/") and not re.search(r"(^|/)\.|__MACOSX/", name)}
    used = {name if name in visible else name.rpartition("#")[0] for name in sample_ids}
    if not used <= visible:
        return None
    labels = {label_file(name, kind) for name in used for kind in (YOLO, EXPRESSION)}
    return suffixes(visible.difference(used, labels))


def suffixes(names: Collection[str]) -> dict[str, int]:
    """Return {suffix: number of files}, sorted by suffix."""
    return dict(sorted(Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in names).items()))
