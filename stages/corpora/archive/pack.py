"""Packing of a user's corpus into one zip whose bytes are the same on every machine."""

import re
import stat
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from stages.core.errors import refuse
from stages.core.files import require_free_space, written_whole
from stages.corpora.archive import index
from stages.corpora.archive.damage import location
from stages.corpora.archive.sources import Member, blocks, members_of, refuse_bomb

MAX_NAME_LENGTH = 1024
SAFE_NAME = "relative names such as 'train/happy/1.jpg', without '..', drive, backslash or control characters"

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]|^[A-Za-z]:")
_DESKTOP_FILES = {".ds_store", "thumbs.db", "desktop.ini"}
_HEADER_BYTES = 256  # local and central header of one member, with zip64 fields and without its name
_FOLDER_ATTRIBUTE = 0x10


def pack(source: Path, output: Path, *, in_place: bool = False) -> None:
    """Write the zip, tar, folder or .csv `source` as the zip `output`, atomically; `in_place`: a list of its files.

    The result depends only on names and bytes: members are sorted by name and their bytes are unchanged; folders are
    kept only where they are empty; files that desktop systems add are left out. Memory use does not grow with the
    corpus. Raises `UserError` for a source that is missing, damaged, encrypted, unsafe, or not an archive.
    """
    with members_of(source, output.parent) as found:
        members = _members_to_keep(source, found)
        if in_place:
            index.write(source, sorted(members.items()), output)
            return
        total_bytes = sum(member.size_bytes for member in members.values())
        if not source.is_dir():  # members of an archive may overlap, so that many small ones are a bomb together
            refuse_bomb(str(source), source.stat().st_size, total_bytes)
        headers_bytes = sum(2 * len(name.encode()) + _HEADER_BYTES for name in members)
        require_free_space(output.parent, total_bytes + headers_bytes)
        with written_whole(output) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for name, member in sorted(members.items()):
                _write(archive, source, name, member)


def _members_to_keep(source: Path, found: Iterable[Member]) -> dict[str, Member]:
    """Return the files by name, and the empty folders by name with a trailing slash."""
    files: dict[str, Member] = {}
    folders: dict[str, Member] = {}
    for member in found:
        name = _safe_name(source, member)
        parts = name.split("/")
        if parts[-1].lower() in _DESKTOP_FILES or parts[-1].startswith("._") or "__MACOSX" in parts:
            continue
        if name in files and not member.is_folder:
            refuse("the same name twice", where=location(source, name), allowed="distinct names", received=name)
        (folders if member.is_folder else files)[name] = member
    folders.pop(".", None)
    parents = {name.rpartition("/")[0] for name in (*files, *folders)}
    parents |= {str(outer) for parent in parents for outer in PurePosixPath(parent).parents}
    for name in files.keys() & (parents | folders.keys()):
        refuse("both a file and a folder", where=location(source, name), allowed="distinct names", received=name)
    if not files:
        refuse("holds no files", where=str(source), allowed="at least one file", received=f"{len(folders)} folders")
    return files | {f"{name}/": folder for name, folder in folders.items() if name not in parents}


def _safe_name(source: Path, member: Member) -> str:
    """Return the name without leading './' and trailing '/'. Raises `UserError` for names that could leave a folder."""
    name = member.name
    while name.startswith("./") and name != "./":
        name = name[2:]
    name = name.removesuffix("/") if member.is_folder else name
    is_relative = not {"", ".", ".."} & set(name.split("/")) or (member.is_folder and name == ".")
    if not is_relative or _UNSAFE.search(name) or len(name) > MAX_NAME_LENGTH:
        refuse("unsafe member name", where=str(source), allowed=SAFE_NAME, received=member.name)
    if member.within:
        return member.within if name == "." else f"{member.within}/{name}"
    return name


def _write(archive: zipfile.ZipFile, source: Path, name: str, member: Member) -> None:
    """Copy one member. Raises `UserError` if its length is not the stated one."""
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
        where, allowed = location(source, name), f"{member.size_bytes} bytes"
        refuse("its size differs from the stated one", where=where, allowed=allowed, received=f"{received} bytes")


def _header(name: str, member: Member) -> zipfile.ZipInfo:
    """Return a header with fixed date, permissions and system. It is stored: versions of zlib deflate differently."""
    header = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    header.compress_type = zipfile.ZIP_STORED
    header.create_system = 3  # Unix, on every system
    mode = stat.S_IFDIR | 0o755 if member.is_folder else stat.S_IFREG | 0o644
    header.external_attr = mode << 16 | (_FOLDER_ATTRIBUTE if member.is_folder else 0)
    header.file_size = member.size_bytes  # decides whether zip64 fields are written
    return header
