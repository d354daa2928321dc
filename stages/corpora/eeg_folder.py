"""Anyone's own EEG: recordings as they came from the amplifier, and a table that says where in them the trials lie.

    <name>.edf|bdf|cnt|fif|set   in any folders
    trials.csv                   columns file,subject,session,trial,label,onset_s,duration_s:
                                 'S01/rest.edf,S01,1,1,neutral,12.5,20', the onset in seconds from the recording's start

EEGLAB's SET must hold its samples itself (no .fdt beside it).
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from threading import Lock

from stages.core.errors import UserError, refuse, unknown_name
from stages.core.labels import CLASSES, canonical_class
from stages.core.records import DamagedSample, Record, Signal
from stages.corpora.archive import members, tables
from stages.corpora.archive.clips import is_hidden
from stages.corpora.decoding.edf import read_header
from stages.corpora.decoding.recordings import MAX_BYTES, SUFFIXES, Recording, open_recording

CODES = CLASSES
PARTS: dict[str, str] = {}
GROUP = "subject"
EXPECTED = None

TABLE = "trials.csv"
COLUMNS = ("file", "subject", "session", "trial", "label", "onset_s", "duration_s")
LAYOUT = f"recordings ({', '.join(SUFFIXES)}) and a {TABLE} with {','.join(COLUMNS)}"
ROUNDING_S = 0.001  # by which rows may overlap, or outlast the recording: tables hold rounded seconds
# Recordings kept open, so that threads, each at another trial, read every recording once (many more threads might read
# one twice). They take room in the folder for temporary files, and hardly any memory.
OPEN_RECORDINGS = 8

_LOCK = Lock()  # MNE reads by seeking, and two threads are not to open the same recording
_STRETCH = struct.Struct("<IQdd")  # CRC-32 and size of the recording, onset and duration of the trial


@dataclass(frozen=True)
class Trial:
    """A row of the table. `where` it stands, `member`: the recording."""

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
    """Every trial, undecoded, ordered by recording and onset, so that each recording is opened once."""
    trials = sorted(_trials(archive), key=lambda trial: (trial.member, trial.onset_s))
    _refuse_twice(trials)
    contents = {trial.member: members.fingerprint(archive, trial.member) for trial in trials}
    for one, other in pairwise(sorted(trials, key=lambda trial: (contents[trial.member], trial.onset_s))):
        if contents[one.member] == contents[other.member]:
            _refuse_shared(one, other)
    _refuse_beyond(archive, trials)
    return iter([_record(archive, trial) for trial in trials])


def missing(found: dict[str | None, int]) -> str:
    """Nothing: how many trials someone's own corpus has, nobody knows."""
    return ""


def decode_trial(stretch: bytes, archive: Path, trial: Trial) -> Signal:
    """(samples,) of one float64 field a channel, in µV, and the rate in Hz. Raises `DamagedSample`.

    `stretch` tells this trial from all others; `trial` finds it. Raises `UserError` for one that lies beyond the end.
    """
    with _LOCK:
        recording = _opened(archive, trial.member, archive.stat().st_mtime_ns)
        _require_within(trial, recording.duration_s)
        return recording.stretch(trial.onset_s, trial.duration_s)


def _record(archive: Path, trial: Trial) -> Record:
    crc, size_bytes = members.fingerprint(archive, trial.member)
    return Record(
        trial.sample_id,
        trial.label,
        partial(bytes, _STRETCH.pack(crc, size_bytes, trial.onset_s, trial.duration_s)),
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
    below = {name: str(PurePosixPath(name).relative_to(folder)) for name in recordings if _is_below(name, folder)}
    paths = {name: name for name in recordings} | {path: name for name, path in below.items()}
    for where, row in tables.rows(archive, table, COLUMNS, ",".join(COLUMNS)):
        yield _trial(where, row, tables.named(where, row["file"], paths, "recording"))


def _is_below(name: str, folder: PurePosixPath) -> bool:
    return PurePosixPath(name).is_relative_to(folder)


def _trial(where: str, row: dict[str, str], member: str) -> Trial:
    label = canonical_class(row["label"])
    if label is None:
        raise UserError(unknown_name(where, row["label"], CLASSES, "unknown label"))
    for column in ("subject", "session"):
        if not row[column]:
            refuse(f"no {column}", where=where, allowed="a name", received=row[column])
    if not row["trial"].isdecimal() or len(row["trial"]) > 9:
        refuse("not a trial's number", where=where, allowed="a whole number, 0 to 999999999", received=row["trial"])
    onset_s, duration_s = (_seconds(where, column, row[column]) for column in ("onset_s", "duration_s"))
    if not duration_s:
        refuse("a trial of no duration", where=where, allowed="more than 0 s", received=row["duration_s"])
    return Trial(where, member, row["subject"], row["session"], int(row["trial"]), label, onset_s, duration_s)


def _seconds(where: str, column: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 <= found < math.inf:
        refuse(f"{column} is no time", where=where, allowed="seconds, 0 or more", received=text)
    return found


def _refuse_twice(trials: list[Trial]) -> None:
    found: dict[str, Trial] = {}
    for trial in trials:
        if trial.sample_id in found:
            allowed = f"each trial once, but it stands in line {_line(found[trial.sample_id])} too"
            refuse("a trial with two rows", where=trial.where, allowed=allowed, received=trial.sample_id)
        found[trial.sample_id] = trial


def _refuse_shared(one: Trial, other: Trial) -> None:
    """Two rows of one recording, or of its copies: what both hold would be learnt from and judged on."""
    recording = one.member if one.member == other.member else f"{one.member} and its copy {other.member}"
    if one.subject != other.subject:
        allowed = f"{one.subject}, as in line {_line(one)}"
        refuse(f"two subjects of {recording}", where=other.where, allowed=allowed, received=other.subject)
    if other.onset_s < one.end_s - ROUNDING_S:
        allowed = f"an onset of {one.end_s:g} s or later, where the trial of line {_line(one)} ends"
        refuse(f"overlapping trials of {recording}", where=other.where, allowed=allowed, received=other.onset_s)


def _line(trial: Trial) -> str:
    return trial.where.rpartition(" ")[2]


def _refuse_beyond(archive: Path, trials: list[Trial]) -> None:
    """Of EDF and BDF now, by their headers; of others, which have to be opened, when they are decoded."""
    lengths: dict[str, float] = {}
    for trial in trials:
        if trial.member not in lengths:
            lengths[trial.member] = _told_s(archive, trial.member)
        _require_within(trial, lengths[trial.member])


def _told_s(archive: Path, member: str) -> float:
    """What the header tells in seconds; infinity where it does not, or is damaged, which `prepare` counts and names."""
    if not member.lower().endswith((".edf", ".bdf")):
        return math.inf
    with members.open_member(archive, member, MAX_BYTES) as stream:
        try:
            return read_header(stream, members.fingerprint(archive, member)[1]).duration_s
        except DamagedSample:
            return math.inf


def _require_within(trial: Trial, length_s: float) -> None:
    if trial.end_s > length_s + ROUNDING_S:
        allowed = f"an end up to {length_s:g} s, the length of {trial.member}"
        refuse("a trial beyond its recording", where=trial.where, allowed=allowed, received=f"{trial.end_s:g} s")
