"""Images in class folders: which files are read, which are passed over, and which class and part a folder names.

A folder is named by, in this order: the user's `class_names`; a number, by the names file beside the folders
(`data.yaml`, `labels.txt`, `classes.txt`) or else by the reader's own order; a word in any spelling, with an optional
number that is ignored ('4_sad').
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from stages.core.errors import UserError, refuse, shorten, unknown_name
from stages.core.labels import CLASSES, canonical
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import is_hidden
from stages.corpora.decoding.images import ALLOWED, DECODED, SUFFIXES, describe, image_format, is_decoded

IGNORE = "ignore"  # the value in `class_names` of a folder that is passed over
NAMES_FILES = ("data.yaml", "data.yml", "labels.txt", "classes.txt")
ADVICE = "or map it in corpora.<corpus>.class_names, to 'ignore' if it is no class"
# Files that are no images whatever they begin with, so that the thousands of them beside some corpora are not opened.
_TEXTS = (".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".npy", ".npz", ".pts", ".html", ".py")
_TEXTS += (".ipynb", ".mat", ".xlsx", ".xls", ".pdf", ".pkl", ".h5", ".pt", ".pth", ".zip", ".gz", ".mp4", ".log")
# Folders of pictures about a corpus; a class folder inside one of them is still a class folder.
_ASIDE = {
    "plots",
    "plot",
    "figures",
    "figs",
    "results",
    "output",
    "outputs",
    "docs",
    "screenshots",
    "logs",
    "notebooks",
}
_CLASS = re.compile(r"(?P<number>\d*)[ _.-]*(?P<word>[a-z]*)", re.ASCII)
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
_NAMES_LINE = re.compile(r"(?:(\d{1,4})[\s:=,.;-]+)?([A-Za-z][A-Za-z _-]*?)(?:[\s:=,;]+(\d{1,4}))?", re.ASCII)

Note = Callable[[str], None]
# Returns the reader's own classes of some numbers, and the name of that order.
Order = Callable[[set[int]], tuple[Mapping[int, str], str]]


@dataclass(frozen=True)
class FolderNames:
    """What the folder names of one archive mean. `codes`: the reader's own names of classes, such as 'class001'."""

    classes: Sequence[str]
    parts: Mapping[str, str]
    own: Mapping[str, str]
    numbers: Mapping[int, str]
    codes: Mapping[str, str] = field(default_factory=dict)

    def label(self, folder: str) -> str | None:
        """Return the class that the last folder of a path names, 'ignore', or None."""
        name = normalized(folder.rpartition("/")[2])
        if self.own.get(name) in (*CLASSES, IGNORE):
            return self.own[name]
        if name in self.codes:
            return self.codes[name]
        if _NUMBER.fullmatch(name):
            return self.numbers.get(int(name))
        match = _CLASS.fullmatch(name)
        label = canonical(match["word"]) if match else None
        return label if label in self.classes else None

    def is_own(self, folder: str) -> bool:
        """Return whether the user's `class_names` map the last folder of a path."""
        return normalized(folder.rpartition("/")[2]) in self.own

    def partition(self, folder: str) -> str | None:
        """Return the part that is named by the innermost such folder around the class folder, or None."""
        parents = map(normalized, reversed(folder.split("/")[:-1]))
        named = ({**self.parts, **self.own}.get(parent) for parent in parents)
        return next((part for part in named if part and part not in (*CLASSES, IGNORE)), None)


def normalized(name: str) -> str:
    """Return a folder name in the form in which names are compared."""
    return unicodedata.normalize("NFC", name).strip().casefold()


def image_names(archive: Path) -> list[str]:
    """Return the visible images, sorted: by suffix, and JPEG, PNG, WebP and HEIC under any unknown suffix."""
    return [name for name in members.names(archive) if not is_hidden(name) and _is_image(archive, name)]


def _is_image(archive: Path, name: str) -> bool:
    lower = name.lower()
    if lower.endswith(DECODED):
        return True
    if lower.endswith((*SUFFIXES, *_TEXTS, "/")):
        return False
    return image_format(members.start(archive, name)) in ("JPEG", "PNG", "WebP", "HEIC")


def class_images(archive: Path, images: list[str], names: FolderNames, note: Note | None = None) -> dict[str, str]:
    """Return {image: its folder's class}, sorted by name. Pictures beside the class folders are left out.

    Raises `UserError` for a folder that names no class and for a class without an image that can be read. With `note`,
    the files that are passed over are counted and named, and the first bytes of all images are checked.
    """
    labels = {folder: names.label(folder) for folder in {_folder(name) for name in images}}
    around = {parent for folder, label in labels.items() if label for parent in _parents(folder)}
    for name in images if None in labels.values() else ():
        folder = _folder(name)
        if labels[folder] is None and not (folder in around or _ASIDE & set(folder.lower().split("/"))):
            known = [*names.classes, *map(str, names.numbers)]
            what = "unknown class folder" if folder else "an image outside the class folders"
            message = unknown_name(f"{archive}: {name}", PurePosixPath(folder).name, known, what)
            raise UserError(message.replace("; received", f", {ADVICE}; received", 1))
    chosen = {name: label for name in images if (label := labels[_folder(name)]) and label != IGNORE}
    _refuse_lost_classes(archive, chosen, names)
    if note:
        report_images(archive, chosen, note)
    return chosen


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _parents(folder: str) -> Iterable[str]:
    while folder:
        folder = _folder(folder)
        yield folder


def _refuse_lost_classes(archive: Path, chosen: Mapping[str, str], names: FolderNames) -> None:
    """Raise `UserError` for a class folder with files of which none is read."""
    folders = {(names.partition(folder), names.label(folder)) for folder in {_folder(name) for name in chosen}}
    labels = {label for _, label in folders}
    lost: dict[str, list[str]] = {}
    for name in _others(archive, chosen, with_folders=True):
        folder = _folder(name)
        label = names.label(folder)
        is_text = name.lower().endswith(_TEXTS)
        if label in (None, IGNORE) or (label in labels if is_text else (names.partition(folder), label) in folders):
            continue
        if name.endswith("/"):
            raise UserError(f"{archive}: {name}: empty class folder; allowed: at least one image, or no such folder")
        lost.setdefault(folder, []).append(name)
    for folder, files in lost.items():
        what, received = "a class folder without an image that can be read", count_by_suffix(files)
        refuse(what, where=f"{archive}: {folder}", allowed=f"{ALLOWED} images", received=received)


def _others(archive: Path, chosen: Collection[str], *, with_folders: bool = False) -> list[str]:
    visible = (name for name in members.names(archive) if name not in chosen and not is_hidden(name))
    return [name for name in visible if with_folders or not name.endswith("/")]


def count_by_suffix(files: Iterable[str]) -> str:
    """Return the numbers of files by suffix, with the first of each: '12 .avif (train/a.avif), 1 .txt (b.txt)'."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for name in files:
        suffix = PurePosixPath(name).suffix.lower() or "without suffix"
        counts[suffix] += 1
        first.setdefault(suffix, name)
    return ", ".join(f"{count:,} {suffix} ({first[suffix]})" for suffix, count in counts.most_common(12))


def report_images(archive: Path, chosen: Mapping[str, str], note: Note, used: Collection[str] = ()) -> None:
    """Count and name the files besides these {image: class}, and the images in a format that is not decoded.

    `used`: other files that are read, such as lists of labels. Raises `UserError` for a class of such images alone.
    """
    if others := _others(archive, {*chosen, *used}):
        note(f"{archive}: passed over {len(others):,} files: {count_by_suffix(others)}; read are {ALLOWED} images")
    starts = {name: start for name in chosen if not is_decoded(start := members.start(archive, name))}
    readable = {label for name, label in chosen.items() if name not in starts}
    for name, start in starts.items():
        if chosen[name] not in readable:
            what, where = f"no image of class {chosen[name]!r} can be read", f"{archive}: {name}"
            refuse(what, where=where, allowed=f"{ALLOWED} images", received=describe(start))
    if starts:
        name = next(iter(starts))
        found = f"the first is {name}, {describe(starts[name])}"
        note(f"{archive}: {len(starts):,} images cannot be read, allowed: {ALLOWED}; {found}; `prepare` rejects them")


def own_names(class_names: Mapping[str, str] | None) -> dict[str, str]:
    """Return the user's `class_names` in the form in which names are compared."""
    return {normalized(name): meaning for name, meaning in (class_names or {}).items()}


def folder_names(
    archive: Path,
    images: list[str],
    classes: Sequence[str],
    parts: Mapping[str, str],
    class_names: Mapping[str, str] | None,
    order: Order,
    note: Note | None = None,
    codes: Mapping[str, str] | None = None,
) -> FolderNames:
    """Return the meaning of the folder names. `order` returns the reader's own classes of these numbers, and its name.

    Raises `UserError` for numbers that `class_names` or the names file leave out. `note` receives the mapping as text.
    """
    names = FolderNames(classes, parts, own_names(class_names), {}, codes or {})
    last = {normalized(PurePosixPath(_folder(name)).name) for name in {_folder(n): n for n in images}.values()}
    if note and (unused := sorted(names.own.keys() - _parts_of(images))):
        found = ", ".join(sorted(_parts_of(images))[:12]) or "none"
        note(f"{archive}: class_names: no folder is called {', '.join(unused)}; folders: {found}")
    if note and (coded := sorted(last & (names.codes.keys() - names.own.keys()))):
        mapping = ", ".join(f"{name} {names.codes[name]}" for name in coded)
        note(f"{archive}: folders are read as {mapping}; another order: corpora.<corpus>.class_names")
    return number_names(archive, {name for name in last if _NUMBER.fullmatch(name)}, names, order, note)


def _parts_of(images: Iterable[str]) -> set[str]:
    """Return the names of all folders around the images, in the form in which names are compared."""
    return {normalized(part) for folder in {_folder(name) for name in images} for part in folder.split("/") if part}


def number_names(
    archive: Path, found: set[str], names: FolderNames, order: Order, note: Note | None, what: str = "folder"
) -> FolderNames:
    """Return `names` with the classes of the numbers that were `found`. `what` they name: folder or label."""
    numbers: Mapping[int, str] = {}
    source = "class_names"
    mapped = {name for name, meaning in names.own.items() if meaning in (*CLASSES, IGNORE)}
    if unmapped := {int(name) for name in found - mapped}:
        if any(map(_NUMBER.fullmatch, mapped)):
            mistake, received = f"number {what}s that class_names leaves out", ", ".join(map(str, sorted(unmapped)))
            refuse(mistake, where=str(archive), allowed="all of them, or none", received=received)
        numbers, source = _names_beside(archive, unmapped, names, what) or order(unmapped)
    names = replace(names, numbers=numbers)
    if found and note:
        by_number = sorted((int(name), names.label(name)) for name in found)
        mapping = ", ".join(f"{number} {label}" for number, label in by_number if label)
        note(f"{archive}: number {what}s are read as {mapping} ({source}); another order: corpora.<corpus>.class_names")
    return names


def _names_beside(
    archive: Path, numbers: set[int], names: FolderNames, what: str
) -> tuple[Mapping[int, str], str] | None:
    """Return the classes of the numbers in the names file beside the folders, and its name; None without a file."""
    found = {}
    for file in NAMES_FILES:
        if member := tables.find(archive, file):
            # YOLO counts from 0, also where no label is 0.
            words = _words(archive, member, 0 if 0 in numbers or what == "label" else 1)
            for number in numbers - words.keys():
                received = ", ".join(f"{key} {word}" for key, word in sorted(words.items()))
                mistake = f"no name for {what} {number}"
                refuse(mistake, where=f"{archive}: {member}", allowed=ADVICE[3:], received=received)
            found[member] = {number: _class(f"{archive}: {member}", number, words[number], names) for number in numbers}
    if len({tuple(sorted(classes.items())) for classes in found.values()}) > 1:
        mistake, allowed = f"names of the number {what}s that differ", "one names file, or equal ones"
        refuse(mistake, where=str(archive), allowed=allowed, received=" and ".join(found))
    return (next(iter(found.values())), next(iter(found))) if found else None


def _class(where: str, number: int, word: str, names: FolderNames) -> str:
    own = names.own.get(normalized(word))
    label = own if own in (*CLASSES, IGNORE) else canonical(word)
    if label not in (*names.classes, IGNORE):
        message = unknown_name(where, word, names.classes, f"unknown class of {number}")
        raise UserError(message.replace("; received", f", {ADVICE}; received", 1))
    return label


def _words(archive: Path, member: str, first: int) -> dict[int, str]:
    """Return {number: word} of a names file: `names:` of a YAML file, or one name per line, numbered or in order."""
    text = members.read(archive, member, 1 << 20).decode("utf-8-sig", errors="replace")
    if member.lower().endswith((".yaml", ".yml")):
        return _yaml_words(f"{archive}: {member}", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    words: dict[int, str] = {}
    for number, line in enumerate(lines, start=first):
        match = _NAMES_LINE.fullmatch(line)
        if not match:
            what, allowed = "not a list of classes", "one name per line, such as '0 angry' or 'angry'"
            refuse(what, where=f"{archive}: {member}", allowed=allowed, received=line)
        words[int(match[1] or match[3] or number)] = match[2]
    return words


def _yaml_words(where: str, text: str) -> dict[int, str]:
    import yaml  # imported here: few corpora have such a file

    try:
        content = yaml.safe_load(text)
        names = content["names"]
        items = names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else None
        return {int(number): str(word) for number, word in items}
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        allowed = "names: [angry, …] or names: {0: angry, …}"
        return refuse("no list of classes", where=where, allowed=allowed, received=shorten(text[:60]))
