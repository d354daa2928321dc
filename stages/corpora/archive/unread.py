"""Files of an archive that no reader of recordings reads, so that none is passed over in silence."""

import posixpath
from collections import defaultdict
from pathlib import Path, PurePosixPath

from stages.corpora.archive import members
from stages.corpora.archive.clips import is_hidden
from stages.corpora.decoding.audio import SUFFIXES
from stages.corpora.decoding.beside import belongs_to_another

GROUPS = ("speaker", "subject")  # kinds of groups of the readers of recordings
TABLES = (".csv", ".tsv", ".json")  # lists of clips, trials and events


def unread_files(archive: Path, group: str) -> list[str]:
    """Return the visible members that a reader with this kind of group, one of `GROUPS`, does not read."""
    names = [name for name in members.names(archive) if not name.endswith("/") and not is_hidden(name)]
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[posixpath.dirname(name)].append(posixpath.basename(name))
    read = _suffixes(group)
    others = [name for name in names if PurePosixPath(name).suffix.lower() not in read]
    return [
        name for name in others if not belongs_to_another(posixpath.basename(name), folders[posixpath.dirname(name)])
    ]


def _suffixes(group: str) -> tuple[str, ...]:
    if group == "speaker":
        return *SUFFIXES, *TABLES
    from stages.corpora.decoding import recordings  # imported here: it loads SciPy

    return *recordings.SUFFIXES, ".npz", ".npy", *TABLES
