"""Trials drawn into both recordings of each subject: neither length nor number nor count tells the class."""

import csv
import io
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from recording_forms import edf, waves_uv

from stages.apps import eegmat_trials
from stages.core.errors import UserError
from stages.corpora import eeg_folder

REST = edf(waves_uv(182))
TASK = edf(waves_uv(62))


def named(recording: bytes, patient: str) -> bytes:
    """With another patient in its header: copies of one recording are not two subjects."""
    return recording[:8] + patient.ljust(80).encode() + recording[88:]


def corpus(tmp_path: Path, subjects: int = 3, folder: str = "", **other: bytes) -> Path:
    path = tmp_path / "eegmat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}subject-info.csv", "Subject,Age\n")
        for number in range(subjects):
            for part, recording in ((1, REST), (2, TASK)):
                archive.writestr(f"{folder}Subject{number:02d}_{part}.edf", named(recording, f"Subject{number:02d}"))
        for name, content in other.items():
            archive.writestr(f"{name}.edf", content)
    return path


def call(source: Path, target: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The rows that are written."""
    monkeypatch.setattr(sys, "argv", ["eegmat_trials", str(source), str(target), "--seed", str(seed)])
    eegmat_trials.main()
    with zipfile.ZipFile(target) as archive:
        return list(csv.DictReader(io.StringIO(archive.read("trials.csv").decode())))


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    return call(corpus(tmp_path, 8), tmp_path / "out" / "trials.zip", 7, monkeypatch)


def test_the_classes_have_the_same_lengths_and_counts(rows: list[dict[str, str]]):
    lengths = defaultdict(lambda: {"rest": [], "arithmetic": []})
    for row in rows:
        lengths[row["subject"]][row["label"]].append(float(row["duration_s"]))
    assert len(lengths) == 8
    for found in lengths.values():
        assert sorted(found["rest"]) == sorted(found["arithmetic"])
        assert all(5 <= length <= 20 for length in found["rest"])
        assert 62 - 20 <= sum(found["rest"]) <= 62
    assert len({length for found in lengths.values() for length in found["rest"]}) > 20


def test_numbers_and_order_do_not_tell_the_class(rows: list[dict[str, str]]):
    for subject in {row["subject"] for row in rows}:
        own = [row for row in rows if row["subject"] == subject]
        assert sorted(int(row["trial"]) for row in own) == list(range(1, len(own) + 1))
    numbers = {label: [int(r["trial"]) for r in rows if r["label"] == label] for label in ("rest", "arithmetic")}
    assert abs(np.mean(numbers["rest"]) - np.mean(numbers["arithmetic"])) < 1.5


def test_the_reader_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It refuses overlaps and trials beyond their recordings, in which the draw might err, once in a while."""
    source, target = corpus(tmp_path, 2, folder="eegmat/"), tmp_path / "trials.zip"
    for seed in range(30):
        written = call(source, target, seed, monkeypatch)
        found = list(eeg_folder.read(target))
        assert len(found) == len(written)
    assert {record.group for record in found} == {"Subject00", "Subject01"}
    signal, rate_hz = found[0].load()
    assert len(signal) / rate_hz == pytest.approx(next(float(r["duration_s"]) for r in written), abs=15)


def test_recordings_are_untouched_and_the_rest_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "trials.zip"
    call(corpus(tmp_path, 1, folder="x/"), target, 7, monkeypatch)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["Subject00_1.edf", "Subject00_2.edf", "trials.csv"]
        found = archive.read("Subject00_1.edf"), archive.read("Subject00_2.edf")
    assert found == (named(REST, "Subject00"), named(TASK, "Subject00"))


def test_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, targets = corpus(tmp_path, 2), [tmp_path / name for name in "abc"]
    for target, seed in zip(targets, (7, 7, 8), strict=True):
        call(source, target, seed, monkeypatch)
    contents = [target.read_bytes() for target in targets]
    assert contents[0] == contents[1] != contents[2]


def test_a_subject_is_drawn_the_same_beside_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    few = call(corpus(tmp_path, 1), tmp_path / "few.zip", 7, monkeypatch)
    many = call(corpus(tmp_path, 3), tmp_path / "many.zip", 7, monkeypatch)
    assert few == [row for row in many if row["subject"] == "Subject00"]


@pytest.mark.parametrize(
    ("subjects", "other", "words"),
    [
        (0, {}, ["holds no EEGMAT", "SubjectNN_1.edf, SubjectNN_2.edf"]),
        (1, {"Subject05_2": TASK}, ["a recording is missing", "Subject05_1.edf and", "'Subject05_2.edf'"]),
        (1, {"Subject05_1": REST[:-9], "Subject05_2": TASK}, ["Subject05_1.edf", "cut short"]),
        (1, {"Subject05_1": REST, "Subject05_2": edf(waves_uv(19))}, ["too short", "20 s or more", "'19 s'"]),
    ],
)
def test_refused(tmp_path: Path, subjects: int, other: dict, words: list[str], monkeypatch: pytest.MonkeyPatch):
    source, target = corpus(tmp_path, subjects, **other), tmp_path / "trials.zip"
    with pytest.raises(UserError) as error:
        call(source, target, 7, monkeypatch)
    for word in [str(source), *words]:
        assert word in str(error.value)
    assert not target.exists()


def test_the_source_is_not_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = corpus(tmp_path)
    before = source.read_bytes()
    with pytest.raises(UserError, match="would overwrite its source"):
        call(source, tmp_path / "." / "eegmat.zip", 7, monkeypatch)
    assert source.read_bytes() == before
