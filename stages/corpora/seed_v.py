"""SEED-V (Liu et al. 2021, IEEE TCDS 14(2)): EEG of 16 subjects who watched 45 film clips in five emotions.

    EEG_DE_features/7_123.npz   all three sessions of subject 7: `data` and `label`, each a pickled dict of 45 trials

Trial i is trial i % 15 of session i // 15: (windows, 62 channels × 5 bands) of differential entropy, with one label per
window. A window lasts 4 s. The files of eye movements (Eye_movement_features/7_123.npz) are left out.
"""

import io
import re
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath

import numpy as np

from stages.core.errors import refuse, warn
from stages.core.records import DamagedSample, Record, Signal
from stages.corpora.archive import members
from stages.corpora.archive.clips import EXAMPLES, audio_names, count_mismatch, is_hidden, refuse_layout
from stages.corpora.archive.damage import location
from stages.corpora.decoding.npz import stored_bytes
from stages.corpora.decoding.pickles import load_arrays

CODES = ("disgust", "fear", "sad", "neutral", "happy")
PARTS: dict[str, str] = {}
GROUP = "subject"
SESSIONS, TRIALS = 3, 15
EXPECTED_WINDOWS = (681, 541, 601)  # number of windows in each session of a subject
# Codes of the trials of each session, the same for every subject. Sessions 2 and 3 have the same order, so that the
# position of a trial reveals its emotion.
ORDERS = (
    (4, 1, 3, 2, 0, 4, 1, 3, 2, 0, 4, 1, 3, 2, 0),
    (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
    (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
)
CHANNELS, BANDS = 62, 5
RATE_HZ = 0.25  # windows per second
MAX_WINDOWS = 2_000  # longest trial: more than two hours
MAX_ENTROPY = 1e4  # nats; signals in any unit stay far below

_FILE_NAME = re.compile(r"0*(\d{1,4})_123\.npz", re.IGNORECASE | re.ASCII)

missing = partial(count_mismatch, corpus="SEED-V", expected=16 * SESSIONS * TRIALS, unit="trials")


def read(archive: Path) -> Iterator[Record]:
    """Return an iterator over all trials, undecoded, sorted by subject, session and trial ('07_s2_t11' is the twelfth).

    Only labels are unpickled. Raises `UserError` for files that do not fit, and for labels in another order than the
    released one, because data and labels that were mixed up would be trained on unnoticed.
    """
    subjects = dict(sorted(_subjects(archive).items()))
    counts = {subject: _window_counts(archive, member) for subject, member in subjects.items()}
    _warn_about_windows(archive, counts)
    trials = [(subject, number) for subject in subjects for number in range(SESSIONS * TRIALS)]
    return iter([_record(archive, subjects[s], s, number, counts[s][number]) for s, number in trials])


def synthesise(folder: Path, *, size: int, seed: int) -> None:
    """Write `size` synthetic subjects to `folder`/EEG_DE_features, with the released number and order of trials."""
    from stages.synthetic.eeg.corpus import write_corpus  # imported here: reading must not depend on it

    write_corpus(folder / "EEG_DE_features", CODES, ORDERS, EXPECTED_WINDOWS, size=size, seed=seed)


def decode_trial(data: bytes, n_labels: int) -> Signal:
    """Decode one trial's .npy to (windows, 310) float64 in nats, at the rate of windows. Raises `DamagedSample`."""
    values = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if values.ndim != 2 or values.shape[1] != CHANNELS * BANDS:
        raise DamagedSample(f"shape {values.shape}; allowed: (windows, {CHANNELS * BANDS})")
    if not 1 <= len(values) <= MAX_WINDOWS:
        raise DamagedSample(f"{len(values)} windows; allowed: 1 to {MAX_WINDOWS}")
    if len(values) != n_labels:
        raise DamagedSample(f"{len(values)} windows, but {n_labels} labels")
    highest = float(np.abs(values).max())  # NaN if any value is NaN
    if not np.isfinite(highest):
        raise DamagedSample("values that are NaN or infinite")
    if highest > MAX_ENTROPY:
        raise DamagedSample(f"a value of {highest:.0e}; allowed: up to {MAX_ENTROPY:.0e}")
    if values.min() == values.max():
        raise DamagedSample(f"all values are {values.flat[0]:g}")
    return values, RATE_HZ


def trial_bytes(archive: Path, member: str, number: int) -> bytes:
    """Return one trial as the bytes of a .npy file of float64. Raises `UserError` if the subject's file is damaged."""
    status = archive.stat()
    values = _subject_trials(archive, status.st_mtime_ns, status.st_size, member)[number]
    if values.size <= MAX_WINDOWS * CHANNELS * BANDS:  # larger trials are damaged samples, whatever their type
        values = values.astype("<f8", order="C")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _subjects(archive: Path) -> dict[int, str]:
    """Return {subject: member}, the first member of several exact copies."""
    files = [name for name in members.names(archive) if name.lower().endswith(".npz") and not is_hidden(name)]
    files = [name for name in files if "eye_movement_features" not in name.lower().split("/")[:-1]]
    files = [name for name in files if "eeg_de_features" in name.lower().split("/")[:-1]] or files
    matches = {name: _FILE_NAME.fullmatch(PurePosixPath(name).name) for name in files}
    if not any(matches.values()):
        refuse_layout(archive, "seed_v", audio_names(archive) or files)
    subjects: dict[int, str] = {}
    for name, match in matches.items():
        if not match:
            refuse("not a subject's file", where=location(archive, name), allowed=EXAMPLES["seed_v"], received=name)
        first = subjects.setdefault(int(match[1]), name)
        if members.fingerprint(archive, first) != members.fingerprint(archive, name):
            what, allowed = f"two files of subject {int(match[1])}", "one file per subject, or exact copies"
            refuse(what, where=str(archive), allowed=allowed, received=f"{first}, {name}")
    return subjects


def _record(archive: Path, member: str, subject: int, number: int, n_labels: int) -> Record:
    session, trial = divmod(number, TRIALS)
    return Record(
        f"{subject:02d}_{_trial_id(number)}",
        CODES[ORDERS[session][trial]],
        partial(trial_bytes, archive, member, number),
        partial(decode_trial, n_labels=n_labels),
        group=f"{subject:02d}",
        trial=trial,
        extra={"session": str(session + 1)},
    )


def _trial_id(number: int) -> str:
    return f"s{number // TRIALS + 1}_t{number % TRIALS:02d}"


def _window_counts(archive: Path, member: str) -> list[int]:
    """Return the number of labels of each of a subject's 45 trials. Raises `UserError` unless they are as released."""
    npz = members.read(archive, member)
    stored_bytes(npz, "data", archive, member)  # checks the data without unpickling them
    labels = _trials(npz, "label", archive, member)
    codes = [_code(labels[number], f"{location(archive, member)}: {_trial_id(number)}") for number in sorted(labels)]
    for session, order in enumerate(ORDERS):
        found = codes[session * TRIALS : (session + 1) * TRIALS]
        if any(code not in (None, released) for code, released in zip(found, order, strict=True)):
            where, allowed = f"{location(archive, member)}: session {session + 1}", " ".join(map(str, order))
            received = " ".join("-" if code is None else str(code) for code in found)
            refuse("not the released order of labels", where=where, allowed=allowed, received=received)
    return [labels[number].size for number in sorted(labels)]


def _code(labels: np.ndarray, where: str) -> int | None:
    """Return the code of all windows of a trial; None for a trial without windows, which is a damaged sample."""
    codes = np.unique(labels).tolist()
    for code in codes:
        if code not in range(len(CODES)):
            refuse("unknown emotion code", where=where, allowed=f"0 to {len(CODES) - 1}", received=code)
    if len(codes) > 1:
        refuse("labels differ within a trial", where=where, allowed="one label in all windows", received=codes)
    return int(codes[0]) if codes else None


def _warn_about_windows(archive: Path, counts: dict[int, list[int]]) -> None:
    """Warn if the numbers of windows are not the released ones: the features may come from windows of other lengths."""
    sums = {subject: tuple(np.reshape(n, (SESSIONS, TRIALS)).sum(axis=1).tolist()) for subject, n in counts.items()}
    different = [f"subject {subject} has {found}" for subject, found in sums.items() if found != EXPECTED_WINDOWS]
    if different:
        released = f"released: {EXPECTED_WINDOWS} in the three sessions"
        more = f", and {len(different) - 1} more subjects" if len(different) > 1 else ""
        warn(f"{archive}: another number of windows than SEED-V ({released}): {different[0]}{more}; used as it is")


@lru_cache(maxsize=2)
def _subject_trials(archive: Path, _modified_ns: int, _size_bytes: int, member: str) -> dict[int, np.ndarray]:
    """Return a subject's trials, cached while they are read one by one; the released ones take 5 MB per subject."""
    return _trials(members.read(archive, member), "data", archive, member)


def _trials(npz: bytes, key: str, archive: Path, member: str) -> dict[int, np.ndarray]:
    """Return {trial: array} of `data` or `label`. Raises `UserError` unless there are 45."""
    where = location(archive, f"{member}/{key}.npy")
    arrays = load_arrays(stored_bytes(npz, key, archive, member), where)
    if arrays.keys() != set(range(SESSIONS * TRIALS)):
        allowed, received = f"trials 0 to {SESSIONS * TRIALS - 1}", f"{len(arrays)} trials"
        refuse("not the trials of three sessions", where=where, allowed=allowed, received=received)
    return arrays
