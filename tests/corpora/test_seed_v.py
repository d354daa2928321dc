"""SEED-V as released, as people wrap and re-save it, and in every state it should be refused in."""

import io
import os
import pickle
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from archive_forms import make_zip, one_line
from brain_forms import RELEASED, corpus, npz, saved, trials

from stages.core.records import DamagedSample, Record
from stages.corpora import emodb, seed_v

NAME = "EEG_DE_features/7_123.npz"
EMOTIONS = ("disgust", "fear", "sad", "neutral", "happy")  # the released README's order of codes


def read(tmp_path: Path, content: bytes, name: str = NAME) -> list[Record]:
    return list(seed_v.read(corpus(tmp_path, {name: content})))


def changed(part: str, trial: int, value: object) -> bytes:
    data, label = trials()
    {"data": data, "label": label}[part][trial] = value
    return npz(data, label)


def test_a_subject_as_released(tmp_path: Path):
    records = read(tmp_path, npz())
    assert [r.sample_id for r in records] == [f"07_s{s}_t{t:02d}" for s in (1, 2, 3) for t in range(15)]
    assert [r.label for r in records] == [EMOTIONS[code] for code in RELEASED]
    assert [r.trial for r in records] == list(range(15)) * 3
    assert {r.group for r in records} == {"07"}
    assert [r.extra for r in records[::15]] == [{"session": "1"}, {"session": "2"}, {"session": "3"}]
    assert {r.partition for r in records} == {None}
    for record, expected in zip(records, trials()[0].values(), strict=True):
        values, rate_hz = record.load()
        np.testing.assert_array_equal(values, expected)
        assert (values.dtype, values.flags.c_contiguous, rate_hz) == (np.float64, True, 0.25)


def test_every_block_of_five_trials_holds_every_emotion_once():
    """What the protocol of blocks, the BCMI's three folds, rests on."""
    for order in seed_v.ORDERS:
        assert all(sorted(order[start : start + 5]) == [0, 1, 2, 3, 4] for start in (0, 5, 10))
    assert [code for order in seed_v.ORDERS for code in order] == RELEASED


def test_an_independent_reading_of_the_drawn_corpus(tmp_path: Path):
    """As the script that comes with SEED-V (and torcheeg's reader) does it: np.load, pickle.loads, trial by trial.

    torcheeg itself wants scipy 1.10.1 at most, which does not go with NumPy 2.
    """
    seed_v.synthesise(tmp_path / "drawn", size=2, seed=7)
    archive = corpus(tmp_path, {f"SEED-V/{NAME}": (tmp_path / "drawn" / "EEG_DE_features/2_123.npz").read_bytes()})
    records = list(seed_v.read(archive))
    file = np.load(tmp_path / "drawn" / "EEG_DE_features/2_123.npz")
    data, label = pickle.loads(file["data"]), pickle.loads(file["label"])
    assert (file["data"].dtype.kind, file["data"].shape, len(data), len(label)) == ("S", (), 45, 45)
    for number, record in enumerate(records):
        np.testing.assert_array_equal(record.load()[0], data[number])
        assert set(label[number]) == {EMOTIONS.index(record.label)}
        assert (int(record.extra["session"]) - 1, record.trial) == divmod(number, 15)
        assert data[number].reshape(-1, 62, 5).shape[0] == len(label[number])


def test_subjects_in_order_and_any_number(tmp_path: Path):
    archive = corpus(tmp_path, {f"EEG_DE_features/{subject}_123.npz": npz() for subject in (10, 2, 1, 16)})
    records = list(seed_v.read(archive))
    assert [r.sample_id for r in records[::45]] == ["01_s1_t00", "02_s1_t00", "10_s1_t00", "16_s1_t00"]
    assert len({r.sample_id for r in records}) == 180
    assert seed_v.missing(Counter(r.partition for r in records)) == "not the whole of SEED-V (180 of 720 trials)"


@pytest.mark.parametrize(
    ("found", "said"),
    [({None: 720}, ""), ({}, "not the whole of SEED-V (0 of 720 trials)"), ({None: 765}, "more than the whole")],
)
def test_missing(found: dict, said: str):
    assert seed_v.missing(found).startswith(said)
    assert bool(seed_v.missing(found)) == bool(said)


WRAPPINGS = {
    "bare": ["7_123.npz"],
    "deeper": [f"SEED-V/data/{NAME}", "SEED-V/EEG_raw/7_1_20180411.cnt"],
    "upper case": [NAME.upper()],
    "another zero": ["EEG_DE_features/07_123.npz"],
    "hidden": [NAME, "EEG_DE_features/.7_123.npz", "EEG_DE_features/.old/8_123.npz"],
    "eyes": [NAME, "Eye_movement_features/7_123.npz", "Eye_movement_features/8_123.npz"],
    "eyes beside another folder": ["de/7_123.npz", "EYE_movement_features/7_123.npz"],
    "other arrays": [NAME, "saved/model.npz", "README.txt"],
}


@pytest.mark.parametrize("names", WRAPPINGS.values(), ids=WRAPPINGS)
def test_wrappings(tmp_path: Path, names: list[str]):
    """The first is the file, the others must not be looked into."""
    archive = corpus(tmp_path, dict.fromkeys(names, b"junk") | {names[0]: npz()})
    records = list(seed_v.read(archive))
    assert [(r.sample_id, r.label) for r in records[:2]] == [("07_s1_t00", "happy"), ("07_s1_t01", "fear")]
    assert len(records) == 45
    assert records[44].load()[0].shape == (2, 310)


def test_copies_are_read_once_and_refused_where_they_differ(tmp_path: Path):
    names = [NAME, f"copy of data/{NAME}", "EEG_DE_features/07_123.npz"]
    assert len(list(seed_v.read(corpus(tmp_path, dict.fromkeys(names, npz()))))) == 45
    for other in names[1:]:
        archive = corpus(tmp_path, {NAME: npz(), other: npz(protocol=2)})
        one_line(lambda archive=archive: seed_v.read(archive), "subject 7 twice; allowed: one file of each", other)


def pickled(part: str) -> bytes:
    return pickle.dumps(dict(zip(("data", "label"), trials(), strict=True))[part], 3)


def compressed() -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, data=pickled("data"), label=pickled("label"))
    return stream.getvalue()


FORMS = {
    **{f"protocol {protocol}": npz(protocol=protocol) for protocol in (2, 4, 5)},
    "compressed": compressed(),
    "an array of one": saved(data=np.array([pickled("data")]), label=np.array([pickled("label")])),
    "void": saved(data=np.void(pickled("data")), label=np.void(pickled("label"))),
    "numbers": saved(data=np.frombuffer(pickled("data"), np.uint8), label=np.frombuffer(pickled("label"), np.int8)),
    "Fortran": npz({trial: np.asfortranarray(values) for trial, values in trials()[0].items()}),
    "big endian": npz({trial: values.astype(">f8") for trial, values in trials()[0].items()}),
    "labels as numbers with a point": npz(label={trial: codes.astype(float) for trial, codes in trials()[1].items()}),
    "labels as lists": npz(label={trial: codes.tolist() for trial, codes in trials()[1].items()}),
    "labels as a column": npz(label={trial: codes[:, None] for trial, codes in trials()[1].items()}),
    "another order of trials": npz(dict(reversed(trials()[0].items())), dict(reversed(trials()[1].items()))),
}


@pytest.mark.parametrize("content", FORMS.values(), ids=FORMS)
def test_forms_in_which_it_is_saved_anew(tmp_path: Path, content: bytes):
    plain, other = read(tmp_path / "a", npz()), read(tmp_path / "b", content, "7_123.npz")
    assert [(r.sample_id, r.label) for r in other] == [(r.sample_id, r.label) for r in plain]
    for left, right in zip(plain[::11], other[::11], strict=True):
        np.testing.assert_array_equal(left.load()[0], right.load()[0])
        assert left.content_hash() == right.content_hash()


def test_single_precision(tmp_path: Path):
    records = read(tmp_path, npz({trial: values.astype("f4") for trial, values in trials()[0].items()}))
    assert records[3].load()[0].dtype == np.float64
    np.testing.assert_allclose(records[3].load()[0], trials()[0][3], rtol=1e-6)


def test_records_travel_to_workers_and_tell_copies(tmp_path: Path):
    records = read(tmp_path, changed("data", 9, trials()[0][5]))
    copy = pickle.loads(pickle.dumps(records[20]))
    np.testing.assert_array_equal(copy.load()[0], trials()[0][20])
    assert len({record.content_hash() for record in records}) == 44
    assert records[9].content_hash() == records[5].content_hash()


def test_a_subject_is_unpickled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = corpus(tmp_path, {f"{subject}_123.npz": npz() for subject in (1, 2, 3)})
    unpickled, load = [], seed_v.load_arrays
    monkeypatch.setattr(seed_v, "load_arrays", lambda data, where: unpickled.append(where) or load(data, where))
    records = list(seed_v.read(archive))
    assert len(unpickled) == 3  # labels
    for record in records:
        record.load()
    assert len(unpickled) == 6
    assert seed_v._subject_trials.cache_info().currsize <= 2


def test_an_archive_written_anew_is_read_anew(tmp_path: Path):
    before = read(tmp_path, npz())[3].load()[0]
    after = read(tmp_path, changed("data", 3, before + 1))[3].load()[0]
    np.testing.assert_array_equal(after, before + 1)


def test_another_number_of_windows_is_said(tmp_path: Path, capsys: pytest.CaptureFixture):
    archive = corpus(tmp_path, {f"{subject}_123.npz": npz() for subject in (1, 2, 3)})
    seed_v.read(archive)
    line = capsys.readouterr().err
    assert f"warning: {archive}: another number of windows than SEED-V's (released: (681, 541, 601)" in line
    assert "subject 1 has (30, 30, 30), and 2 more subjects" in line
    assert line.count("\n") == 1


# Single trials that are damaged

DAMAGED = {
    "no windows": (np.zeros((0, 310)), r"0 windows; allowed: 1 to 2000"),
    "309 features": (np.ones((2, 309)), r"shape \(2, 309\); allowed: \(windows, 310\)"),
    "channels and bands apart": (np.ones((2, 62, 5)), r"shape \(2, 62, 5\)"),
    "one window without its axis": (np.ones(310), r"shape \(310,\)"),
    "one number": (np.array(1.0), r"shape \(\)"),
    "NaN": (np.where(np.arange(620) == 7, np.nan, 1.0).reshape(2, 310), "values that are no numbers"),
    "infinite": (np.where(np.arange(620) == 7, -np.inf, 1.0).reshape(2, 310), "values that are no numbers"),
    "enormous": (
        np.where(np.arange(620) == 7, 1e300, 1.0).reshape(2, 310),
        r"a value of 1e\+300; allowed: up to 1e\+04",
    ),
    "flat": (np.zeros((2, 310)), "all values are 0"),
    "other labels": (np.arange(930.0).reshape(3, 310), "3 windows, but labels of 2"),
    "hours": (np.zeros((2_001, 310), "i1"), "2001 windows; allowed: 1 to 2000"),
}


@pytest.mark.parametrize(("values", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_trial_leaves_the_others(tmp_path: Path, values: np.ndarray, reason: str):
    records = read(tmp_path, changed("data", 26, values))
    assert records[26].sample_id == "07_s2_t11"
    assert len(records[26].content_hash()) == 32
    with pytest.raises(DamagedSample, match=f"^{reason}"):
        records[26].load()
    assert records[25].load()[0].shape == (2, 310)


def test_a_trial_without_windows_and_labels(tmp_path: Path):
    data, label = trials()
    data[26], label[26] = np.zeros((0, 310)), np.zeros(0)
    record = read(tmp_path, npz(data, label))[26]
    assert record.label == "happy"
    with pytest.raises(DamagedSample, match="0 windows"):
        record.load()


# Files that are refused


class Evil:
    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def without(number: int, part: int) -> dict[int, np.ndarray]:
    return {trial: values for trial, values in trials()[part].items() if trial != number}


LABELS = {
    "an unknown code": (changed("label", 17, np.array([7, 7])), ["s2_t02: unknown emotion code; allowed: 0 to 4", "7"]),
    "half a code": (changed("label", 17, np.array([2.5, 2.5])), ["s2_t02: unknown emotion code", "2.5"]),
    "no number": (changed("label", 17, np.array([np.nan])), ["s2_t02: unknown emotion code", "nan"]),
    "two codes": (changed("label", 17, np.array([3, 4])), ["s2_t02: labels differ within a trial", "[3, 4]"]),
    "another order": (
        changed("label", 17, np.array([4, 4])),
        ["session 2: not the released order of labels; allowed: 2 1 3 0 4 4 0", "received: '2 1 4 0 4"],
    ),
    "text": (changed("label", 17, np.array(["sad"])), ["label.npy", "an array of type 'U3'"]),
    "44 trials": (npz(label=without(17, 1)), ["label.npy", "allowed: trials 0 to 44; received: '44 trials'"]),
    "46 trials": (changed("label", 45, np.array([1])), ["label.npy", "'46 trials'"]),
    "counted from 1": (npz(label={k + 1: v for k, v in trials()[1].items()}), ["allowed: trials 0 to 44"]),
    "no label": (saved(data=pickled("data")), ["holds no 'label'", "received: 'data.npy'"]),
    "no data": (saved(label=pickled("label")), ["holds no 'data'", "received: 'label.npy'"]),
    "nothing": (saved(), ["holds no 'data'"]),
    "no bytes": (saved(data=np.zeros(3), label=np.zeros(3)), ["data.npy", "not bytes", "(3,) of type float64"]),
    "objects": (saved(data=np.array({}, dtype=object), label=b"x"), ["data.npy", "not bytes", "of type object"]),
    "broken pickle": (saved(data=b"x", label=pickled("label")[:-9]), ["label.npy", "damaged or cut short"]),
    "cut short": (npz()[:-3000], ["damaged or cut short", "BadZipFile"]),
    "one byte off": (npz().replace(b"numpy", b"numpi", 1), ["damaged or cut short", "CRC"]),
    "text file": (b"subject,7", ["damaged or cut short", "File is not a zip file"]),
    "empty": (b"", ["damaged or cut short"]),
}


@pytest.mark.parametrize(("content", "words"), LABELS.values(), ids=LABELS)
def test_refused_when_its_labels_are_read(tmp_path: Path, content: bytes, words: list[str]):
    archive = corpus(tmp_path, {NAME: content})
    line = one_line(lambda: seed_v.read(archive), f"{archive}: '{NAME[:8]}", *words)
    assert len(line) < 400 + len(str(archive))


def test_malicious_pickles_run_nothing(tmp_path: Path):
    trace = tmp_path / "ran"
    archive = corpus(tmp_path, {NAME: npz(label={0: Evil(trace)})})
    one_line(lambda: seed_v.read(archive), "label.npy'", "received: 'posix.system'")
    record = read(tmp_path, npz(data={0: Evil(trace)}))[0]
    one_line(record.load, "data.npy'", "received: 'posix.system'")
    one_line(record.content_hash, "received: 'posix.system'")
    objects = saved(data=np.array([Evil(trace)], dtype=object), label=np.array([Evil(trace)], dtype=object))
    one_line(lambda: read(tmp_path, objects), "not bytes", "of type object")
    assert not trace.exists()


def test_data_of_fewer_trials(tmp_path: Path):
    record = read(tmp_path, npz(without(17, 0)))[3]
    one_line(record.load, "data.npy'", "allowed: trials 0 to 44; received: '44 trials'")


def inner(header: bytes, claimed: int | None = None, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An npz whose data.npy has this content, or claims another size."""
    path = io.BytesIO()
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("data.npy", header)
        archive.writestr("label.npy", b"")
    content = path.getvalue()
    if claimed is not None:
        at = content.index(b"PK\x01\x02") + 24
        content = content[:at] + claimed.to_bytes(4, "little") + content[at + 4 :]
    return content


def npy(descr: str, shape: str = "()", payload: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + payload


HOSTILE = {
    "a bomb": (inner(bytes(65 << 20)), ["too big", "at most 67108864 bytes", "68157440 bytes"]),
    "a bomb that claims little": (inner(bytes(1 << 20), 100), ["damaged or cut short"]),
    "a bomb of bzip2": (inner(bytes(1 << 20), method=zipfile.ZIP_BZIP2), ["a method that is not read", "bzip2"]),
    "terabytes told": (inner(npy("'|S9999999999999'")), ["data.npy", "damaged or cut short"]),
    "many told": (inner(npy("'|u1'", "(99999999999999,)")), ["data.npy", "damaged or cut short"]),
    "one byte too many": (inner(npy("'|S3'", payload=b"abcd")), ["data.npy", "damaged or cut short", "4 bytes"]),
    "code as header": (inner(npy("__import__('os').system('true')")), ["data.npy", "damaged or cut short"]),
    "deep header": (inner(npy("-" * 5_000 + "1")), ["data.npy", "damaged or cut short"]),
    "no header": (inner(b"hello"), ["data.npy", "damaged or cut short"]),
    "another version": (inner(b"\x93NUMPY\x09\x00"), ["data.npy", "damaged or cut short"]),
}


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_npz(tmp_path: Path, content: bytes, words: list[str]):
    archive = make_zip(tmp_path / "raw.zip", {NAME: content})
    one_line(lambda: seed_v.read(archive), *words)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1_123.npz", "2_123 (1).npz"], ["2_123 (1).npz", "not a subject's file", "allowed: EEG_DE_features/7_123"]),
        (["one.npz"], ["not the layout of reader 'seed_v'; allowed: EEG_DE_features/7_123.npz", "one.npz"]),
        (["Eye_movement_features/1_123.npz"], ["not the layout of reader 'seed_v'", "Eye_movement"]),
        (["EEG_raw/7_1_20180411.cnt"], ["not the layout of reader 'seed_v'", "7_1_20180411.cnt"]),
        (["wav/03a01Fa.wav", "wav/16b10Wb.wav"], ["not the layout of reader 'seed_v', but of reader 'emodb'"]),
        (["happy/1.wav"], ["but of reader 'speech_folder'"]),
        (["fer2013.csv"], ["not the layout of reader 'seed_v'", "fer2013.csv"]),
    ],
)
def test_other_layouts(tmp_path: Path, names: list[str], words: list[str]):
    archive = corpus(tmp_path, dict.fromkeys(names, b"x"))
    one_line(lambda: seed_v.read(archive), str(archive), *words)


def test_the_speech_readers_still_tell_their_own(tmp_path: Path):
    one_line(lambda: emodb.read(corpus(tmp_path, {NAME: npz()})), "not the layout of reader 'emodb'", NAME)
