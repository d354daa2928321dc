"""A user's own speech: one folder per emotion, or one list of all clips in any folders.

    angry/<name>.wav|flac|mp3|ogg   in any spelling of the emotion ('Anger'), inside any further folders
    speakers.csv                    columns file,speaker and optionally gender: 'angry/1.wav,anna,female'
    the same with `emotion`         columns file,emotion,speaker, perhaps gender and part: 'a/1.wav,sad,anna,f,train'
                                    the folders mean nothing; clips that it does not list are left out

The table may also be called clips.csv. `corpora.<corpus>.class_names` maps other words for emotions, in folders or in
the list, to a class or to 'ignore'. Without a table a clip has no group, and no protocol can separate speakers. Exact
copies of a clip, in folders of one emotion, are read once. Other clips with the same name are different clips if they
are in sibling folders (anna/angry/1.wav, bert/angry/1.wav). If one of the folders contains the other, they may be two
forms of one recording, and are refused. Names are compared in Unicode's composed form: a Mac decomposes 'é'.
"""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from stages.core.errors import UserError, refuse, unknown_name
from stages.core.labels import CLASSES, EMOTIONS, canonical
from stages.core.records import Record
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import audio_names, count_mismatch, is_hidden, refuse_layout
from stages.corpora.decoding.audio import decode_audio

CODES = EMOTIONS
PARTS = {"train": "train", "validation": "validation", "test": "test"}
GROUP = "speaker"

TABLES = ("speakers.csv", "clips.csv")
COLUMNS = "file,speaker[,gender], or of a list file,emotion,speaker[,gender][,part]"
PART_NAMES = PARTS | {"training": "train", "dev": "validation", "val": "validation", "valid": "validation"}
GENDERS = {"female": "female", "f": "female", "male": "male", "m": "male"}
UNKNOWN = ("", "unknown", "other", "n/a", "nan")  # a gender that no result is listed by
IGNORE = "ignore"  # the value in `class_names` of an emotion that is passed over

missing = partial(count_mismatch, expected=None)  # a user's own corpus has any size

Rows = list[tuple[str, dict[str, str]]]  # location and {column: value}


@dataclass(frozen=True)
class Row:
    """What the table says of one clip."""

    speaker: str
    extra: dict[str, str]
    label: str | None = None
    part: str | None = None


@dataclass(frozen=True)
class Corpus:
    """One archive: `audio` {name in composed form: member}, and the user's own words for emotions."""

    archive: Path
    audio: dict[str, str]
    words: dict[str, str] = field(default_factory=dict)

    def label(self, word: str) -> str | None:
        """Return the emotion that a word names, 'ignore', or None."""
        own = self.words.get(_folded(word))
        return own if own in (*CLASSES, IGNORE) else canonical(word)

    def of_folder(self, name: str) -> str | None:
        return self.label(PurePosixPath(name).parent.name)

    def unknown(self, where: str, word: str, what: str) -> UserError:
        known = f"{', '.join(EMOTIONS)}, or any word that corpora.<corpus>.class_names maps"
        return UserError(unknown_name(where, word, EMOTIONS, what).replace(", ".join(EMOTIONS), known, 1))

    def fingerprint(self, name: str) -> tuple[int, int]:
        return members.fingerprint(self.archive, self.audio[name])

    def key(self, name: str) -> tuple[str, str]:
        """Return what all copies of a clip have in common: emotion and file name without suffix."""
        return self.of_folder(name) or PurePosixPath(name).parent.name, PurePosixPath(name).stem.lower()

    def record(self, name: str, sample_id: str, label: str, row: Row | None) -> Record:
        group, extra, part = (row.speaker, row.extra, row.part) if row else (None, {}, None)
        content = partial(members.read, self.archive, self.audio[name])
        return Record(sample_id, label, content, decode_audio, group=group, partition=part, extra=extra)


def read(
    archive: Path, class_names: Mapping[str, str] | None = None, note: Callable[[str], None] | None = None
) -> Iterator[Record]:
    """Return an iterator over all clips, each once, undecoded, sorted by id: the path inside the common folder.

    Raises `UserError` for a clip outside the emotion folders, for a possible copy, and for an unclear table. `note`
    receives what is left out.
    """
    found = audio_names(archive)
    corpus = Corpus(archive, _composed(archive, found), {_folded(k): v for k, v in (class_names or {}).items()})
    table, rows = _table(archive)
    if table and any("emotion" in row for _, row in rows):
        return _read_list(corpus, table, rows, note)
    if not any(map(corpus.of_folder, corpus.audio)):
        refuse_layout(archive, "speech_folder", found)
    return _read_folders(corpus, table, rows)


def _composed(archive: Path, names: list[str]) -> dict[str, str]:
    """Return {name in Unicode's composed form: name}. Raises `UserError` for two clips with the same composed name."""
    audio: dict[str, str] = {}
    for name in names:
        other = audio.setdefault(normalize("NFC", name), name)
        if members.fingerprint(archive, other) != members.fingerprint(archive, name):
            received = f"{other!a} and {name!a}"
            what = "two different clips with one name, composed and decomposed"
            refuse(what, where=str(archive), allowed="distinct names", received=received)
    return audio


def _folded(word: str) -> str:
    return normalize("NFC", word).strip().casefold()


def _read_folders(corpus: Corpus, table: str | None, rows: Rows) -> Iterator[Record]:
    # {name: the exact copy to read for it}: the one in the fewest folders, then the first by name.
    first: dict[tuple, str] = {}
    by_depth = sorted(corpus.audio, key=lambda name: (name.count("/"), name))
    originals = {name: first.setdefault((corpus.key(name), corpus.fingerprint(name)), name) for name in by_depth}
    clips = sorted(name for name in set(originals.values()) if _known(corpus, name) != IGNORE)
    _refuse_possible_copies(corpus, clips)
    ids = _ids(clips, levels=2)
    paths = {name: ids[original] for name, original in originals.items() if original in ids}
    said = _rows_by_id(rows, paths | {sample_id: sample_id for sample_id in ids.values()}) if table else None
    if said is not None and (unlisted := sorted(ids.values() - said.keys())):
        allowed, received = "one row per clip", unlisted[0]
        refuse("a clip without a row", where=f"{corpus.archive}: {table}", allowed=allowed, received=received)
    of_id = sorted((sample_id, name) for name, sample_id in ids.items())
    return iter([corpus.record(name, one, corpus.of_folder(name), said and said[one]) for one, name in of_id])


def _known(corpus: Corpus, name: str) -> str:
    """Return the emotion of a clip's folder. Raises `UserError` if it names none."""
    label = corpus.of_folder(name)
    if label is None:
        where, folder = f"{corpus.archive}: {name}", PurePosixPath(name).parent.name
        raise corpus.unknown(where, folder, "unknown emotion folder")
    return label


def _ids(names: list[str], levels: int) -> dict[str, str]:
    """Return {name: its path inside the common folder}, of which at least `levels` names are kept."""
    common = posixpath.commonpath([PurePosixPath(name).parents[levels - 1] for name in names]) if names else ""
    return {name: str(PurePosixPath(name).relative_to(common)) for name in names}


def _refuse_possible_copies(corpus: Corpus, clips: list[str]) -> None:
    """Raise `UserError` for two clips that may be one recording, which could be in the train and in the test part."""
    by_folder = {(corpus.key(name), PurePosixPath(name).parent.parent): name for name in clips}
    for name in clips:
        folder = PurePosixPath(name).parent.parent
        for parent in (folder, *folder.parents):
            other = by_folder.get((corpus.key(name), parent), name)
            if other != name:
                allowed, received = "exact copies, other names, or sibling folders", ", ".join(sorted((name, other)))
                what = "two different clips with one name"
                refuse(what, where=str(corpus.archive), allowed=allowed, received=received)


def _read_list(corpus: Corpus, table: str, rows: Rows, note: Callable[[str], None] | None) -> Iterator[Record]:
    """Read the clips that a list with a column `emotion` names, whatever their folders are."""
    folder = PurePosixPath(table).parent
    inside = {
        name: str(PurePosixPath(name).relative_to(folder)) for name in corpus.audio if name.startswith(f"{folder}/")
    }
    paths = {short: name for name, short in inside.items()} | {name: name for name in corpus.audio}
    said = _rows_by_id(rows, paths, corpus)
    chosen = {name: row for name, row in said.items() if row.label != IGNORE}
    where = f"{corpus.archive}: {table}"
    if not chosen:
        refuse("lists no clip", where=where, allowed=COLUMNS, received=f"{len(rows)} rows")
    if len({row.part is None for row in chosen.values()}) > 1:
        some = next(name for name, row in chosen.items() if row.part is None)
        refuse("a clip without a part", where=where, allowed="a part in every row, or in none", received=some)
    if note and (others := sorted(corpus.audio.keys() - said.keys())):
        note(f"{where}: {len(others):,} of {len(corpus.audio):,} clips are left out, not being listed, as {others[0]}")
    ids = sorted((sample_id, name) for name, sample_id in _ids(list(chosen), levels=1).items())
    return iter([corpus.record(name, sample_id, chosen[name].label, chosen[name]) for sample_id, name in ids])


def _table(archive: Path) -> tuple[str | None, Rows]:
    """Return the name and the rows of the table, None and no rows without one."""
    found = [table for name in TABLES if (table := tables.find(archive, name))]
    if len(found) > 1:
        refuse("two tables of the clips", where=str(archive), allowed=" or ".join(TABLES), received=found)
    if not found:
        _refuse_other_list(archive)
    return (found[0], list(tables.rows(archive, found[0], ("file", "speaker"), COLUMNS))) if found else (None, [])


def _refuse_other_list(archive: Path) -> None:
    """Raise `UserError` for a table with the columns of a list, but another name, which nothing would read."""
    for name in members.names(archive):
        if name.lower().endswith(".csv") and not is_hidden(name):
            with members.open_member(archive, name) as stream:
                header = stream.readline(1000).decode("utf-8-sig", errors="replace")
            columns = {column.strip(' "\r\n').lower() for column in header.replace(";", ",").split(",")}
            if {"file", "emotion"} <= columns or {"file", "speaker"} <= columns:
                what, allowed = "a list of clips under another name", f"{' or '.join(TABLES)}, or no such table"
                refuse(what, where=str(archive), allowed=allowed, received=name)


def _rows_by_id(rows: Rows, paths: dict[str, str], corpus: Corpus | None = None) -> dict[str, Row]:
    """Return {value in `paths`: what the rows say}, with emotion and part if `corpus` is given."""
    said: dict[str, Row] = {}
    for where, row in rows:
        name, own = tables.resolve(where, row["file"], paths), _row(where, row, corpus)
        if said.setdefault(name, own) != own:
            what, allowed = "different rows for one clip or its exact copies", "one speaker and emotion per clip"
            refuse(what, where=where, allowed=allowed, received=row["file"])
    return said


def _row(where: str, row: dict[str, str], corpus: Corpus | None) -> Row:
    gender, part = row.get("gender", "").lower(), row.get("part", "").lower()
    if not row["speaker"]:
        refuse("no speaker", where=where, allowed="a name", received=row["speaker"])
    if gender not in (*UNKNOWN, *GENDERS):
        allowed = f"{', '.join(GENDERS)}, unknown, or empty"
        refuse("not a gender that is read", where=where, allowed=allowed, received=gender)
    extra = {"gender": GENDERS[gender]} if gender in GENDERS else {}
    if corpus is None:
        return Row(row["speaker"], extra)
    if part not in ("", *PART_NAMES):
        refuse("unknown part", where=where, allowed=f"{', '.join(PART_NAMES)}, or empty", received=part)
    label = corpus.label(row["emotion"])
    if label is None:
        raise corpus.unknown(where, row["emotion"], "unknown emotion")
    return Row(row["speaker"], extra, label, PART_NAMES.get(part))
