"""Whatever the user has, as ONE zip that is the same, byte for byte, on every machine."""

import re
import stat
import zipfile
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from stages.core.errors import refuse
from stages.core.files import require_free_space, written_whole
from stages.corpora.archive.damage import place
from stages.corpora.archive.sources import Member, blocks, members_of, refuse_bomb

MAX_MEMBER_BYTES = 4 << 30
MAX_NAME_LENGTH = 1024
SAFE_NAME = "relative names such as 'train/happy/1.jpg', without '..', drive, backslash or control characters"

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]|^[A-Za-z]:")
_JUNK = {".ds_store", "thumbs.db", "desktop.ini"}
_HEADERS_BYTES = 256  # local and central header of one member, with zip64 fields and without its name
_FOLDER_ATTRIBUTE = 0x10


def pack(source: Path, output: Path) -> None:
    """Write the zip, tar, folder or .csv `source` to the zip `output`, whole or not at all.

    Bytes are untouched, members sorted by name; folders appear only where they are empty; what desktop systems add
    is left out. The result depends on names and bytes alone. Memory does not grow with the corpus. Raises `UserError`
    for whatever is missing, damaged, encrypted, unsafe, too big, or not an archive.
    """
    with members_of(source, output.parent) as found:
        chosen = _chosen(source, found)
        _check_sizes(source, output.parent, chosen)
        with written_whole(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, member in sorted(chosen.items()):
                _write(archive, source, name, member)


def _chosen(source: Path, found: Iterable[Member]) -> dict[str, Member]:
    """Files to keep by name, and folders that hold nothing by name with a trailing slash."""
    files: dict[str, Member] = {}
    folders: dict[str, Member] = {}
    for member in found:
        name = _safe_name(source, member)
        if _is_junk(name):
            continue
        if name in files and not member.is_folder:
            refuse("the same name twice", where=place(source, name), allowed="distinct names", received=name)
        (folders if member.is_folder else files)[name] = member
    folders.pop(".", None)
    holding = _ancestors(chain(files, folders))
    for name in files.keys() & (holding | folders.keys()):
        refuse("a file and a folder at once", where=place(source, name), allowed="distinct names", received=name)
    if not files:
        refuse("holds no files", where=str(source), allowed="at least one file", received=f"{len(folders)} folders")
    return files | {f"{name}/": folder for name, folder in folders.items() if name not in holding}


def _safe_name(source: Path, member: Member) -> str:
    """The name without './' in front and '/' at the end; anything that could leave a folder is refused."""
    name = member.name
    while name.startswith("./") and name != "./":
        name = name[2:]
    name = name.removesuffix("/") if member.is_folder else name
    inside = not {"", ".", ".."} & set(name.split("/")) or (member.is_folder and name == ".")
    if not inside or _UNSAFE.search(name) or len(name) > MAX_NAME_LENGTH:
        refuse("unsafe member name", where=str(source), allowed=SAFE_NAME, received=member.name)
    return name


def _is_junk(name: str) -> bool:
    *folders, last = name.split("/")
    return last.lower() in _JUNK or last.startswith("._") or "__MACOSX" in (*folders, last)


def _ancestors(names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        parent = name.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found


def _check_sizes(source: Path, folder: Path, chosen: dict[str, Member]) -> None:
    for name, member in chosen.items():
        if member.size_bytes > MAX_MEMBER_BYTES:
            allowed, received = f"at most {MAX_MEMBER_BYTES} bytes", f"{member.size_bytes} bytes"
            refuse("too big", where=place(source, name), allowed=allowed, received=received)
    total = sum(member.size_bytes for member in chosen.values())
    if not source.is_dir():  # members may overlap: each modest, their sum a bomb
        refuse_bomb(str(source), source.stat().st_size, total)
    require_free_space(folder, total + sum(2 * len(name.encode()) + _HEADERS_BYTES for name in chosen))


def _write(archive: zipfile.ZipFile, source: Path, name: str, member: Member) -> None:
    """Copy one member, counting: a claimed size is believed only when as many bytes came."""
    received = 0
    with archive.open(_header(name, member), "w") as sink:
        if member.is_folder:
            return
        for block in blocks(source, name, member.open):
            received += len(block)
            if received > member.size_bytes:
                break
            sink.write(block)
    if received != member.size_bytes:
        refuse(
            "its size is not what it claims",
            where=place(source, name),
            allowed=f"{member.size_bytes} bytes",
            received=f"{received} bytes" + (" or more" if received > member.size_bytes else ""),
        )


def _header(name: str, member: Member) -> zipfile.ZipInfo:
    """Date, permissions and system are fixed. Stored, not deflated: another zlib would give other bytes."""
    header = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    header.compress_type = zipfile.ZIP_STORED
    header.create_system = 3  # Unix, also when written elsewhere
    mode = stat.S_IFDIR | 0o755 if member.is_folder else stat.S_IFREG | 0o644
    header.external_attr = mode << 16 | (_FOLDER_ATTRIBUTE if member.is_folder else 0)
    header.file_size = member.size_bytes  # decides on zip64
    return header
