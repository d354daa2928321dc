"""SEED-V (Liu et al. 2021, IEEE TCDS 14(2)): EEG of 16 subjects who watched 45 film clips in five emotions.

    EEG_DE_features/7_123.npz   all three sessions of subject 7: `data` and `label`, each a pickled dict of 45 trials

Trial i is trial i % 15 of session i // 15: (windows, 62 channels × 5 bands) of differential entropy, and a label for
each window. Windows last 4 s. Eye_movement_features/7_123.npz, which lie beside them, are left out.
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
from stages.corpora.archive.clips import EXAMPLES, audio_names, is_hidden, refuse_layout
from stages.corpora.archive.damage import place
from stages.corpora.decoding.npz import stored_bytes
from stages.corpora.decoding.pickles import load_arrays

CODES = ("disgust", "fear", "sad", "neutral", "happy")
PARTS: dict[str, str] = {}
GROUP = "subject"
SESSIONS, TRIALS = 3, 15
EXPECTED = 16 * SESSIONS * TRIALS
EXPECTED_WINDOWS = (681, 541, 601)  # of one subject's sessions
# Codes of a session's trials, for every subject. Sessions 2 and 3 share theirs: there, position tells the emotion.
ORDERS = (
    (4, 1, 3, 2, 0, 4, 1, 3, 2, 0, 4, 1, 3, 2, 0),
    (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
    (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
)
CHANNELS, BANDS = 62, 5
RATE_HZ = 0.25  # windows
MAX_WINDOWS = 2_000  # over two hours
MAX_ENTROPY = 1e4  # nats; signals of any unit stay far below

_NAME = re.compile(r"0*(\d{1,4})_123\.npz", re.IGNORECASE | re.ASCII)
_FOLDER, _EYES = "eeg_de_features", "eye_movement_features"


def read(archive: Path) -> Iterator[Record]:
    """Every trial, ordered by subject, session and trial; '07_s2_t11' is the twelfth of the second session.

    Labels alone are unpickled. Raises `UserError` for files that do not fit, and for labels in another order than the
    released one: what was mixed up there would be trained on in silence.
    """
    subjects = dict(sorted(_subjects(archive).items()))
    counts = {subject: _window_counts(archive, member) for subject, member in subjects.items()}
    _warn_of_windows(archive, counts)
    return iter(
        [
            _record(archive, member, subject, number, n_labels)
            for subject, member in subjects.items()
            for number, n_labels in enumerate(counts[subject])
        ]
    )


def synthesise(folder: Path, *, size: int, seed: int) -> None:
    """Draw `size` subjects into `folder`/EEG_DE_features, trials as many and in the order of the released ones."""
    from stages.corpora.drawing.brain_corpus import Experiment, write_corpus  # reading must not depend on drawing

    write_corpus(folder / "EEG_DE_features", Experiment(CODES, ORDERS, EXPECTED_WINDOWS), size=size, seed=seed)


def missing(found: dict[str | None, int]) -> str:
    """How `found` (trials per part, of which there are none) differs from the whole corpus; '' if it does not."""
    count = sum(found.values())
    if count > EXPECTED:
        return f"more than the whole of SEED-V ({count:,} trials, not {EXPECTED})"
    return f"not the whole of SEED-V ({count} of {EXPECTED} trials)" if count < EXPECTED else ""


def decode_trial(data: bytes, n_labels: int) -> Signal:
    """One trial's .npy → (windows, 310) float64 in nats, and the rate of windows in Hz. Raises `DamagedSample`."""
    values = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    if values.ndim != 2 or values.shape[1] != CHANNELS * BANDS:
        raise DamagedSample(f"shape {values.shape}; allowed: (windows, {CHANNELS * BANDS})")
    if not 1 <= len(values) <= MAX_WINDOWS:
        raise DamagedSample(f"{len(values)} windows; allowed: 1 to {MAX_WINDOWS}")
    if len(values) != n_labels:
        raise DamagedSample(f"{len(values)} windows, but labels of {n_labels}")
    highest = float(np.abs(values).max())  # NaN if one of them is
    if not np.isfinite(highest):
        raise DamagedSample("values that are no numbers (NaN or infinite)")
    if highest > MAX_ENTROPY:
        raise DamagedSample(f"a value of {highest:.0e}; allowed: up to {MAX_ENTROPY:.0e}")
    if values.min() == values.max():
        raise DamagedSample(f"all values are {values.flat[0]:g}")
    return values, RATE_HZ


def _subjects(archive: Path) -> dict[int, str]:
    """The member of each subject. Of exact copies in several folders the first is taken."""
    files = _feature_files(archive)
    matches = {name: _NAME.fullmatch(PurePosixPath(name).name) for name in files}
    if not any(matches.values()):
        refuse_layout(archive, "seed_v", audio_names(archive) or files)
    found: dict[int, str] = {}
    for name, match in matches.items():
        if not match:
            refuse("not a subject's file", where=place(archive, name), allowed=EXAMPLES["seed_v"], received=name)
        first = found.setdefault(int(match[1]), name)
        if members.fingerprint(archive, first) != members.fingerprint(archive, name):
            allowed, received = "one file of each subject, or copies", f"{first}, {name}"
            refuse(f"subject {int(match[1])} twice", where=str(archive), allowed=allowed, received=received)
    return found


def _feature_files(archive: Path) -> list[str]:
    """All npz but those of eye movements; those of EEG_DE_features alone if there is such a folder."""
    files = [name for name in members.names(archive) if name.lower().endswith(".npz") and not is_hidden(name)]
    files = [name for name in files if _EYES not in name.lower().split("/")[:-1]]
    return [name for name in files if _FOLDER in name.lower().split("/")[:-1]] or files


def _record(archive: Path, member: str, subject: int, number: int, n_labels: int) -> Record:
    session, trial = divmod(number, TRIALS)
    return Record(
        f"{subject:02d}_{_name(number)}",
        CODES[ORDERS[session][trial]],
        partial(trial_bytes, archive, member, number),
        partial(decode_trial, n_labels=n_labels),
        group=f"{subject:02d}",
        trial=trial,
        extra={"session": str(session + 1)},
    )


def _name(number: int) -> str:
    return f"s{number // TRIALS + 1}_t{number % TRIALS:02d}"


def _window_counts(archive: Path, member: str) -> list[int]:
    """How many labels each of a subject's 45 trials has, once they are found to be the released ones."""
    npz = members.read(archive, member)
    stored_bytes(npz, "data", archive, member)  # not unpickled before a trial is, but there, and whole
    labels = _trials(npz, "label", archive, member)
    codes = [_code(labels[number], f"{place(archive, member)}: {_name(number)}") for number in sorted(labels)]
    for session, order in enumerate(ORDERS):
        found = codes[session * TRIALS : (session + 1) * TRIALS]
        if any(code not in (None, released) for code, released in zip(found, order, strict=True)):
            where, allowed = f"{place(archive, member)}: session {session + 1}", " ".join(map(str, order))
            received = " ".join("-" if code is None else str(code) for code in found)
            refuse("not the released order of labels", where=where, allowed=allowed, received=received)
    return [labels[number].size for number in sorted(labels)]


def _code(labels: np.ndarray, where: str) -> int | None:
    """The code that all windows of a trial have; None of a trial without windows, which is damaged but not unknown."""
    found = np.unique(labels).tolist()
    for code in found:
        if code not in range(len(CODES)):
            refuse("unknown emotion code", where=where, allowed=f"0 to {len(CODES) - 1}", received=code)
    if len(found) > 1:
        refuse("labels differ within a trial", where=where, allowed="one label in all windows", received=found)
    return int(found[0]) if found else None


def _warn_of_windows(archive: Path, counts: dict[int, list[int]]) -> None:
    """The labels may be right and the features computed anew, over windows that do not last 4 s."""
    sums = {
        subject: tuple(sum(windows[start : start + TRIALS]) for start in range(0, len(windows), TRIALS))
        for subject, windows in counts.items()
    }
    odd = [f"subject {subject} has {found}" for subject, found in sums.items() if found != EXPECTED_WINDOWS]
    if odd:
        released = f"released: {EXPECTED_WINDOWS} in the three sessions"
        more = f", and {len(odd) - 1} more subjects" if len(odd) > 1 else ""
        warn(f"{archive}: another number of windows than SEED-V's ({released}): {odd[0]}{more}; used as it is")


def trial_bytes(archive: Path, member: str, number: int) -> bytes:
    """One trial as a .npy file of float64. Raises `UserError` if the subject's file is damaged."""
    status = archive.stat()
    values = _subject_trials(archive, status.st_mtime_ns, status.st_size, member)[number]
    if values.size <= MAX_WINDOWS * CHANNELS * BANDS:  # what is larger is named as damaged, whatever its type
        values = values.astype("<f8", order="C")
    stream = io.BytesIO()
    np.lib.format.write_array(stream, values, version=(1, 0), allow_pickle=False)
    return stream.getvalue()


@lru_cache(maxsize=2)
def _subject_trials(archive: Path, _modified_ns: int, _size_bytes: int, member: str) -> dict[int, np.ndarray]:
    """Kept while a subject's trials are read one by one; 5 MB each in the released corpus."""
    return _trials(members.read(archive, member), "data", archive, member)


def _trials(npz: bytes, key: str, archive: Path, member: str) -> dict[int, np.ndarray]:
    """The 45 arrays of `data` or `label`, by trial."""
    where = place(archive, f"{member}/{key}.npy")
    arrays = load_arrays(stored_bytes(npz, key, archive, member), where)
    if arrays.keys() != set(range(SESSIONS * TRIALS)):
        allowed, received = f"trials 0 to {SESSIONS * TRIALS - 1}", f"{len(arrays)} trials"
        refuse("not the trials of three sessions", where=where, allowed=allowed, received=received)
    return arrays
