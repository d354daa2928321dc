"""Makes trials for EEGMAT (Zyma et al. 2019, Data 4(1): 14), whose recordings have none: rest and mental arithmetic.

    python -m tools.eegmat_trials eegmat.zip /data/eegmat_trials.zip --seed 7

A recording of rest lasts three minutes and one of arithmetic one minute, so that length alone would give the class
away. Therefore each subject's two recordings get the same number of trials with the same random lengths, numbered in
random order. The output holds the unchanged recordings and `trials.csv`, for reader `eeg_folder`.
"""

import argparse
import io
import re
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from stages.core.command import HelpFormatter
from stages.core.errors import exit_with_one_line, refuse
from stages.core.files import require_free_space, written_whole
from stages.core.records import DamagedSample
from stages.core.seeding import generator
from stages.corpora.archive import members
from stages.corpora.decoding.edf import read_header
from stages.corpora.eeg_folder import COLUMNS, TABLE

LABELS = {"1": "rest", "2": "arithmetic"}  # Subject00_1.edf, Subject00_2.edf
MIN_TRIAL_S, MAX_TRIAL_S = 5.0, 20.0
MAX_RECORDING_BYTES = 64 << 20
FIXED_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest date of a zip
_NAME = re.compile(r"(Subject\d+)_([12])\.edf", re.IGNORECASE | re.ASCII)

Row = tuple[str, str, int, int, str, float, float]  # COLUMNS of the table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("source", type=Path, help="a zip of SubjectNN_1.edf (rest) and SubjectNN_2.edf (arithmetic)")
    parser.add_argument("target", type=Path, help="the zip to write")
    parser.add_argument("--seed", type=int, default=7, help="of the random trials")
    args = parser.parse_args()
    if args.target.resolve() == args.source.resolve():
        refuse("would overwrite its source", where=str(args.target), allowed="another path", received=str(args.target))
    recordings = recordings_by_subject(args.source)
    rows = [row for subject in recordings for row in trials(args.source, subject, recordings[subject], args.seed)]
    write(args.source, args.target, [name for of_one in recordings.values() for name in of_one.values()], rows)
    seconds = sum(row[-1] for row in rows)
    print(f"{args.target}: {len(rows)} trials of {len(recordings)} subjects, {seconds / len(rows):.1f} s on average")


def recordings_by_subject(source: Path) -> dict[str, dict[str, str]]:
    """Return {subject: {label: member}}. Raises `UserError` unless every subject has both recordings."""
    subjects: dict[str, dict[str, str]] = {}
    for name in members.names(source):
        if match := _NAME.fullmatch(PurePosixPath(name).name):
            subjects.setdefault(match[1].capitalize(), {})[LABELS[match[2]]] = name
    if not subjects:
        refuse("not EEGMAT", where=str(source), allowed="SubjectNN_1.edf, SubjectNN_2.edf", received="neither")
    for subject, recordings in subjects.items():
        if len(recordings) < len(LABELS):
            allowed, (received,) = f"{subject}_1.edf and {subject}_2.edf", recordings.values()
            refuse("a recording is missing", where=str(source), allowed=allowed, received=received)
    return subjects


def trials(source: Path, subject: str, recordings: dict[str, str], seed: int) -> list[Row]:
    """Return the rows of one subject. They depend on its name and the seed only, not on the other subjects."""
    rng = generator(seed, f"eegmat/{subject}")
    lengths_s = {label: length_s(source, name) for label, name in recordings.items()}
    durations_s = random_durations(rng, min(lengths_s.values()))
    numbers = iter(rng.permutation(len(LABELS) * len(durations_s)) + 1)
    rows = []
    for label, name in recordings.items():
        own_s = rng.permutation(durations_s)
        for onset_s, duration_s in zip(random_onsets(rng, own_s, lengths_s[label]), own_s, strict=True):
            number = int(next(numbers))
            rows.append((PurePosixPath(name).name, subject, 1, number, label, float(onset_s), float(duration_s)))
    return rows


def length_s(source: Path, name: str) -> float:
    """Return the length of a recording by its header. Raises `UserError` where it is damaged or too short."""
    where, data = f"{source}: {name}", members.read(source, name, MAX_RECORDING_BYTES)
    try:
        seconds = read_header(io.BytesIO(data), len(data)).duration_s
    except DamagedSample as damage:
        refuse(str(damage), where=where, allowed="a whole EDF recording", received=f"{len(data)} bytes")
    if seconds < MAX_TRIAL_S:
        refuse("too short for a trial", where=where, allowed=f"{MAX_TRIAL_S:g} s or more", received=f"{seconds:g} s")
    return seconds


def random_durations(rng: np.random.Generator, length_s: float) -> np.ndarray:
    """Return durations in hundredths of a second, as many as fit into `length_s` until the next one does not."""
    durations: list[float] = []
    while (next_s := round(rng.uniform(MIN_TRIAL_S, MAX_TRIAL_S), 2)) + sum(durations) <= length_s:
        durations.append(next_s)
    return np.array(durations)


def random_onsets(rng: np.random.Generator, durations_s: np.ndarray, length_s: float) -> np.ndarray:
    """Return onsets of trials in this order, without overlap; the time left over is divided at random."""
    gaps = np.floor(100 * np.sort(rng.uniform(0, length_s - durations_s.sum(), len(durations_s)))) / 100
    return np.round(gaps + np.concatenate([[0], np.cumsum(durations_s)[:-1]]), 2)


def write(source: Path, target: Path, names: list[str], rows: list[Row]) -> None:
    """Write the recordings and the table of trials, uncompressed, so that every machine writes the same bytes."""
    require_free_space(target.parent, source.stat().st_size)
    table = pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, float_format="%.2f", lineterminator="\n")
    with written_whole(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in names:
            content = members.read(source, name, MAX_RECORDING_BYTES)
            archive.writestr(zipfile.ZipInfo(PurePosixPath(name).name, FIXED_DATE), content)
        archive.writestr(zipfile.ZipInfo(TABLE, FIXED_DATE), table)


if __name__ == "__main__":
    exit_with_one_line(main)
