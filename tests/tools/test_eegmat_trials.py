"""Random trials in both recordings of each subject: length, number and count do not give the class away."""

import csv
import io
import sys
import zipfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from recording_forms import edf, waves_uv

from stages.core.errors import UserError
from stages.corpora import eeg_folder
from tools import eegmat_trials

REST = edf(waves_uv(182))
TASK = edf(waves_uv(62))


def with_patient(recording: bytes, patient: str) -> bytes:
    """Return the recording with another patient in its header, since copies are not two subjects."""
    return recording[:8] + patient.ljust(80).encode() + recording[88:]


def write_corpus(tmp_path: Path, subjects: int = 3, folder: str = "", **other: bytes) -> Path:
    path = tmp_path / "eegmat.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{folder}subject-info.csv", "Subject,Age\n")
        for number in range(subjects):
            for part, recording in ((1, REST), (2, TASK)):
                name = f"Subject{number:02d}"
                archive.writestr(f"{folder}{name}_{part}.edf", with_patient(recording, name))
        for name, content in other.items():
            archive.writestr(f"{name}.edf", content)
    return path


def make_trials(source: Path, target: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Run the tool and return the rows of its table."""
    monkeypatch.setattr(sys, "argv", ["eegmat_trials", str(source), str(target), "--seed", str(seed)])
    eegmat_trials.main()
    with zipfile.ZipFile(target) as archive:
        return list(csv.DictReader(io.StringIO(archive.read("trials.csv").decode())))


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    return make_trials(write_corpus(tmp_path, 8), tmp_path / "out" / "trials.zip", 7, monkeypatch)


def test_classes_have_the_same_lengths_and_counts(rows: list[dict[str, str]]):
    lengths = defaultdict(lambda: {"rest": [], "arithmetic": []})
    for row in rows:
        lengths[row["subject"]][row["label"]].append(float(row["duration_s"]))
    assert len(lengths) == 8
    for of_subject in lengths.values():
        assert sorted(of_subject["rest"]) == sorted(of_subject["arithmetic"])
        assert all(5 <= length <= 20 for length in of_subject["rest"])
        assert 62 - 20 <= sum(of_subject["rest"]) <= 62
    assert len({length for of_subject in lengths.values() for length in of_subject["rest"]}) > 20


def test_numbers_do_not_give_the_class_away(rows: list[dict[str, str]]):
    for subject in {row["subject"] for row in rows}:
        own = [row for row in rows if row["subject"] == subject]
        assert sorted(int(row["trial"]) for row in own) == list(range(1, len(own) + 1))
    numbers = {label: [int(r["trial"]) for r in rows if r["label"] == label] for label in ("rest", "arithmetic")}
    assert abs(np.mean(numbers["rest"]) - np.mean(numbers["arithmetic"])) < 1.5


def test_reader_accepts_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It refuses overlaps and trials beyond their recordings, which a mistake would give for some seeds only."""
    source, target = write_corpus(tmp_path, 2, folder="eegmat/"), tmp_path / "trials.zip"
    for seed in range(30):
        rows = make_trials(source, target, seed, monkeypatch)
        records = list(eeg_folder.read(target))
        assert len(records) == len(rows)
    assert {record.group for record in records} == {"Subject00", "Subject01"}
    signal, rate_hz = records[0].load()
    assert len(signal) / rate_hz == pytest.approx(float(rows[0]["duration_s"]), abs=15)


def test_keeps_recordings_unchanged_and_leaves_out_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "trials.zip"
    make_trials(write_corpus(tmp_path, 1, folder="x/"), target, 7, monkeypatch)
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == ["Subject00_1.edf", "Subject00_2.edf", "trials.csv"]
        contents = archive.read("Subject00_1.edf"), archive.read("Subject00_2.edf")
    assert contents == (with_patient(REST, "Subject00"), with_patient(TASK, "Subject00"))


def test_trials_depend_on_the_seed_and_not_on_other_subjects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source, targets = write_corpus(tmp_path, 1), [tmp_path / name for name in "abc"]
    few, *_ = (make_trials(source, *given, monkeypatch) for given in zip(targets, (7, 7, 8), strict=True))
    contents = [target.read_bytes() for target in targets]
    assert contents[0] == contents[1] != contents[2]
    many = make_trials(write_corpus(tmp_path, 3), tmp_path / "many.zip", 7, monkeypatch)
    assert few == [row for row in many if row["subject"] == "Subject00"]


@pytest.mark.parametrize(
    ("subjects", "other", "words"),
    [
        (0, {}, ["not EEGMAT", "SubjectNN_1.edf, SubjectNN_2.edf"]),
        (1, {"Subject05_2": TASK}, ["a recording is missing", "Subject05_1.edf and", "'Subject05_2.edf'"]),
        (1, {"Subject05_1": REST[:-9], "Subject05_2": TASK}, ["Subject05_1.edf", "cut short"]),
        (1, {"Subject05_1": REST, "Subject05_2": edf(waves_uv(19))}, ["too short", "20 s or more", "'19 s'"]),
    ],
)
def test_refuses_missing_damaged_and_short_recordings(
    tmp_path: Path, subjects: int, other: dict, words: list[str], monkeypatch: pytest.MonkeyPatch
):
    source, target = write_corpus(tmp_path, subjects, **other), tmp_path / "trials.zip"
    with pytest.raises(UserError) as error:
        make_trials(source, target, 7, monkeypatch)
    for word in [str(source), *words]:
        assert word in str(error.value)
    assert not target.exists()


def test_refuses_to_overwrite_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = write_corpus(tmp_path)
    before = source.read_bytes()
    with pytest.raises(UserError, match="would overwrite its source"):
        make_trials(source, tmp_path / "." / "eegmat.zip", 7, monkeypatch)
    assert source.read_bytes() == before
