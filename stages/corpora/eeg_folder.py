"""A user's own EEG: recordings as the amplifier wrote them, and the trials in them.

    <name>.edf|bdf|cnt|fif|set|vhdr|gdf   in any folders, with .fdt, .eeg, .vmrk and further parts of a FIF beside them

The trials are listed in the first of these that is there:

    trials.csv     columns file,subject,session,trial,label,onset_s,duration_s:
                   'S01/rest.edf,S01,1,1,neutral,12.5,20', onsets in seconds from the recording's start
    *_events.tsv   of BIDS: onset, duration, and trial_type (or emotion, label …) with the name of a class
    annotations    in the recordings, with the name of a class, and with a duration

Events and annotations with other names are passed over, with a warning.
"""

import math
import re
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count, pairwise
from pathlib import Path, PurePosixPath
from threading import Lock

from stages.core.errors import UserError, printable, refuse, unknown_name, warn
from stages.core.labels import CLASSES, canonical
from stages.core.records import DamagedSample, Record, Signal
from stages.corpora.archive import events, members, tables
from stages.corpora.archive.clips import count_mismatch, is_hidden
from stages.corpora.decoding.beside import Beside, companions, first_part
from stages.corpora.decoding.edf import read_header
from stages.corpora.decoding.recordings import MAX_BYTES, SUFFIXES, Recording, open_recording

CODES = CLASSES
PARTS: dict[str, str] = {}
GROUP = "subject"

TABLE = "trials.csv"
COLUMNS = ("file", "subject", "session", "trial", "label", "onset_s", "duration_s")
LAYOUT = (
    f"recordings ({', '.join(SUFFIXES)}) and a {TABLE} with {','.join(COLUMNS)}; or *{events.SUFFIX} of BIDS, or "
    f"annotations, that name classes ({', '.join(CLASSES)})"
)
ROUNDING_S = 0.001  # tables hold rounded seconds: trials may overlap, or end after the recording, by this much
# Threads decode different trials, so several recordings are kept open; each is then read once, unless there are many
# more threads. An open recording takes space in the folder for temporary files and hardly any memory.
OPEN_RECORDINGS = 8

missing = partial(count_mismatch, expected=None)  # a user's own corpus has any size

_LOCK = Lock()  # MNE seeks in the file, and two threads must not open the same recording
_TRIAL_KEY = struct.Struct("<IQdd")  # CRC-32 and size of the recording, onset and duration of the trial


@dataclass(frozen=True)
class Trial:
    """A row of a table, or an annotation. `where` is its location in messages, `member` the recording."""

    where: str
    member: str
    subject: str
    session: str
    number: int
    label: str
    onset_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        return self.onset_s + self.duration_s

    @property
    def sample_id(self) -> str:
        return f"{self.subject}_s{self.session}_t{self.number}"


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all trials, undecoded, sorted by recording and onset, so that each recording opens once.

    Raises `UserError` for rows that are invalid, duplicated, overlapping, or beyond the end of an EDF or BDF recording.
    """
    status = archive.stat()
    trials = sorted(_trials(archive, status.st_mtime_ns, status.st_size), key=lambda t: (t.member, t.onset_s))
    first: dict[str, Trial] = {}
    for trial in trials:
        other = first.setdefault(trial.sample_id, trial)
        if other is not trial:
            allowed = f"each trial once, but {_line(other)} has it, too"
            refuse("a trial with two rows", where=trial.where, allowed=allowed, received=trial.sample_id)
    contents = {member: _fingerprint(archive, member) for member in dict.fromkeys(trial.member for trial in trials)}
    for one, other in pairwise(sorted(trials, key=lambda trial: (contents[trial.member], trial.onset_s))):
        if contents[one.member] == contents[other.member]:
            _refuse_shared_samples(one, other)
    lengths = {member: _stated_length_s(archive, member, contents[member][1]) for member in contents}
    for trial in trials:
        _require_within(trial, lengths[trial.member])
    return iter([_record(archive, trial, contents[trial.member]) for trial in trials])


def decode_trial(_key: bytes, archive: Path, trial: Trial) -> Signal:
    """Return (samples,) with one float64 field per channel, in µV, and the rate in Hz; `_key` identifies the trial.

    Raises `DamagedSample`, and `UserError` for a trial that ends after its recording.
    """
    with _LOCK:
        recording = _opened(archive, trial.member, archive.stat().st_mtime_ns)
        _require_within(trial, recording.duration_s)
        return recording.stretch(trial.onset_s, trial.duration_s)


def _record(archive: Path, trial: Trial, fingerprint: tuple[int, int]) -> Record:
    return Record(
        trial.sample_id,
        trial.label,
        partial(bytes, _TRIAL_KEY.pack(*fingerprint, trial.onset_s, trial.duration_s)),
        partial(decode_trial, archive=archive, trial=trial),
        group=trial.subject,
        trial=trial.number,
        extra={"session": trial.session},
    )


@lru_cache(maxsize=OPEN_RECORDINGS)
def _opened(archive: Path, member: str, _modified_ns: int) -> Recording:
    return _open(archive, member)


def _open(archive: Path, member: str, annotated: bool = False) -> Recording:
    with members.open_member(archive, member, MAX_BYTES) as stream:
        return open_recording(stream, PurePosixPath(member).name, _beside(archive, member), annotated)


def _beside(archive: Path, member: str) -> Beside:
    """Return the files in the folder of the recording, which may hold its samples, markers or further parts."""
    folder = PurePosixPath(member).parent
    paths = [path for path in map(PurePosixPath, members.names(archive)) if path.parent == folder]
    return {path.name: partial(members.open_member, archive, str(path), MAX_BYTES) for path in paths}


def _fingerprint(archive: Path, member: str) -> tuple[int, int]:
    """Return a CRC-32 and a size in bytes, equal for exact copies of the recording with all its files."""
    path = PurePosixPath(member)
    beside = [str(path.parent / name) for name in companions(path.name, _beside(archive, member))]
    prints = [members.fingerprint(archive, name) for name in (member, *beside)]
    if len(prints) == 1:
        return prints[0]
    return zlib.crc32(repr(prints).encode()), sum(size for _, size in prints) % 2**32


@lru_cache(maxsize=2)
def _trials(archive: Path, _modified_ns: int, _size_bytes: int) -> list[Trial]:
    """Return all trials, cached, since annotations take long to read and warnings should come once."""
    names = [name for name in members.names(archive) if not is_hidden(name)]
    recordings = [name for name in names if name.lower().endswith(SUFFIXES)]
    recordings = [name for name in recordings if not _is_later_part(name, recordings)]
    table = tables.find(archive, TABLE)
    if not recordings:
        _refuse_layout(archive, "without a recording", names)
    if table is not None:
        return list(_listed_trials(archive, table, recordings))
    event_tables = [name for name in names if name.lower().endswith(events.SUFFIX)]
    found = _event_trials(archive, recordings, event_tables) if event_tables else _annotations(archive, recordings)
    others, trials, numbers = Counter(), [], defaultdict(lambda: count(1))
    subjects = _subjects(recordings)
    for where, member, text, onset, duration in found:
        absent = "onset" if not onset else "duration" if duration in ("", "0", "0.0") else None
        if canonical(text, CLASSES) is None or absent:
            others[text if canonical(text, CLASSES) is None else f"{text} without {absent}"] += 1
            continue
        session = events.entities(member).get("ses", "1")
        number = next(numbers[subjects[member], session])
        row = {"subject": subjects[member], "session": session, "trial": str(number), "label": text}
        trials.append(_trial(where, row | {"onset_s": onset, "duration_s": duration}, member))
    passed_over = ", ".join(printable(f"{text[:30]!r} {n}") for text, n in others.most_common(6)) or "none"
    if not trials:
        _refuse_layout(
            archive,
            f"without {TABLE}, and no event or annotation with a duration names a class",
            [f"names: {passed_over}"],
        )
    source = "*" + events.SUFFIX if event_tables else "annotations"
    people = sorted({trial.subject for trial in trials})
    more = f"; {others.total()} other events passed over: {passed_over}" if others else ""
    warn(f"{archive}: {len(trials)} trials from {source}, of subjects {', '.join(people[:8])} ({len(people)}){more}")
    return trials


def _refuse_layout(archive: Path, what: str, received: list[str]) -> None:
    text = ", ".join(received[:4]) or "an empty archive"
    refuse(f"not the layout of reader 'eeg_folder', {what}", where=str(archive), allowed=LAYOUT, received=text)


def _is_later_part(member: str, recordings: list[str]) -> bool:
    """Return whether it is a further part of a split FIF, which is read with the first one."""
    path = PurePosixPath(member)
    names = {PurePosixPath(name).name for name in recordings if PurePosixPath(name).parent == path.parent}
    return first_part(path.name, names) is not None


def _listed_trials(archive: Path, table: str, recordings: list[str]) -> Iterator[Trial]:
    folder = PurePosixPath(table).parent
    paths = {name: name for name in recordings}  # rows may name the whole path, or the path from the table's folder
    for path in map(PurePosixPath, recordings):
        if path.is_relative_to(folder):
            paths[str(path.relative_to(folder))] = str(path)
    for where, row in tables.rows(archive, table, COLUMNS, ",".join(COLUMNS)):
        yield _trial(where, row, tables.resolve(where, row["file"], paths, "recording"))


# Location, recording, text, onset and duration in seconds, as written.
Event = tuple[str, str, str, str, str]


def _event_trials(archive: Path, recordings: list[str], event_tables: list[str]) -> Iterator[Event]:
    without = []
    for member in recordings:
        if table := events.table_of(member, event_tables):
            for where, text, onset, duration in events.rows(archive, table):
                yield where, member, text, onset, duration
        else:
            without.append(member)
    if without:
        some = ", ".join(without[:3])
        warn(f"{archive}: {len(without)} recordings without *{events.SUFFIX} passed over: {some}")


def _annotations(archive: Path, recordings: list[str]) -> Iterator[Event]:
    for member in recordings:
        try:
            found = _open(archive, member, annotated=True).annotations()
        except DamagedSample as damage:
            warn(f"{archive}: {member} passed over, as its annotations cannot be read: {damage}")
            continue
        for number, (onset_s, duration_s, text) in enumerate(sorted(found), start=1):
            name = text.rpartition("/")[2]  # BrainVision: 'Stimulus/happy'
            yield f"{archive}: {member} annotation {number}", member, name, f"{onset_s:.6g}", f"{duration_s:.6g}"


def _subjects(recordings: list[str]) -> dict[str, str]:
    """Return {recording: subject}: sub-<name> in its path, the first folder that differs, or its name up to '_'."""
    parents = [PurePosixPath(name).parts[:-1] for name in recordings]
    differing = next(
        (level for level, folders in enumerate(zip(*parents, strict=False)) if len(set(folders)) > 1), None
    )
    subjects = {}
    for name, folders in zip(recordings, parents, strict=True):
        named = re.search(r"(?:^|[/_])sub-([a-z0-9]+)", name, re.IGNORECASE)
        stem = PurePosixPath(name).stem.partition("_")[0]
        subjects[name] = named[1] if named else stem if differing is None else folders[differing]
    return subjects


def _trial(where: str, row: dict[str, str], member: str) -> Trial:
    label = canonical(row["label"], CLASSES)
    if label is None:
        raise UserError(unknown_name(where, row["label"], CLASSES, "unknown label"))
    for column in ("subject", "session"):
        if not row[column]:
            refuse(f"no {column}", where=where, allowed="a name", received=row[column])
    if not row["trial"].isdecimal() or len(row["trial"]) > 9:
        refuse("invalid trial number", where=where, allowed="a whole number, 0 to 999999999", received=row["trial"])
    onset_s, duration_s = (_seconds(where, column, row[column]) for column in ("onset_s", "duration_s"))
    if not duration_s:
        refuse("a trial without duration", where=where, allowed="more than 0 s", received=row["duration_s"])
    return Trial(where, member, row["subject"], row["session"], int(row["trial"]), label, onset_s, duration_s)


def _seconds(where: str, column: str, text: str) -> float:
    with suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    return refuse(f"{column} is not a time", where=where, allowed="seconds, 0 or more", received=text)


def _refuse_shared_samples(one: Trial, other: Trial) -> None:
    """Refuse two subjects of a recording (or its copies), and samples that could be both trained and tested on."""
    recording = one.member if one.member == other.member else f"{one.member} and its copy {other.member}"
    if one.subject != other.subject:
        allowed = f"{one.subject}, as in {_line(one)}"
        refuse(f"two subjects of {recording}", where=other.where, allowed=allowed, received=other.subject)
    if other.onset_s < one.end_s - ROUNDING_S:
        allowed = f"an onset of {one.end_s:g} s or later, where the trial of {_line(one)} ends"
        refuse(f"overlapping trials of {recording}", where=other.where, allowed=allowed, received=other.onset_s)


def _line(trial: Trial) -> str:
    return " ".join(trial.where.split(" ")[-2:])  # line 3, annotation 3


def _stated_length_s(archive: Path, member: str, size_bytes: int) -> float:
    """Return the length that an EDF or BDF header states, else infinity: `decode_trial` checks other formats."""
    if not member.lower().endswith((".edf", ".bdf")):
        return math.inf
    with members.open_member(archive, member, MAX_BYTES) as stream:
        try:
            header = read_header(stream, size_bytes)
        except DamagedSample:
            return math.inf
    return math.inf if header.is_interrupted else header.duration_s  # its end is known after its gaps are read


def _require_within(trial: Trial, length_s: float) -> None:
    if trial.end_s > length_s + ROUNDING_S:
        allowed = f"an end up to {length_s:g} s, the length of {trial.member}"
        refuse("a trial beyond its recording", where=trial.where, allowed=allowed, received=f"{trial.end_s:g} s")
