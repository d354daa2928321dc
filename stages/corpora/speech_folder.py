"""A user's own speech: one folder per emotion, and optionally a table of speakers.

    angry/<name>.wav|flac|mp3|ogg   in any spelling of the emotion ('Anger'), inside any further folders
    speakers.csv                    columns file,speaker and optionally gender: 'angry/1.wav,anna,female'

Without speakers.csv a clip has no group, and no protocol can separate speakers. Exact copies of a clip, in folders of
one emotion, are read once. Other clips with the same name are different clips if they are in sibling folders
(anna/angry/1.wav, bert/angry/1.wav). If one of the folders contains the other, they may be two forms of one recording,
and are refused.
"""

import posixpath
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from stages.core.errors import UserError, refuse, unknown_name
from stages.core.labels import EMOTIONS, canonical
from stages.core.records import Record
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import audio_names, count_mismatch, refuse_layout
from stages.corpora.decoding.audio import decode_audio

CODES = EMOTIONS
PARTS: dict[str, str] = {}
GROUP = "speaker"

TABLE = "speakers.csv"
GENDERS = ("female", "male")

missing = partial(count_mismatch, expected=None)  # a user's own corpus has any size

Speaker = tuple[str, dict[str, str]]  # group and extra of a record


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all clips, each once, undecoded, sorted by id: the path inside the common folder.

    Raises `UserError` for a clip outside the emotion folders, for a possible copy, and for an unclear table.
    """
    audio = audio_names(archive)
    if not any(_label(name) for name in audio):
        refuse_layout(archive, "speech_folder", audio)
    # {member: the exact copy to read for it}: the one in the fewest folders, then the first by name.
    first: dict[tuple, str] = {}
    by_depth = sorted(audio, key=lambda name: (name.count("/"), name))
    originals = {name: first.setdefault((_key(name), members.fingerprint(archive, name)), name) for name in by_depth}
    clips = sorted(set(originals.values()))
    _refuse_possible_copies(archive, clips)
    common = posixpath.commonpath([PurePosixPath(name).parent.parent for name in clips])
    ids = {name: str(PurePosixPath(name).relative_to(common)) for name in clips}
    speakers = _speakers(archive, ids, originals)
    return iter([_record(archive, name, ids[name], speakers) for name in sorted(ids, key=lambda name: ids[name])])


def _record(archive: Path, name: str, sample_id: str, speakers: dict[str, Speaker] | None) -> Record:
    label = _label(name)
    if label is None:
        folder = PurePosixPath(name).parent.name
        raise UserError(unknown_name(f"{archive}: {name}", folder, EMOTIONS, "unknown emotion folder"))
    if speakers is None:
        group, extra = None, {}
    elif sample_id in speakers:
        group, extra = speakers[sample_id]
    else:
        refuse("a clip without a row", where=f"{archive}: {TABLE}", allowed="one row per clip", received=sample_id)
    return Record(sample_id, label, partial(members.read, archive, name), decode_audio, group=group, extra=extra)


def _label(name: str) -> str | None:
    return canonical(PurePosixPath(name).parent.name)


def _key(name: str) -> tuple[str | None, str]:
    """Return what all copies of a clip have in common: emotion and file name without suffix."""
    return _label(name), PurePosixPath(name).stem.lower()


def _refuse_possible_copies(archive: Path, clips: list[str]) -> None:
    """Raise `UserError` for two clips that may be one recording, which could be in the train and in the test part."""
    by_folder = {(*_key(name), PurePosixPath(name).parent.parent): name for name in clips}
    for name in clips:
        folder = PurePosixPath(name).parent.parent
        for parent in (folder, *folder.parents):
            other = by_folder.get((*_key(name), parent), name)
            if other != name:
                allowed, received = "exact copies, other names, or sibling folders", ", ".join(sorted((name, other)))
                refuse("two different clips with one name", where=str(archive), allowed=allowed, received=received)


def _speakers(archive: Path, ids: dict[str, str], originals: dict[str, str]) -> dict[str, Speaker] | None:
    """Return {sample id: speaker}, or None without a table. Raises `UserError` for an unclear row."""
    table = tables.find(archive, TABLE)
    if table is None:
        return None
    paths = {name: ids[original] for name, original in originals.items()}  # a row may name any copy, or the id
    paths |= {sample_id: sample_id for sample_id in ids.values()}
    speakers: dict[str, Speaker] = {}
    for where, row in tables.rows(archive, table, ("file", "speaker"), "file,speaker[,gender]"):
        sample_id = tables.resolve(where, row["file"], paths)
        speaker = _speaker(where, row)
        if speakers.setdefault(sample_id, speaker) != speaker:
            what, allowed = "different rows for one clip or its exact copies", "one speaker per clip"
            refuse(what, where=where, allowed=allowed, received=row["file"])
    return speakers


def _speaker(where: str, row: dict[str, str]) -> Speaker:
    gender = row.get("gender", "").lower()
    if not row["speaker"]:
        refuse("no speaker", where=where, allowed="a name", received=row["speaker"])
    if gender not in ("", *GENDERS):
        refuse("unknown gender", where=where, allowed=f"{', '.join(GENDERS)}, or empty", received=gender)
    return row["speaker"], {"gender": gender} if gender else {}
