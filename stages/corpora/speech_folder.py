"""Anyone's own speech: one folder an emotion, and optionally who speaks.

    angry/<name>.wav|flac|mp3|ogg   in any spelling of the emotion ('Anger'), and below any further folders
    speakers.csv                    columns file,speaker and optionally gender: 'angry/1.wav,anna,female'

Without speakers.csv a clip has no group, and no protocol can keep speakers apart. Exact copies of one clip, in folders
of one emotion, are read once. Other clips of one name are clips of their own below sibling folders (anna/angry/1.wav,
bert/angry/1.wav); where one folder holds the other, whether they are one recording cannot be told: they are refused.
"""

import posixpath
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from stages.core.errors import UserError, refuse, unknown_name
from stages.core.labels import EMOTIONS, canonical
from stages.core.records import Record
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import audio_names, refuse_layout
from stages.corpora.decoding.audio import decode_audio

CODES = EMOTIONS
PARTS: dict[str, str] = {}
GROUP = "speaker"
EXPECTED = None

TABLE = "speakers.csv"
GENDERS = ("female", "male")

Speaker = tuple[str, dict[str, str]]  # group and extra


def read(archive: Path) -> Iterator[Record]:
    """Every clip once, ordered by its path, undecoded; the path below the folder that holds the emotions is its id.

    Raises `UserError` for a clip in no emotion's folder, for one that may be another's copy, and for an unclear table.
    """
    audio = audio_names(archive)
    if not any(_label(name) for name in audio):
        refuse_layout(archive, "speech_folder", audio)
    originals = _originals(archive, audio)
    _refuse_doubtful(archive, set(originals.values()))
    ids = _ids(sorted(set(originals.values())))
    speakers = _speakers(archive, ids, originals)
    return iter([_record(archive, name, ids[name], speakers) for name in sorted(ids, key=lambda name: ids[name])])


def missing(found: dict[str | None, int]) -> str:
    """Nothing: how many clips someone's own corpus has, nobody knows."""
    return ""


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
        refuse("a clip without a row", where=f"{archive}: {TABLE}", allowed="one row a clip", received=sample_id)
    return Record(sample_id, label, partial(members.read, archive, name), decode_audio, group=group, extra=extra)


def _label(name: str) -> str | None:
    return canonical(PurePosixPath(name).parent.name)


def _key(name: str) -> tuple[str | None, str]:
    """What copies of a clip share, whatever they are wrapped in: emotion and name, its suffix left off."""
    return _label(name), PurePosixPath(name).stem.lower()


def _originals(archive: Path, audio: list[str]) -> dict[str, str]:
    """{member: the exact copy that is read for it}: the one in the fewest folders, of those the first by name."""
    first: dict[tuple, str] = {}
    least_wrapped = sorted(audio, key=lambda name: (name.count("/"), name))
    return {name: first.setdefault((_key(name), members.fingerprint(archive, name)), name) for name in least_wrapped}


def _refuse_doubtful(archive: Path, clips: set[str]) -> None:
    """Two clips of one name may be one recording in two forms: read twice, it could be trained on and judged on."""
    outer = {(*_key(name), PurePosixPath(name).parent.parent): name for name in sorted(clips)}
    for name in sorted(clips):
        folder = PurePosixPath(name).parent.parent
        for around in (folder, *folder.parents):
            other = outer.get((*_key(name), around), name)
            if other != name:
                allowed = "exact copies, other names, or folders beside each other"
                received = ", ".join(sorted((name, other)))
                refuse("two clips of one name that differ", where=str(archive), allowed=allowed, received=received)


def _ids(audio: list[str]) -> dict[str, str]:
    """{member: its path below the folder that holds all folders of emotions}."""
    root = posixpath.commonpath([PurePosixPath(name).parent.parent for name in audio])
    return {name: str(PurePosixPath(name).relative_to(root)) for name in audio}


def _speakers(archive: Path, ids: dict[str, str], originals: dict[str, str]) -> dict[str, Speaker] | None:
    """{sample id: who speaks}, or None where there is no table. Raises `UserError` for any row that is not clear."""
    table = tables.find(archive, TABLE)
    if table is None:
        return None
    paths = {name: ids[original] for name, original in originals.items()}  # a row may name any copy, or the id
    paths |= {sample_id: sample_id for sample_id in ids.values()}
    found: dict[str, Speaker] = {}
    for where, row in tables.rows(archive, table, ("file", "speaker"), "file,speaker[,gender]"):
        sample_id = tables.named(where, row["file"], paths)
        speaker = _speaker(where, row)
        if found.setdefault(sample_id, speaker) != speaker:
            what = "rows that differ for one clip, or for exact copies of it"
            refuse(what, where=where, allowed="one speaker a clip", received=row["file"])
    return found


def _speaker(where: str, row: dict[str, str]) -> Speaker:
    gender = row.get("gender", "").lower()
    if not row["speaker"]:
        refuse("no speaker", where=where, allowed="a name", received=row["speaker"])
    if gender not in ("", *GENDERS):
        refuse("unknown gender", where=where, allowed=f"{', '.join(GENDERS)}, or nothing", received=gender)
    return row["speaker"], {"gender": gender} if gender else {}
