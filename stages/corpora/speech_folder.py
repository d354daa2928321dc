"""Anyone's own speech: one folder an emotion, and optionally who speaks.

    angry/<name>.wav|flac|mp3|ogg   in any spelling of the emotion ('Anger'), and below any further folders
    speakers.csv                    columns file,speaker and optionally gender: 'angry/1.wav,anna,female'

Without speakers.csv a clip has no group, and no protocol can keep speakers apart.
"""

import posixpath
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from stages.core.checks import UserError, refuse, unknown_name
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
    """Every clip, ordered by its path, undecoded; the path below the folder that holds the emotions is its id."""
    audio = audio_names(archive)
    if not any(_label(name) for name in audio):
        refuse_layout(archive, "speech_folder", audio)
    ids = _ids(audio)
    speakers = _speakers(archive, ids)
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


def _ids(audio: list[str]) -> dict[str, str]:
    """{member: its path below the folder that holds all folders of emotions}."""
    root = posixpath.commonpath([PurePosixPath(name).parent.parent for name in audio])
    return {name: str(PurePosixPath(name).relative_to(root)) for name in audio}


def _speakers(archive: Path, ids: dict[str, str]) -> dict[str, Speaker] | None:
    """{sample id: who speaks}, or None where there is no table. Raises `UserError` for any row that is not clear."""
    table = tables.find(archive, TABLE)
    if table is None:
        return None
    paths = ids | {sample_id: sample_id for sample_id in ids.values()}  # a row may name either
    found: dict[str, Speaker] = {}
    for where, row in tables.rows(archive, table, ("file", "speaker"), "file,speaker[,gender]"):
        sample_id = tables.named(where, row["file"], paths)
        if sample_id in found:
            refuse("a clip with two rows", where=where, allowed="one row a clip", received=sample_id)
        found[sample_id] = _speaker(where, row)
    return found


def _speaker(where: str, row: dict[str, str]) -> Speaker:
    gender = row.get("gender", "").lower()
    if not row["speaker"]:
        refuse("no speaker", where=where, allowed="a name", received=row["speaker"])
    if gender not in ("", *GENDERS):
        refuse("unknown gender", where=where, allowed=f"{', '.join(GENDERS)}, or nothing", received=gender)
    return row["speaker"], {"gender": gender} if gender else {}
