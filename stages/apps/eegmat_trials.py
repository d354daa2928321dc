"""Trials for EEGMAT (Zyma et al. 2019, Data 4(1): 14), whose recordings have none: rest against mental arithmetic.

    python -m stages.apps.eegmat_trials eegmat.zip /data/eegmat_trials.zip --seed 7

A rest recording lasts three minutes, one of arithmetic one: its length alone would give the class away. So trials of
drawn length are laid into both, for each subject as many and as long in one class as in the other, and numbered in an
order that says nothing. What is written holds the recordings untouched and `trials.csv`, for reader `eeg_folder`.
"""

import argparse
import csv
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from stages.core.errors import exit_with_one_line, refuse
from stages.core.files import require_free_space, written_whole
from stages.core.records import DamagedSample
from stages.core.seeding import generator
from stages.corpora.archive import members
from stages.corpora.decoding.edf import read_header
from stages.corpora.eeg_folder import COLUMNS, TABLE

LABELS = {"1": "rest", "2": "arithmetic"}  # Subject00_1.edf, Subject00_2.edf
SHORTEST_S, LONGEST_S = 5.0, 20.0
MAX_RECORDING_BYTES = 64 << 20

_NAME = re.compile(r"(Subject\d+)_([12])\.edf", re.IGNORECASE | re.ASCII)

Row = tuple[str, str, int, int, str, float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="a zip of SubjectNN_1.edf (rest) and SubjectNN_2.edf (arithmetic)")
    parser.add_argument("target", type=Path, help="the zip to write")
    parser.add_argument("--seed", type=int, default=7, help="of the draw")
    args = parser.parse_args()
    if args.target.resolve() == args.source.resolve():
        refuse("would overwrite its source", where=str(args.target), allowed="another path", received=str(args.target))
    recordings = subjects(args.source)
    rows = [row for subject in recordings for row in draw(args.source, subject, recordings[subject], args.seed)]
    write(args.source, args.target, [name for found in recordings.values() for name in found.values()], rows)
    seconds = sum(row[-1] for row in rows)
    print(f"{args.target}: {len(rows)} trials of {len(recordings)} subjects, {seconds / len(rows):.1f} s on average")


def subjects(source: Path) -> dict[str, dict[str, str]]:
    """{subject: {label: member}}, both recordings of every subject. Raises `UserError`."""
    found: dict[str, dict[str, str]] = {}
    for name in members.names(source):
        if match := _NAME.fullmatch(PurePosixPath(name).name):
            found.setdefault(match[1].capitalize(), {})[LABELS[match[2]]] = name
    if not found:
        refuse("holds no EEGMAT", where=str(source), allowed="SubjectNN_1.edf, SubjectNN_2.edf", received="neither")
    for subject, recordings in found.items():
        if len(recordings) < len(LABELS):
            allowed, (received,) = f"{subject}_1.edf and {subject}_2.edf", recordings.values()
            refuse("a recording is missing", where=str(source), allowed=allowed, received=received)
    return found


def draw(source: Path, subject: str, recordings: dict[str, str], seed: int) -> list[Row]:
    """Rows of one subject; the stream is the subject's own, so that no other one moves its trials."""
    rng = generator(seed, f"eegmat/{subject}")
    lengths_s = {label: length_s(source, name) for label, name in recordings.items()}
    drawn_s = durations(rng, min(lengths_s.values()))
    numbers = iter(rng.permutation(len(LABELS) * len(drawn_s)) + 1)
    rows = []
    for label, name in recordings.items():
        own_s = rng.permutation(drawn_s)
        for onset_s, duration_s in zip(onsets(rng, own_s, lengths_s[label]), own_s, strict=True):
            number = int(next(numbers))
            rows.append((PurePosixPath(name).name, subject, 1, number, label, float(onset_s), float(duration_s)))
    return rows


def length_s(source: Path, name: str) -> float:
    """Of a recording, as its header tells."""
    where, data = f"{source}: {name}", members.read(source, name, MAX_RECORDING_BYTES)
    try:
        found_s = read_header(io.BytesIO(data), len(data)).duration_s
    except DamagedSample as damage:
        refuse(str(damage), where=where, allowed="a whole EDF recording", received=f"{len(data)} bytes")
    if found_s < LONGEST_S:
        refuse("too short for a trial", where=where, allowed=f"{LONGEST_S:g} s or more", received=f"{found_s:g} s")
    return found_s


def durations(rng: np.random.Generator, length_s: float) -> np.ndarray:
    """Seconds, in hundredths, drawn until the next would not fit into `length_s` any more."""
    found: list[float] = []
    while (next_s := round(rng.uniform(SHORTEST_S, LONGEST_S), 2)) + sum(found) <= length_s:
        found.append(next_s)
    return np.array(found)


def onsets(rng: np.random.Generator, durations_s: np.ndarray, length_s: float) -> np.ndarray:
    """Where trials of these lengths begin, in this order and without overlap: what is left over is dealt at random."""
    free = np.floor(100 * np.sort(rng.uniform(0, length_s - durations_s.sum(), len(durations_s)))) / 100
    return np.round(free + np.concatenate([[0], np.cumsum(durations_s)[:-1]]), 2)


def write(source: Path, target: Path, names: list[str], rows: list[Row]) -> None:
    """The recordings, by their file names, and the table of trials; stored, so the same bytes on any machine."""
    require_free_space(target.parent, source.stat().st_size)
    with written_whole(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in contents(source, names, rows):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


def contents(source: Path, names: list[str], rows: list[Row]) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every member."""
    for name in names:
        yield PurePosixPath(name).name, members.read(source, name, MAX_RECORDING_BYTES)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*row[:-2], f"{row[-2]:.2f}", f"{row[-1]:.2f}") for row in rows)
    yield TABLE, table.getvalue().encode()


if __name__ == "__main__":
    exit_with_one_line(main)
