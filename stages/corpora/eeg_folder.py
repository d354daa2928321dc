"""A user's own EEG: recordings as the amplifier wrote them, and a table of the trials in them.

    <name>.edf|bdf|cnt|fif|set   in any folders
    trials.csv                   columns file,subject,session,trial,label,onset_s,duration_s:
                                 'S01/rest.edf,S01,1,1,neutral,12.5,20', onsets in seconds from the recording's start

An EEGLAB SET must contain its samples (no separate .fdt file).
"""

import math
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from threading import Lock

from stages.core.errors import UserError, refuse, unknown_name
from stages.core.labels import CLASSES, canonical
from stages.core.records import DamagedSample, Record, Signal
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import count_mismatch, is_hidden
from stages.corpora.decoding.edf import read_header
from stages.corpora.decoding.recordings import MAX_BYTES, SUFFIXES, Recording, open_recording

CODES = CLASSES
PARTS: dict[str, str] = {}
GROUP = "subject"

TABLE = "trials.csv"
COLUMNS = ("file", "subject", "session", "trial", "label", "onset_s", "duration_s")
LAYOUT = f"recordings ({', '.join(SUFFIXES)}) and a {TABLE} with {','.join(COLUMNS)}"
ROUNDING_S = 0.001  # tables hold rounded seconds: trials may overlap, or end after the recording, by this much
# Threads decode different trials, so several recordings are kept open; each is then read once, unless there are many
# more threads. An open recording takes space in the folder for temporary files and hardly any memory.
OPEN_RECORDINGS = 8

missing = partial(count_mismatch, expected=None)  # a user's own corpus has any size

_LOCK = Lock()  # MNE seeks in the file, and two threads must not open the same recording
_TRIAL_KEY = struct.Struct("<IQdd")  # CRC-32 and size of the recording, onset and duration of the trial


@dataclass(frozen=True)
class Trial:
    """A row of the table. `where` is its location in messages, `member` the recording."""

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
    trials = sorted(_trials(archive), key=lambda trial: (trial.member, trial.onset_s))
    first: dict[str, Trial] = {}
    for trial in trials:
        other = first.setdefault(trial.sample_id, trial)
        if other is not trial:
            allowed = f"each trial once, but line {_line(other)} has it, too"
            refuse("a trial with two rows", where=trial.where, allowed=allowed, received=trial.sample_id)
    contents = {trial.member: members.fingerprint(archive, trial.member) for trial in trials}
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
    with members.open_member(archive, member, MAX_BYTES) as stream:
        return open_recording(stream, PurePosixPath(member).suffix.lower())


def _trials(archive: Path) -> Iterator[Trial]:
    names = [name for name in members.names(archive) if not is_hidden(name)]
    recordings = [name for name in names if name.lower().endswith(SUFFIXES)]
    table = tables.find(archive, TABLE)
    if not recordings or table is None:
        what = f"not the layout of reader 'eeg_folder', without {'a recording' if table else TABLE}"
        refuse(what, where=str(archive), allowed=LAYOUT, received=", ".join(names[:4]) or "an empty archive")
    folder = PurePosixPath(table).parent
    paths = {name: name for name in recordings}  # rows may name the whole path, or the path from the table's folder
    for path in map(PurePosixPath, recordings):
        if path.is_relative_to(folder):
            paths[str(path.relative_to(folder))] = str(path)
    for where, row in tables.rows(archive, table, COLUMNS, ",".join(COLUMNS)):
        yield _trial(where, row, tables.resolve(where, row["file"], paths, "recording"))


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
        allowed = f"{one.subject}, as in line {_line(one)}"
        refuse(f"two subjects of {recording}", where=other.where, allowed=allowed, received=other.subject)
    if other.onset_s < one.end_s - ROUNDING_S:
        allowed = f"an onset of {one.end_s:g} s or later, where the trial of line {_line(one)} ends"
        refuse(f"overlapping trials of {recording}", where=other.where, allowed=allowed, received=other.onset_s)


def _line(trial: Trial) -> str:
    return trial.where.rpartition(" ")[2]


def _stated_length_s(archive: Path, member: str, size_bytes: int) -> float:
    """Return the length that an EDF or BDF header states, else infinity: `decode_trial` checks other formats."""
    if not member.lower().endswith((".edf", ".bdf")):
        return math.inf
    with members.open_member(archive, member, MAX_BYTES) as stream:
        try:
            return read_header(stream, size_bytes).duration_s
        except DamagedSample:
            return math.inf


def _require_within(trial: Trial, length_s: float) -> None:
    if trial.end_s > length_s + ROUNDING_S:
        allowed = f"an end up to {length_s:g} s, the length of {trial.member}"
        refuse("a trial beyond its recording", where=trial.where, allowed=allowed, received=f"{trial.end_s:g} s")
