"""A list of the files of a folder, in place of an archive, for a corpus of which there is no room for a second copy.

A text: the folder, then a line for each file with its CRC-32, its size in bytes and its name. `members` reads the files
where they are; a file that is no longer the one of the list is refused.
"""

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from stages.core.errors import UserError, refuse
from stages.core.files import written_whole
from stages.corpora.archive.sources import Member, blocks

START = "files of "


def write(folder: Path, members: Iterable[tuple[str, Member]], output: Path) -> None:
    """Write the list, atomically; every file is read once. Raises `UserError` for what is no folder of plain files."""
    with written_whole(output) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write(f"{START}{folder.resolve()}\n")
        for name, member in members:
            if member.within or not folder.is_dir():
                received = f"a folder of archives ({member.within} …)" if member.within else "a file"
                refuse("cannot be read in place", where=str(folder), allowed="a folder of files", received=received)
            crc = 0
            for block in blocks(folder, name, member.open) if not member.is_folder else ():
                crc = zlib.crc32(block, crc)
            stream.write(f"{crc:08x} {member.size_bytes} {name}\n")


def is_index(archive: Path) -> bool:
    """Return whether the file is a list of `write`."""
    with archive.open("rb") as stream:
        return stream.read(len(START)) == START.encode()


class Index:
    """The files of a list, with the methods of `zipfile.ZipFile` that `members` uses."""

    def __init__(self, archive: Path) -> None:
        with archive.open(encoding="utf-8", newline="\n") as lines:
            self.folder = Path(next(lines).removeprefix(START).rstrip("\n"))
            self._infos = dict(map(_entry, lines))
        self.filelist = list(self._infos.values())

    def namelist(self) -> list[str]:
        return list(self._infos)

    def getinfo(self, name: str) -> zipfile.ZipInfo:
        return self._infos[name]

    def open(self, info: zipfile.ZipInfo) -> IO[bytes]:
        """Return the file as a stream. Raises `UserError` if it is gone or has another size."""
        path = self.folder / info.filename
        if not path.is_file() or path.stat().st_size != info.file_size:
            self.refuse_changed(info, "another size" if path.is_file() else "no file")
        return path.open("rb")

    def refuse_changed(self, info: zipfile.ZipInfo, received: str) -> None:
        """Raise `UserError` for a file that is not the one of the list."""
        raise UserError(
            f"{self.folder / info.filename}: changed since `download` listed it; allowed: the same "
            f"{info.file_size:,} bytes, or first dvc repro -f -s download@<corpus>; received: {received}"
        )


def _entry(line: str) -> tuple[str, zipfile.ZipInfo]:
    crc, size_bytes, name = line.rstrip("\n").split(" ", 2)
    info = zipfile.ZipInfo(name)
    info.CRC, info.file_size = int(crc, 16), int(size_bytes)
    return name, info
