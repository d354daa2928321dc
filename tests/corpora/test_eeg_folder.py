"""Tables of trials, valid and invalid, and that each recording is read once by all workers together."""

import os
import pickle
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from archive_files import make_zip, one_line
from recording_forms import FORMS, NAMES, brainvision, cnt, edf, edf_plus, eeglab, fif, waves_uv

from stages.core.records import DamagedSample, Record
from stages.corpora import eeg_folder
from stages.datasets.decoding import Workers, decode, one_by_one
from stages.features import eeg_de

HEADER = "file,subject,session,trial,label,onset_s,duration_s\n"
FILES = {"a/1.edf": edf(waves_uv(30, seed=1)), "a/2.edf": edf(waves_uv(20, seed=2))}
ROWS = """\
a/2.edf,ben,1,1,sad,0,5
a/1.edf,ann,1,2,happy,10.25,9.5
a/1.edf,ann,1,1,sad,2,8
a/1.edf,ann,2,1,neutral,25,5
"""


@pytest.fixture(autouse=True)
def _clear_cache():
    """Close the recordings that other tests opened."""
    eeg_folder._opened.cache_clear()


def archive(tmp_path: Path, rows: str = ROWS, files: dict[str, bytes] = FILES) -> Path:
    return make_zip(tmp_path / "raw.zip", files | {"trials.csv": (HEADER + rows).encode()})


def records(tmp_path: Path, rows: str = ROWS, files: dict[str, bytes] = FILES) -> list[Record]:
    return list(eeg_folder.read(archive(tmp_path, rows, files)))


def test_trials_are_sorted_by_recording(tmp_path: Path):
    found = records(tmp_path)
    assert [record.sample_id for record in found] == ["ann_s1_t1", "ann_s1_t2", "ann_s2_t1", "ben_s1_t1"]
    assert [record.label for record in found] == ["sad", "happy", "neutral", "sad"]
    assert [record.group for record in found] == ["ann", "ann", "ann", "ben"]
    assert [record.trial for record in found] == [1, 2, 1, 1]
    assert [record.extra for record in found] == [{"session": s} for s in "1121"]
    assert {record.partition for record in found} == {None}
    assert eeg_folder.missing({None: 4}) == ""


@pytest.mark.parametrize("suffix", FORMS)
def test_signals_are_those_of_the_trials(tmp_path: Path, suffix: str):
    values_uv = waves_uv(30)
    rows = f"x{suffix},ann,1,2,happy,10.25,9.5\nx{suffix},ann,1,1,sad,2,8\n"
    found = records(tmp_path, rows, files={f"x{suffix}": FORMS[suffix](values_uv)})
    for record, (start, stop) in zip(found, [(200, 1000), (1025, 1975)], strict=True):
        signal, rate_hz = record.load()
        assert (rate_hz, signal.dtype.names) == (100, tuple(NAMES))
        for index, name in enumerate(NAMES):
            np.testing.assert_allclose(signal[name], values_uv[index, start:stop], atol=0.02)


def test_reading_the_table_opens_no_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(eeg_folder, "open_recording", None)
    found = records(tmp_path)
    assert len({record.content_hash() for record in found}) == 4


def test_order_and_hidden_files_change_nothing(tmp_path: Path):
    plain = records(tmp_path)
    lines = [line.split(",") for line in (HEADER + ROWS).splitlines()]
    for seed in range(5):
        rng = random.Random(seed)
        rng.shuffle(body := lines[1:])
        order = rng.sample(range(7), 7)
        table = "".join(",".join(line[i] for i in order) + ",more\r\n" for line in [lines[0], *body])
        files = [*FILES.items(), ("a/.x.edf", b""), ("__MACOSX/a/1.edf", b""), ("a/notes.txt", b"")]
        rng.shuffle(files)
        found = list(eeg_folder.read(make_zip(tmp_path / f"{seed}.zip", {"trials.csv": table.encode(), **dict(files)})))
        assert [(r.sample_id, r.content_hash()) for r in found] == [(r.sample_id, r.content_hash()) for r in plain]


@pytest.mark.parametrize("file", ["corpus/a/1.edf", "a/1.edf", "./a/1.edf", "a\\1.edf"])
def test_rows_name_paths_from_the_archive_or_from_the_table(tmp_path: Path, file: str):
    content = {"corpus/a/1.edf": FILES["a/1.edf"], "corpus/Trials.CSV": f"{HEADER}{file},x,1,1,sad,0,5\n".encode()}
    (found,) = eeg_folder.read(make_zip(tmp_path / "raw.zip", content))
    assert found.load()[0].shape == (500,)


def test_content_hash_is_equal_for_the_same_stretch_of_the_same_bytes(tmp_path: Path):
    files = FILES | {"copy.edf": FILES["a/1.edf"]}
    rows = "a/1.edf,x,1,1,sad,1,5\na/2.edf,z,1,1,sad,1,5\na/1.edf,x,1,2,sad,7,5\na/2.edf,z,1,2,sad,7,4\n"
    hashes = [record.content_hash() for record in records(tmp_path, rows)]
    assert len(set(hashes)) == 4
    (copied,) = records(tmp_path, "copy.edf,y,1,1,sad,1,5\n", files=files)
    assert copied.content_hash() == hashes[0]


def test_copies_of_a_recording_must_not_overlap(tmp_path: Path):
    """Otherwise the same seconds could be in the train and in the test part."""
    files = FILES | {"copy.edf": FILES["a/1.edf"]}
    for row, words in (("y,1,1,sad,9,5", "two subjects of"), ("x,1,2,sad,4,5", "overlapping trials of")):
        path = archive(tmp_path, f"{ONE}copy.edf,{row}\n", files)
        one_line(lambda path=path: eeg_folder.read(path), f"trials.csv line 3: {words} a/1.edf and its copy copy.edf")
    assert len(records(tmp_path, f"{ONE}copy.edf,x,1,2,sad,9,5\n", files=files)) == 2


def opened_lengths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the length of every recording that is opened from now on."""
    lengths: list[int] = []
    original = eeg_folder.open_recording

    def opened(*arguments):
        recording = original(*arguments)
        lengths.append(len(recording.raw.times))
        return recording

    monkeypatch.setattr(eeg_folder, "open_recording", opened)
    return lengths


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_recording_is_opened_once(tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch):
    """Workers decode different trials of one recording, and of several, at the same time."""
    files = {f"{n:02d}.edf": edf(waves_uv(12 + n)) for n in range(12)}
    rows = "".join(f"{n:02d}.edf,p{n},1,{t},sad,{2 * t},2\n" for t in range(5) for n in range(12))
    lengths = opened_lengths(monkeypatch)
    pool = Workers(workers, eeg_de.WORKERS, eeg_de.samples_per_chunk({}))
    chunks = list(
        decode(records(tmp_path, rows, files=files), partial(one_by_one, lambda signal, rate: (signal["Cz"], 0)), pool)
    )
    assert sorted(lengths) == [100 * (12 + n) for n in range(12)]
    assert np.concatenate([chunk.x for chunk in chunks]).shape == (60, 200)
    assert eeg_folder._opened.cache_info().currsize <= eeg_folder.OPEN_RECORDINGS


def test_opens_a_rewritten_archive_again(tmp_path: Path):
    before = records(tmp_path)[0].load()[0]
    path = archive(tmp_path, files=FILES | {"a/1.edf": edf(waves_uv(30, seed=9))})
    os.utime(path, ns=(1, 1))
    after = next(eeg_folder.read(path)).load()[0]
    assert (before["Cz"] != after["Cz"]).mean() > 0.9


def test_records_can_be_pickled(tmp_path: Path):
    found = records(tmp_path)[0]
    assert pickle.loads(pickle.dumps(found)).load()[0].tobytes() == found.load()[0].tobytes()


ONE = "a/1.edf,x,1,1,sad,0,5\n"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a/3.edf,x,1,2,sad,9,5", ["line 3", "no such recording", "a path such as a/1.edf", "'a/3.edf'"]),
        ("a/1.edf,x,1,2,sad,4.9,5", ["line 3", "overlapping trials of a/1.edf", "5 s or later", "line 2", "4.9"]),
        ("a/1.edf,x,1,2,sad,1,2", ["line 3", "overlapping trials"]),
        ("a/1.edf,x,1,2,sad,26,5", ["line 3", "beyond its recording", "an end up to 30 s", "'31 s'"]),
        ("a/1.edf,x,1,1,sad,9,5", ["line 3", "a trial with two rows", "line 2 has it", "'x_s1_t1'"]),
        ("a/1.edf,y,1,1,sad,9,5", ["line 3", "two subjects of a/1.edf", "allowed: x, as in line 2", "'y'"]),
        ("a/1.edf,x,1,2,sadd,9,5", ["line 3", "unknown label", "Did you mean 'sad'?", "rest, arithmetic", "'sadd'"]),
        ("a/1.edf,x,1,2,sad,-1,5", ["line 3", "onset_s is not a time", "seconds, 0 or more", "'-1'"]),
        ("a/1.edf,x,1,2,sad,nan,5", ["line 3", "onset_s is not a time"]),
        ("a/1.edf,x,1,2,sad,9,1e999", ["line 3", "duration_s is not a time"]),
        ("a/1.edf,x,1,2,sad,0:09,5", ["line 3", "onset_s is not a time", "'0:09'"]),
        ("a/1.edf,x,1,2,sad,9", ["line 3", "duration_s is not a time", "''"]),
        ("a/1.edf,x,1,2,sad,9,0", ["line 3", "without duration", "more than 0 s"]),
        ("a/1.edf,x,1,two,sad,9,5", ["line 3", "invalid trial number", "'two'"]),
        (f"a/1.edf,x,1,{'9' * 5000},sad,9,5", ["line 3", "invalid trial number"]),
        ("a/1.edf,,1,2,sad,9,5", ["line 3", "no subject"]),
        ("a/1.edf,x,,2,sad,9,5", ["line 3", "no session"]),
    ],
)
def test_refuses_invalid_rows(tmp_path: Path, row: str, words: list[str]):
    path = archive(tmp_path, f"{ONE}{row}\n")
    line = one_line(lambda: eeg_folder.read(path), f"{path}: trials.csv line ", *words)
    assert len(line) < 400


def test_trials_may_touch_and_end_at_the_end(tmp_path: Path):
    rows = "a/1.edf,x,1,1,sad,0,10.3333\na/1.edf,x,1,2,sad,10.333,19.667\n"
    assert [len(record.load()[0]) for record in records(tmp_path, rows)] == [1_033, 1_967]


@pytest.mark.parametrize("form", [cnt, fif, eeglab])
def test_decoding_refuses_a_trial_beyond_its_recording(tmp_path: Path, form):
    name = f"x{next(suffix for suffix, known in FORMS.items() if known is form)}"
    (found,) = records(tmp_path, f"{name},x,1,1,sad,8,5\n", files={name: form(waves_uv(12))})
    one_line(found.load, "line 2", "beyond its recording", f"an end up to 12 s, the length of {name}", "'13 s'")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            FILES,
            [
                "without trials.csv",
                "recordings (.edf, .bdf, .cnt, .fif, .set, .vhdr, .gdf) and a trials.csv with file,subject",
            ],
        ),
        ({"trials.csv": HEADER.encode()}, ["without a recording"]),
        (FILES | {"trials.csv": b"file,label\n"}, ["missing columns", "onset_s,duration_s; received: 'file,label'"]),
    ],
)
def test_refuses_other_layouts(tmp_path: Path, files: dict[str, bytes], words: list[str]):
    path = make_zip(tmp_path / "raw.zip", files)
    one_line(lambda: eeg_folder.read(path), str(path), *words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (FILES["a/1.edf"][:-100], "cut short"),
        (b"", "not an EDF or BDF recording"),
        (edf(waves_uv(30), ["ECG", "Resp", "EOG"]), "no EEG channel"),
    ],
)
def test_damaged_recordings_are_reported_when_decoded(tmp_path: Path, content: bytes, words: str):
    """All their trials are damaged samples; the trials of other recordings are read."""
    found = records(tmp_path, files=FILES | {"a/1.edf": content})
    for record in found[:3]:
        with pytest.raises(DamagedSample, match=words):
            record.load()
    assert found[3].load()[0].shape == (500,)


EVENTS = "onset\tduration\ttrial_type\n2\t5\thappy\n7.5\t4\tbutton\n12\t6.5\tSadness\n20\t0\thappy\n"
BIDS = {
    "sub-01/eeg/sub-01_task-film_eeg.edf": edf(waves_uv(30, seed=1)),
    "sub-01/eeg/sub-01_task-film_events.tsv": EVENTS.encode(),
    "sub-02/ses-b/eeg/sub-02_ses-b_task-film_run-1_eeg.edf": edf(waves_uv(30, seed=2)),
    "sub-02/ses-b/eeg/sub-02_ses-b_task-film_run-1_events.tsv": EVENTS.encode(),
    "sub-02/ses-b/eeg/sub-02_ses-b_task-film_run-2_eeg.edf": edf(waves_uv(30, seed=3)),
    "sub-02/ses-b/eeg/sub-02_ses-b_task-film_run-2_events.tsv": EVENTS.encode(),
    "participants.tsv": b"participant_id\nsub-01\n",
}
BIDS_IDS = ["01_s1_t1", "01_s1_t2", "02_sb_t1", "02_sb_t2", "02_sb_t3", "02_sb_t4"]


def read_all(tmp_path: Path, files: dict[str, bytes]) -> list[Record]:
    return list(eeg_folder.read(make_zip(tmp_path / "raw.zip", files)))


def test_trials_of_bids(tmp_path: Path, capsys: pytest.CaptureFixture):
    found = read_all(tmp_path, BIDS)
    assert [record.sample_id for record in found] == BIDS_IDS
    assert [record.label for record in found] == ["happy", "sad"] * 3
    assert [record.group for record in found] == ["01", "01", "02", "02", "02", "02"]
    np.testing.assert_allclose(found[3].load()[0]["Cz"], waves_uv(30, seed=2)[1, 1_200:1_850], atol=0.03)
    line = capsys.readouterr().err
    assert line.count("warning") == 1
    assert "6 trials from *_events.tsv, of subjects 01, 02 (2); 6 other events passed over" in line
    assert "'button' 3" in line
    assert "'happy without duration' 3" in line
    assert {record.content_hash() for record in found}.__len__() == 6


@pytest.mark.parametrize(
    "table",
    [
        "onset\tduration\ttrial_type\temotion\n2\t5\tfilm\tjoy\n12\t6.5\tfilm\tsad\n7\tn/a\tfilm\tn/a\n",
        "onset\tduration\ttrial_type\n2\t5\thappy\n12\t6.5\tsad\nn/a\t5\tsad\n",
        "\ufeffDuration\tOnset\tvalue\r\n5\t2\thappy\r\n6.5\t12\tsad\r\n\r\n\t\t\r\n",
        "onset\tduration\tsample\tvalue\tlabel\n2\t5\t1\t3\thappy\n12\t6.5\t2\t4\tsad\n",
        EVENTS,
    ],
)
def test_columns_of_events_and_tables_of_a_folder_above(tmp_path: Path, table: str):
    files = {name: data for name, data in BIDS.items() if not name.endswith("_events.tsv")}
    found = read_all(tmp_path, files | {"task-film_events.tsv": table.encode()})
    assert [record.sample_id for record in found] == BIDS_IDS
    assert [len(record.load()[0]) for record in found] == [500, 650] * 3


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            "onset,duration,trial_type\n2,5,happy\n",
            ["missing columns", "separated by tabs", "onset, duration and one of"],
        ),
        ("onset\tduration\n2\t5\n", ["missing columns", "trial_type"]),
        ("onset\tduration\ttrial_type\n2\t5\tbutton\n", ["no event or annotation", "names a class", "'button' 1"]),
        ("onset\tduration\ttrial_type\nsoon\t5\tsad\n", ["line 2", "onset_s is not a time", "'soon'"]),
        ("onset\tduration\ttrial_type\n2\t5\tsad\n4\t5\tsad\n", ["line 3", "overlapping trials"]),
        ("onset\tduration\ttrial_type\n28\t5\tsad\n", ["line 2", "beyond its recording"]),
        ("onset\tduration\ttrial_type\n2\t5\ts\u00e4d\n", ["not a table of events"]),
    ],
)
def test_refuses_invalid_events(tmp_path: Path, table: str, words: list[str]):
    files = {"sub-01_eeg.edf": FILES["a/1.edf"], "sub-01_events.tsv": table.encode("latin-1")}
    path = make_zip(tmp_path / "raw.zip", files)
    one_line(lambda: eeg_folder.read(path), str(path), *words)


def test_recordings_without_events_are_named(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert len(read_all(tmp_path, BIDS | {"sub-03/eeg/sub-03_task-rest_eeg.edf": FILES["a/1.edf"]})) == 6
    assert (
        "1 recordings without *_events.tsv passed over: sub-03/eeg/sub-03_task-rest_eeg.edf" in capsys.readouterr().err
    )


MARKS = [(2.0, 5.0, "happy"), (7.5, 1.0, "blink"), (12.0, 6.5, "Sadness")]


def annotated(form: str, seed: int) -> dict[str, bytes]:
    """Return {suffix: content} of a recording of 30 s with `MARKS`."""
    values_uv = waves_uv(30, seed=seed)
    if form == "brainvision":
        return brainvision(values_uv, markers=MARKS)
    if form == "edf":
        return {".edf": edf_plus(values_uv, MARKS)}
    return {".fif": fif(values_uv, marks=MARKS)}


@pytest.mark.parametrize("form", ["edf", "fif", "brainvision"])
@pytest.mark.parametrize(
    ("stems", "subjects"),
    [
        (["S01/x", "S02/x"], ["S01", "S02"]),
        (["data/p1/a/x", "data/p2/a/x"], ["p1", "p2"]),
        (["ann_rest", "ben_rest"], ["ann", "ben"]),
        (["sub-7_task-x_eeg", "sub-8_task-x_eeg"], ["7", "8"]),
    ],
)
def test_trials_from_annotations(tmp_path: Path, form: str, stems: list[str], subjects: list[str], capsys):
    files = {}
    for seed, stem in enumerate(stems):
        for suffix, content in annotated(form, seed).items():
            files[stem + suffix] = content.replace(b"x.eeg", f"{Path(stem).name}.eeg".encode())
            if suffix == ".vhdr":
                files[stem + suffix] = files[stem + suffix].replace(b"x.vmrk", f"{Path(stem).name}.vmrk".encode())
    found = read_all(tmp_path, files)
    assert [(r.group, r.label) for r in found] == [(s, label) for s in subjects for label in ("happy", "sad")]
    np.testing.assert_allclose(found[3].load()[0]["Cz"], waves_uv(30, seed=1)[1, 1_200:1_850], atol=0.03)
    assert "4 trials from annotations, of subjects" in (line := capsys.readouterr().err)
    assert "'blink' 2" in line


@pytest.mark.parametrize(
    ("gap_s", "damaged"), [(0, []), (100, []), (0.5, []), (7, []), (-1, ["happy", "sad"])], ids=str
)
@pytest.mark.parametrize("source", ["annotations", "trials.csv"])
def test_trials_of_an_interrupted_recording(tmp_path: Path, gap_s: float, damaged: list[str], source: str):
    """The gap is after ten seconds, before the second trial; -1: a gap of 1 s in each trial instead."""
    gaps = {4: 1.0, 14: 1.0} if gap_s < 0 else {10: gap_s}
    starts = [second + sum(length for at, length in gaps.items() if second >= at) for second in range(30)]
    rows = [(2.0, 5.0, "happy"), (starts[12], 6.5, "sad")]
    data = edf_plus(waves_uv(30), rows if source == "annotations" else [], starts)
    if source == "annotations":
        found = read_all(tmp_path, {"S01/x.edf": data})
    else:
        table = "".join(f"x.edf,S01,1,{n},{label},{on},{lasts}\n" for n, (on, lasts, label) in enumerate(rows))
        found = records(tmp_path, table, {"x.edf": data})
    assert [record.label for record in found] == ["happy", "sad"]
    for record, start in zip(found, (200, 1_200), strict=True):
        if record.label in damaged:
            with pytest.raises(DamagedSample, match="the recording is interrupted from"):
                record.load()
        else:
            signal, _ = record.load()
            np.testing.assert_allclose(signal["Cz"], waves_uv(30)[1, start : start + len(signal)], atol=0.03)


def test_recordings_without_readable_annotations_are_named(tmp_path: Path, capsys: pytest.CaptureFixture):
    files = {"S01/x.edf": annotated("edf", 0)[".edf"], "S02/x.edf": b"0       " + bytes(50)}
    assert len(read_all(tmp_path, files)) == 2
    assert "S02/x.edf passed over, as its annotations cannot be read: not an EDF" in capsys.readouterr().err


def test_set_with_fdt_in_an_archive(tmp_path: Path):
    """The two recordings have equal headers and other samples."""
    values_uv = [waves_uv(seed=seed) for seed in (1, 2)]
    files = {f"{n}/x.set": eeglab(values_uv[0], data="x.fdt") for n in "ab"}
    files |= {f"{n}/x.fdt": v.T.astype("<f4").tobytes() for n, v in zip("ab", values_uv, strict=True)}
    found = records(tmp_path, "a/x.set,a,1,1,sad,2,5\nb/x.set,b,1,1,sad,2,5\n", files)
    for record, values in zip(found, values_uv, strict=True):
        np.testing.assert_allclose(record.load()[0]["Cz"], values[1, 200:700], rtol=1e-5, atol=1e-4)
    assert found[0].content_hash() != found[1].content_hash()
